"""Numbers of windows tell of windows that have not come, and of two units with one name."""

from pathlib import Path

from test_store import put, window

from collector.load import load
from collector.sequence import sequences

OTHER = "f" * 16


def test_numbers_between_are_missing(tmp_path: Path) -> None:
    """3 and 4 have not come; what was before the first is not known to be missing. A restart is neither."""
    put(tmp_path, *(window(n) for n in (1, 2, 5)), *(window(n, start=window(n + 20).start, boot=OTHER) for n in (0, 1)))
    (row,) = sequences(load(tmp_path)).reset_index().itertuples(index=False)
    assert tuple(row) == ("shop-1", "door", 2, False)


def test_boots_that_alternate_are_two_units(tmp_path: Path) -> None:
    """Door is two units, each minute one of each; till beside it is one."""
    put(tmp_path, *(window(n, boot=OTHER if n % 2 else "0" * 16) for n in range(1, 7)), window(1, device="till"))
    clones = sequences(load(tmp_path))["clones"]
    assert clones.to_dict() == {("shop-1", "door"): True, ("shop-1", "till"): False}


def test_an_empty_store_has_none(tmp_path: Path) -> None:
    assert sequences(load(tmp_path)).empty
