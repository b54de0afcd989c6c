"""Files are replaced as a whole, and torn lines are removed."""

from pathlib import Path

import pytest

from base.durable_file import cut_torn_line, replace_file


def test_replacing_a_file_can_keep_the_one_before(tmp_path: Path) -> None:
    """The previous content is under the other name, and no draft is left."""
    path, previous = tmp_path / "a.json", tmp_path / "a.json.before"
    replace_file(path, b"1", previous)
    assert not previous.exists()
    replace_file(path, b"2", previous)
    replace_file(path, b"3", previous)
    assert (path.read_bytes(), previous.read_bytes()) == (b"3", b"2")
    assert sorted(tmp_path.iterdir()) == [path, previous]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"a\n", b"a\n"),
        (b"a\nb", b"a\n"),
        (b"torn", b""),
        (b"a\n" + b"b" * 200_000, b"a\n"),
        (b"\n" + b"b" * 65_536, b"\n"),
    ],
)
def test_what_follows_the_last_line_break_is_removed(tmp_path: Path, before: bytes, after: bytes) -> None:
    """The number of bytes removed is returned, also for a torn line longer than a block."""
    path = tmp_path / "rows.csv"
    path.write_bytes(before)
    assert cut_torn_line(path) == len(before) - len(after)
    assert path.read_bytes() == after


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    """The mode applies to the new file, whatever the one before had."""
    path = tmp_path / "key.pem"
    replace_file(path, b"1")
    replace_file(path, b"2", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600
