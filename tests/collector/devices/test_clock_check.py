"""The clock of the machine is trusted if it has not jumped and the devices' clocks agree."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from collector.devices.clock_check import MAX_DIFFERENCE, DeviceClocks
from tests.support.machine_clock import Machine, every_half_hour
from tests.support.store import START

NOW = START + timedelta(days=60)
YEAR = timedelta(days=365)


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
