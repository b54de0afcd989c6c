"""The detection rate falls while the processor is hot, and is restored afterwards."""

from itertools import pairwise

from edge.system.thermal import READ_EVERY_S, STEP_EVERY_S, ThermalThrottle
from tests.support.fakes import lines_of


class SimulatedProcessor:
    """A simulated processor: ``idle`` degrees without load, and ``work`` degrees more at the full rate."""

    def __init__(self, idle, work):
        self.idle, self.work, self.celsius = idle, work, idle
        self.throttle = ThermalThrottle(lambda: self.celsius)

    def run(self, minutes):
        """Run for some minutes. Returns the factor of every second."""
        factors = []
        for _ in range(minutes * 60):
            factors.append(self.throttle.update(float(len(factors))))
            target = self.idle + self.work / factors[-1]
            self.celsius += (target - self.celsius) / 120  # two minutes of thermal inertia
        return factors


def test_a_cool_device_detects_on_every_frame():
    """On a cool device the factor stays 1, and nothing is logged."""
    with lines_of("edge.system.thermal") as logged:
        assert set(SimulatedProcessor(40, 20).run(60)) == {1}
    assert logged == []


def test_a_hot_device_finds_its_rate_below_the_limit():
    """A device that would reach 92 degrees at the full rate is halved once, before the firmware throttles at 80, and
    does not oscillate."""
    processor = SimulatedProcessor(52, 40)
    factors = processor.run(240)
    assert max(factors) == 2
    assert processor.celsius < 75
    changes = sum(a != b for a, b in pairwise(factors))
    assert changes == 1


def test_the_hottest_device_still_detects():
    """A device at 79 degrees without load detects on one frame in eight, no less."""
    assert max(SimulatedProcessor(79, 10).run(60)) == 8


def test_the_rate_comes_back_when_it_is_cool():
    """The rate falls and rises in steps of one minute."""
    temperature = [80.0]
    throttle = ThermalThrottle(lambda: temperature[0])
    now = 0.0
    while throttle.update(now) < 8:
        now += 1
    assert now <= 3 * STEP_EVERY_S + READ_EVERY_S
    temperature[0] = 50.0
    begin = now
    while throttle.update(now) > 1:
        now += 1
    assert now - begin <= 3 * (STEP_EVERY_S + READ_EVERY_S)


def test_a_board_without_a_sensor_is_never_throttled():
    """If the temperature is unknown, the factor stays 1."""
    throttle = ThermalThrottle(lambda: None)
    assert {throttle.update(float(second)) for second in range(0, 600, 5)} == {1}
