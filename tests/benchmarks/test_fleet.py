"""A small simulated fleet with all its faults; `python -m benchmarks.simulation.fleet` runs a large one."""

from pathlib import Path

import pytest

from benchmarks.load.drain import drain
from benchmarks.simulation.devices import expected_row, message, simulated_devices
from benchmarks.simulation.fleet import rows, simulate
from collector.store.load import load
from collector.store.rows import row
from tests.support.brokers import needs_mosquitto

pytestmark = needs_mosquitto


def test_the_store_holds_what_was_sent_despite_all_faults(tmp_path: Path) -> None:
    """The sorted lines of the store are those sent, byte for byte.

    Fifty devices run for two simulated hours with outages, restarts, repeats and wrong clocks; the collector is killed
    three times.
    """
    outcome = simulate(tmp_path, devices=50, minutes=120, minute_s=0.05, kills=3)
    assert (outcome.lost, outcome.extra) == (0, 0)
    assert outcome.expected == outcome.stored == 50 * 120
    assert outcome.sent > outcome.expected, "some messages are sent twice"
    days = {path.parts[-3] for path in tmp_path.glob("store/date=*/site=*/*.csv")}
    assert {"date=1970-01-01", "date=2026-03-28"} <= days, "some clocks are not set"
    assert load(tmp_path / "store")["doubtful_low"].sum() > 0, "some visits are doubtful"


def test_a_lost_and_a_changed_line_are_found(tmp_path: Path) -> None:
    """If one line of the store is replaced, one line is lost and one was never sent."""
    (device,) = simulated_devices(1, 1)
    text = [expected_row(message(counts)[1]) for minute in range(5) for counts in device.minute(minute)]
    folder = tmp_path / "date=2026-03-28" / "site=shop-000"
    folder.mkdir(parents=True)
    (folder / "counts-x-y.csv").write_text("header\n" + "".join([*text[1:], text[1].replace("synced", "replay")]))
    assert len(set(text) - set(rows(tmp_path))) == 1
    assert len(set(rows(tmp_path)) - set(text)) == 1


def test_expected_rows_are_those_of_the_store() -> None:
    """The row computed from JSON alone equals that of `collector.store.rows`."""
    sent = [counts for device in simulated_devices(20, 3) for minute in range(30) for counts in device.minute(minute)]
    for counts in sent:
        assert expected_row(message(counts)[1]) == row(counts)
    assert {counts.schema for counts in sent} == {1, 2}, "some messages have doubtful visits"


def test_a_queue_is_drained_completely(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Collector and mosquitto_sub each receive all of 2,000 queued messages."""
    assert drain(tmp_path, 20, 2000) == 0
    assert (tmp_path / "peer.txt").read_bytes().count(b"\n") == 2000
    assert "ratio" in capsys.readouterr().out
