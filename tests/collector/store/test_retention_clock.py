"""Days are deleted only while the clock of the machine can be trusted."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collector.devices.clock_check import MAX_DIFFERENCE, ClockHistory, DeviceClocks
from collector.store.retention import Retention
from tests.support.store import START, put, window

NOW = START + timedelta(days=60)
YEAR = timedelta(days=365)


class Machine:
    """A clock and a monotonic clock that can be set independently."""

    def __init__(self, now: datetime) -> None:
        self.now, self.seconds = now, 1000.0

    def advance(self, time: timedelta) -> None:
        self.now += time
        self.seconds += time.total_seconds()

    def history(self, root: Path) -> ClockHistory:
        return ClockHistory(root / "clock.json", lambda: self.now, lambda: self.seconds)


def every_half_hour(machine: Machine, ask: Callable[[], object], time: timedelta) -> list[object]:
    """Return the answers to a question that is asked each half hour."""
    answers = []
    for _ in range(int(time / timedelta(minutes=30))):
        machine.advance(timedelta(minutes=30))
        answers.append(ask())
    return answers


def test_a_clock_is_steady_after_a_day_without_a_jump(tmp_path: Path) -> None:
    """The day begins at the first start, goes on over restarts, and begins anew after a jump in either direction."""
    machine = Machine(NOW)
    steady = machine.history(tmp_path).is_steady
    assert not steady()
    assert set(every_half_hour(machine, steady, timedelta(hours=23))) == {False}
    machine.advance(timedelta(minutes=59))
    assert not steady()
    steady = machine.history(tmp_path).is_steady
    machine.advance(timedelta(minutes=1))
    assert steady(), "the day goes on over a restart"
    for jump in (YEAR, -YEAR, timedelta(hours=2)):
        machine.now += jump
        assert not steady()
        assert set(every_half_hour(machine, steady, timedelta(hours=23, minutes=30))) == {False}
        machine.advance(timedelta(minutes=30))
        assert steady()
    machine.now += YEAR
    assert not machine.history(tmp_path).is_steady(), "a jump while the collector was stopped"
    (tmp_path / "clock.json").write_text("{")
    assert not machine.history(tmp_path).is_steady()


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


@pytest.mark.parametrize(
    ("ahead_days", "known", "agreement"),
    [
        ([], 3, "unknown"),
        ([0], 1, "agreed"),
        ([0], 2, "unknown"),
        ([-365], 1, "unknown"),
        ([0, 0], 2, "agreed"),
        ([-365, -365], 2, "contradicted"),
        ([-365, -365, -365, 0, 0], 5, "contradicted"),
        ([365, 0, 0], 3, "agreed"),
        ([365, 365, 0, 0], 4, "unknown"),
    ],
)
def test_the_majority_of_devices_decides(ahead_days: list[int], known: int, agreement: str) -> None:
    """Two devices and more than half must report the same. A single known device can agree but not contradict."""
    device_clocks = DeviceClocks()
    for number, days in enumerate(ahead_days):
        device_clocks.add(number, NOW + timedelta(days=days), 0.0)
    assert device_clocks.agreement(NOW, 0.0, known) == agreement
    later_s = 3600.0
    assert device_clocks.agreement(NOW + timedelta(seconds=later_s), later_s, known) == agreement, (
        "the device clocks advance"
    )
    if agreement == "agreed":
        assert device_clocks.agreement(NOW + MAX_DIFFERENCE * 2, 0.0, known) != "agreed", (
            "this machine's clock has jumped"
        )
        assert device_clocks.agreement(NOW, 90_000.0, known) == "unknown", "the readings are too old"


def test_the_backlog_of_a_device_does_not_contradict_the_clock() -> None:
    """Windows of days ago that follow new ones within two minutes do not count as readings."""
    device_clocks = DeviceClocks()
    rng = random.Random(1)
    for second in range(100):
        reported = NOW if second % 40 == 0 else NOW - timedelta(days=rng.uniform(2, 30))
        for device in ("a", "b"):
            device_clocks.add(device, reported + timedelta(seconds=second), float(second))
    assert device_clocks.agreement(NOW + timedelta(seconds=100), 100.0, 2) == "agreed"
