"""A small backlog is stored once although the broker is killed; `python -m benchmarks.load.backlog` runs large ones."""

from pathlib import Path

from benchmarks.load.backlog import Backlog, measure, report
from tests.support.brokers import needs_mosquitto


@needs_mosquitto
def test_every_window_of_a_backlog_is_stored_once(tmp_path: Path) -> None:
    """Two devices have four hours of windows, more than the broker may hold, and the broker writes almost nothing."""
    (tmp_path / "spools").mkdir()
    result = measure(tmp_path, tmp_path / "spools", devices=2, days=1 / 6)
    assert (result.expected, result.rows, result.different, result.kills) == (480, 480, 480, 2)
    assert result.stored_s is not None
    assert result.written / result.payload < 10


def test_what_is_missing_or_repeated_is_reported() -> None:
    """Windows without a row are lost, and rows beyond the different ones are stored twice."""
    text = report(Backlog(100, 1.0, None, 100, 99, 97, 50_000, 25_000, 2, 30.0), 2, 0.5)
    assert "lost: 3; stored twice: 2" in text
    assert "not within 3600 s" in text
    assert "0.50 per byte" in text
