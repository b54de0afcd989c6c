"""Several collectors share the counts, and old days are deleted: nothing is lost, nothing counts twice."""

import subprocess
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import msgspec

from collector.devices.clock_check import ClockHistory
from collector.devices.registry import read_devices
from collector.store.cells import HOUR_S, QUARTER_S
from collector.store.load import load
from collector.store.retention import Retention, too_old
from collector.store.rollup import Rollups
from contract.message import Status, encode
from contract.topics import topic
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, publish, start_collector, wait_until
from tests.support.fakes import lines_of
from tests.support.receiver import counts_messages, rows
from tests.support.store import START, put, window

BOOT = "0" * 15 + "1"


def start(root: Path, port: int, writer: str) -> subprocess.Popen[bytes]:
    """A collector that is one of a group."""
    return start_collector(root, port, "broker.share=all", f"store.writer={writer}")


def steady(root: Path, now: Callable[[], datetime]) -> ClockHistory:
    """A clock that has run without a jump for a day."""
    kept = {"last": now(), "believed_from": now() - timedelta(days=1)}
    (root / "clock.json").write_bytes(msgspec.json.encode(kept))
    return ClockHistory(root / "clock.json", now)


@needs_mosquitto
def test_two_collectors_share_the_counts_and_one_is_killed(tmp_path: Path) -> None:
    """Both write, each into files of its own; SIGKILL of one half-way and its return: each window is read once, and
    each window is in the files, of both together, at most as often as it was delivered."""
    port, root = free_port(), tmp_path / "store"
    status = (topic("shop-1", "door", "status"), encode(Status(schema=1, state="online", boot=BOOT)))
    with mosquitto(tmp_path, port):
        publish(port, [status], retain=True)
        one, two = start(root, port, "w1"), start(root, port, "w2")
        try:
            publish(port, counts_messages(range(2000)))
            two.kill()
            two.communicate()
            publish(port, counts_messages(range(2000, 4000)))
            two = start(root, port, "w2")
            wait_until(lambda: rows(root) == 4000, "all rows are there", 120)
            time.sleep(0.5)
        finally:
            for each in (one, two):
                each.terminate()
                each.communicate(timeout=10)
    assert list(load(root)["seq"]) == list(range(4000))
    by_writer = {
        writer: sum(text.count("\n") - 1 for path in root.glob(f"*/*/*-{writer}.csv") for text in [path.read_text()])
        for writer in ("w1", "w2")
    }
    assert min(by_writer.values()) > 100, "both had their share"
    assert sum(by_writer.values()) < 4200, "what is sent to both is what was not acknowledged, no more"
    assert {path.name for path in root.glob("devices*")} == {"devices-w1.json", "devices-w2.json"}
    assert [(each.state, each.boot) for each in read_devices(root)] == [("online", BOOT)], "retained words reach both"


def test_old_days_are_deleted_and_their_hours_stay(tmp_path: Path) -> None:
    """Of three days, with two to keep, the oldest goes; today never does; what was deleted is said, and still adds
    up."""
    put(tmp_path, window(0), window(1), window(1441))
    now = lambda: datetime(2026, 3, 30, 12, tzinfo=timezone.utc)  # noqa: E731
    whole = Rollups(tmp_path, HOUR_S, now).cells()
    with lines_of("collector.store.retention") as said:
        retention = Retention(tmp_path, 1, now, steady(tmp_path, now))
        assert retention.delete_oldest("agreed") == date(2026, 3, 28)
        assert retention.delete_oldest("agreed") is None
    assert sorted(path.name for path in tmp_path.glob("date=*")) == ["date=2026-03-29", "date=2026-03-30"]
    assert len(said) == 1
    assert "event=deleted date=2026-03-28 files=1" in said[0]
    left = Rollups(tmp_path, HOUR_S, now).cells()
    assert left["happiness"].sum() == whole["happiness"].sum() == 9
    assert len(load(tmp_path)) == 2


def test_today_is_never_too_old(tmp_path: Path) -> None:
    """Whatever the setting; nor is a folder that is none of ours."""
    for name in ("date=2026-03-28", "date=2026-03-29", "date=2026-03-31", "date=x", "notes"):
        (tmp_path / name).mkdir()
    assert too_old(tmp_path, 0, date(2026, 3, 29)) == []
    assert too_old(tmp_path, 1, date(2026, 3, 30)) == [date(2026, 3, 28)]


def test_a_day_whose_hours_cannot_be_kept_is_not_deleted(tmp_path: Path) -> None:
    """A file that is none of ours, or no leave to write: the day stays, and why is said."""
    put(tmp_path, window(0))
    late = lambda: START + timedelta(days=9)  # noqa: E731
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    text = path.read_text()
    path.write_text("a,b\n1,2\n")
    retention = Retention(tmp_path, 1, late, steady(tmp_path, late))
    with lines_of("collector.store.retention") as said:
        assert retention.delete_oldest("agreed") is None
        path.write_text(text)
        (tmp_path / "_rollup").write_text("in the way")
        assert retention.delete_oldest("agreed") is None
        assert path.exists()
        (tmp_path / "_rollup").unlink()
        assert retention.delete_oldest("agreed") == START.date()
    assert [line.split()[0] for line in said] == ["event=not_deleted", "event=deleted"], "once, though tried twice"


def test_a_window_that_comes_for_a_deleted_day_is_rolled_up_and_deleted_too(tmp_path: Path) -> None:
    """A device was away for longer than days are kept: its window adds to the day's cells, once, whoever asks, and the
    other days of the month are deleted as ever.
    """
    late = lambda: START + timedelta(days=40)  # noqa: E731
    put(tmp_path, window(0), window(1441))
    retention = Retention(tmp_path, 1, late, steady(tmp_path, late))
    assert retention.delete_oldest("agreed") == date(2026, 3, 28)
    put(tmp_path, window(0, device="was-away"))
    assert Rollups(tmp_path, HOUR_S, late).cells()["happiness"].sum() == 6, "not yet"
    assert retention.delete_oldest("agreed") == date(2026, 3, 28)
    assert retention.delete_oldest("agreed") == date(2026, 3, 30)
    assert retention.delete_oldest("agreed") is None
    put(tmp_path, window(1, device="was-away"))
    assert (
        Retention(tmp_path, 1, late, steady(tmp_path, late)).delete_oldest("agreed")
        == (START + timedelta(minutes=1)).date()
    )
    for cell_s in (HOUR_S, QUARTER_S):
        assert Rollups(tmp_path, cell_s, late).cells()["happiness"].sum() == 12
    assert list(tmp_path.glob("date=*")) == []
