"""Dead letters are kept in files of bounded size."""

from pathlib import Path

from collector.receive.dead_letters import DeadLetters
from tests.support.store import START


def test_dead_letters_are_bounded(tmp_path: Path) -> None:
    """Two files have at most the allowed size, the newest letter is kept, and a torn line is removed."""
    (tmp_path / "dead-letters.jsonl").write_text('{"torn')
    for number in range(100):
        letters = DeadLetters(tmp_path, 4096)
        letters.add("t", b"x" * 200, f"reason {number}", START)
        letters.flush()
    files = sorted(tmp_path.glob("dead-letters*.jsonl"))
    assert [path.name for path in files] == ["dead-letters.1.jsonl", "dead-letters.jsonl"]
    assert all(path.stat().st_size <= 4096 for path in files)
    assert "reason 99" in files[1].read_text()
    assert "torn" not in files[0].read_text()
