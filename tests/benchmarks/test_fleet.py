"""A small fleet with all its faults, each time the tests run; the large one is `python -m benchmarks.simulation.fleet`."""

from pathlib import Path

import pytest

from benchmarks.load.drain import drain
from benchmarks.simulation.devices import expected, message, players
from benchmarks.simulation.fleet import Pool, lines, play
from collector.store.load import load
from collector.store.rows import row
from tests.support.brokers import needs_mosquitto

pytestmark = needs_mosquitto


def test_the_store_is_what_was_sent_whatever_happens(tmp_path: Path) -> None:
    """Fifty devices for two hours of theirs, with outages, restarts, repeats and wrong clocks, the collector killed
    three times: sorted, the lines of the store are those that were sent, byte for byte."""
    outcome = play(tmp_path, devices=50, minutes=120, pace_s=0.05, kills=3)
    assert (outcome.lost, outcome.extra) == (0, 0)
    assert outcome.expected == outcome.stored == 50 * 120
    assert outcome.sent > outcome.expected, "some were sent twice"
    days = {path.parts[-3] for path in tmp_path.glob("store/date=*/site=*/*.csv")}
    assert {"date=1970-01-01", "date=2026-03-28"} <= days, "some clocks were never set"
    assert load(tmp_path / "store")["doubtful_low"].sum() > 0, "some visits were doubtful"


def test_a_line_too_few_or_changed_is_noticed(tmp_path: Path) -> None:
    """The comparison is one: of a store of which one line is another, one is lost and one invented."""
    (player,) = players(1, 1)
    text = [expected(message(counts)[1]) for minute in range(5) for counts in player.minute(minute)]
    folder = tmp_path / "date=2026-03-28" / "site=shop-000"
    folder.mkdir(parents=True)
    (folder / "counts-x-y.csv").write_text("header\n" + "".join([*text[1:], text[1].replace("synced", "replay")]))
    assert len(set(text) - set(lines(tmp_path))) == 1
    assert len(set(lines(tmp_path)) - set(text)) == 1


def test_the_oracle_writes_lines_as_the_store_does() -> None:
    """From JSON alone, the line that `collector.store.rows` makes of the message."""
    sent = [counts for player in players(20, 3) for minute in range(30) for counts in player.minute(minute)]
    for counts in sent:
        assert expected(message(counts)[1]) == row(counts)
    assert {counts.schema for counts in sent} == {1, 2}, "some have doubtful visits"


def test_a_queue_is_drained_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two thousand messages wait for the collector and for mosquitto_sub; both get all."""
    assert drain(tmp_path, 20, 2000, Pool) == 0
    assert (tmp_path / "peer.txt").read_bytes().count(b"\n") == 2000
    assert "ratio" in capsys.readouterr().out
