"""Retention deletes expired days once their cells are saved, and only while the clock can be trusted."""

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import msgspec

from collector.devices.clock_check import ClockHistory
from collector.rollups.cells import HOUR_S, QUARTER_S
from collector.rollups.retention import Retention, expired_days
from collector.rollups.rollup import Rollups
from collector.store.load import load
from tests.support.fakes import lines_of
from tests.support.machine_clock import Machine, every_half_hour
from tests.support.store import START, put, window

YEAR = timedelta(days=365)


def steady(root: Path, now: Callable[[], datetime]) -> ClockHistory:
    """Return the history of a clock that has not jumped for a day."""
    saved = {"last": now(), "believed_from": now() - timedelta(days=1)}
    (root / "clock.json").write_bytes(msgspec.json.encode(saved))
    return ClockHistory(root / "clock.json", now)


def test_old_days_are_deleted_and_their_cells_stay(tmp_path: Path) -> None:
    """With one day to keep, the oldest of three days is deleted and logged, and its cells still add up."""
    put(tmp_path, window(0), window(1), window(1441))
    now = lambda: datetime(2026, 3, 30, 12, tzinfo=timezone.utc)  # noqa: E731
    whole = Rollups(tmp_path, HOUR_S, now).cells()
    with lines_of("collector.rollups.retention") as logged:
        retention = Retention(tmp_path, 1, now, steady(tmp_path, now))
        assert retention.delete_oldest("agreed") == date(2026, 3, 28)
        assert retention.delete_oldest("agreed") is None
    assert sorted(path.name for path in tmp_path.glob("date=*")) == ["date=2026-03-29", "date=2026-03-30"]
    assert len(logged) == 1
    assert "event=deleted date=2026-03-28 files=1" in logged[0]
    left = Rollups(tmp_path, HOUR_S, now).cells()
    assert left["happiness"].sum() == whole["happiness"].sum() == 9
    assert len(load(tmp_path)) == 2


def test_today_never_expires(tmp_path: Path) -> None:
    """Today never expires, whatever the setting, nor does a folder that is not of the store."""
    for name in ("date=2026-03-28", "date=2026-03-29", "date=2026-03-31", "date=x", "notes"):
        (tmp_path / name).mkdir()
    assert expired_days(tmp_path, 0, date(2026, 3, 29)) == []
    assert expired_days(tmp_path, 1, date(2026, 3, 30)) == [date(2026, 3, 28)]


def test_a_day_whose_cells_cannot_be_saved_is_not_deleted(tmp_path: Path) -> None:
    """If a file is damaged or the roll-up cannot be written, the day stays and the reason is logged once."""
    put(tmp_path, window(0))
    late = lambda: START + timedelta(days=9)  # noqa: E731
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    text = path.read_text()
    path.write_text("a,b\n1,2\n")
    retention = Retention(tmp_path, 1, late, steady(tmp_path, late))
    with lines_of("collector.rollups.retention") as logged:
        assert retention.delete_oldest("agreed") is None
        path.write_text(text)
        (tmp_path / "_rollup").write_text("in the way")
        assert retention.delete_oldest("agreed") is None
        assert path.exists()
        (tmp_path / "_rollup").unlink()
        assert retention.delete_oldest("agreed") == START.date()
    assert [line.split()[0] for line in logged] == ["event=not_deleted", "event=deleted"], "logged once in two attempts"


def test_a_late_window_of_a_deleted_day_is_added_to_its_cells(tmp_path: Path) -> None:
    """A window that comes for a deleted day is added to the day's cells once and deleted, and so are the other days."""
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


def test_a_clock_a_year_ahead_deletes_nothing(tmp_path: Path) -> None:
    """A clock that jumps a year ahead deletes nothing within a day, and later only if the devices agree with it.

    By that clock all 41 days of the store have expired.
    """
    put(tmp_path, *(window(number, start=START + timedelta(days=number)) for number in range(41)))
    machine = Machine(START + timedelta(days=41))
    history = machine.history(tmp_path)
    history.is_steady()
    every_half_hour(machine, history.is_steady, timedelta(days=2))
    retention = Retention(tmp_path, 60, lambda: machine.now, history)
    assert retention.delete_oldest("agreed") is None, "no day has expired yet"
    machine.now += YEAR
    assert set(every_half_hour(machine, lambda: retention.delete_oldest("agreed"), timedelta(hours=23))) == {None}
    machine.advance(timedelta(hours=2))
    assert retention.delete_oldest("contradicted") is None
    assert retention.delete_oldest("unknown") is None
    assert len(list(tmp_path.glob("date=*"))) == 41
    assert retention.delete_oldest("agreed") == START.date()
