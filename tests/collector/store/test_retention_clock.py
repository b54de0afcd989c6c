"""Old days are deleted only while the clock can be believed."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collector.devices.clock_check import APART, ClockHistory, Witnesses
from collector.store.retention import Retention
from tests.support.store import START, put, window

NOW = START + timedelta(days=60)
YEAR = timedelta(days=365)


class Machine:
    """A clock and a monotonic clock that can be set apart."""

    def __init__(self, now: datetime) -> None:
        self.now, self.seconds = now, 1000.0

    def passes(self, time: timedelta) -> None:
        self.now += time
        self.seconds += time.total_seconds()

    def history(self, root: Path) -> ClockHistory:
        return ClockHistory(root / "clock.json", lambda: self.now, lambda: self.seconds)


def minutes(machine: Machine, ask: Callable[[], object], time: timedelta) -> list[object]:
    """What is answered, asked each half hour."""
    told = []
    for _ in range(int(time / timedelta(minutes=30))):
        machine.passes(timedelta(minutes=30))
        told.append(ask())
    return told


def test_a_clock_is_believed_after_a_day_without_a_jump(tmp_path: Path) -> None:
    """From the first start on; over restarts; and anew after a jump, in either direction, seen or slept through."""
    machine = Machine(NOW)
    steady = machine.history(tmp_path).is_steady
    assert not steady()
    assert set(minutes(machine, steady, timedelta(hours=23))) == {False}
    machine.passes(timedelta(minutes=59))
    assert not steady()
    steady = machine.history(tmp_path).is_steady
    machine.passes(timedelta(minutes=1))
    assert steady(), "a restart does not begin anew"
    for jump in (YEAR, -YEAR, timedelta(hours=2)):
        machine.now += jump
        assert not steady()
        assert set(minutes(machine, steady, timedelta(hours=23, minutes=30))) == {False}
        machine.passes(timedelta(minutes=30))
        assert steady()
    machine.now += YEAR
    assert not machine.history(tmp_path).is_steady(), "a jump between two starts"
    (tmp_path / "clock.json").write_text("{")
    assert not machine.history(tmp_path).is_steady()


def test_a_clock_a_year_ahead_deletes_nothing(tmp_path: Path) -> None:
    """41 days, of which the clock says that all are too old: nothing goes within a day whatever is said, and nothing
    after it while most devices say another time, or nobody says anything. When they agree, days go.
    """
    put(tmp_path, *(window(number, start=START + timedelta(days=number)) for number in range(41)))
    machine = Machine(START + timedelta(days=41))
    history = machine.history(tmp_path)
    history.is_steady()
    minutes(machine, history.is_steady, timedelta(days=2))
    retention = Retention(tmp_path, 60, lambda: machine.now, history)
    assert retention.delete_oldest("agreed") is None, "nothing is too old yet"
    machine.now += YEAR
    assert set(minutes(machine, lambda: retention.delete_oldest("agreed"), timedelta(hours=23))) == {None}
    machine.passes(timedelta(hours=2))
    assert retention.delete_oldest("contradicted") is None
    assert retention.delete_oldest("unknown") is None
    assert len(list(tmp_path.glob("date=*"))) == 41
    assert retention.delete_oldest("agreed") == START.date()


@pytest.mark.parametrize(
    ("ahead_days", "known", "opinion"),
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
def test_most_devices_decide(ahead_days: list[int], known: int, opinion: str) -> None:
    """Two at least, and more than half; one where no other is known agrees but contradicts nothing."""
    witnesses = Witnesses()
    for number, days in enumerate(ahead_days):
        witnesses.note(number, NOW + timedelta(days=days), 0.0)
    assert witnesses.opinion(NOW, 0.0, known) == opinion
    later_s = 3600.0
    assert witnesses.opinion(NOW + timedelta(seconds=later_s), later_s, known) == opinion, "clocks go on"
    if opinion == "agreed":
        assert witnesses.opinion(NOW + APART * 2, 0.0, known) != "agreed", "this machine's clock has jumped"
        assert witnesses.opinion(NOW, 90_000.0, known) == "unknown", "heard too long ago"


def test_the_backlog_of_a_device_is_no_vote_against_the_present() -> None:
    """Windows of days ago follow the new ones within the same minutes: the latest time counts."""
    witnesses = Witnesses()
    chance = random.Random(1)
    for second in range(100):
        said = NOW if second % 40 == 0 else NOW - timedelta(days=chance.uniform(2, 30))
        for device in ("a", "b"):
            witnesses.note(device, said + timedelta(seconds=second), float(second))
    assert witnesses.opinion(NOW + timedelta(seconds=100), 100.0, 2) == "agreed"
