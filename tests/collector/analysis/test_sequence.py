"""Numbers that are missing are found, and two units of one name."""

from datetime import timedelta
from pathlib import Path

import pytest

from collector.analysis.sequence import clones, gaps_in_seq
from collector.store.load import load
from tests.support.store import START, put, window

ONE, OTHER, THIRD = (f"{number:016x}" for number in (1, 2, 3))


def test_missing_numbers_are_told_by_start_of_a_device(tmp_path: Path) -> None:
    """Of 0 to 9 four are missing in two places; the next start begins at 0 again, and lacks nothing."""
    there = [0, 1, 4, 5, 8, 9]
    put(tmp_path, *[window(seq, boot=ONE) for seq in there], *[window(seq, boot=OTHER, device="b") for seq in range(3)])
    (gap,) = gaps_in_seq(load(tmp_path)).to_dict("records")
    assert (gap["device"], gap["boot"], gap["first"], gap["last"]) == ("door", ONE, 0, 9)
    assert (gap["missing"], gap["runs"]) == (4, 2)
    assert gap["until"] == START + timedelta(minutes=9)
    put(tmp_path, *[window(seq, boot=ONE) for seq in (2, 3, 6, 7)])
    assert gaps_in_seq(load(tmp_path)).empty, "what came late fills the gap"


@pytest.mark.parametrize(
    ("boots", "found"),
    [
        ([ONE] * 4 + [OTHER] * 4 + [THIRD] * 2, False),
        ([ONE] * 3 + [OTHER, ONE] + [OTHER] * 3, False),
        ([ONE, OTHER] * 4, True),
        (([ONE] * 3 + [OTHER] * 3) * 2 + [ONE] * 3, True),
    ],
    ids=["restarts", "one window out of turn", "by turns", "in longer turns"],
)
def test_clones_take_turns_and_restarts_do_not(tmp_path: Path, boots: list[str], found: bool) -> None:
    """Two units of one name send in the same minutes; a unit that restarts never goes back to an older start."""
    put(tmp_path, *[window(number, boot=boot) for number, boot in enumerate(boots)])
    table = clones(load(tmp_path))
    assert len(table) == found
    if found:
        assert table.loc[0, ["site", "device", "boots"]].tolist() == ["shop-1", "door", 2]


def test_an_empty_table_has_neither(tmp_path: Path) -> None:
    """Nothing is missing of nothing."""
    frame = load(tmp_path)
    assert gaps_in_seq(frame).empty
    assert clones(frame).empty
