"""Detection yields to heat, and comes back."""

from itertools import pairwise

from edge.system.thermal import EVERY_S, PATIENCE_S, ThermalThrottle
from tests.support.fakes import lines_of


class Oven:
    """A processor that gets hotter the more it does: ``idle`` degrees, and so many more at full rate."""

    def __init__(self, idle, work):
        self.idle, self.work, self.now = idle, work, idle
        self.governor = ThermalThrottle(lambda: self.now)

    def minutes(self, count):
        """The factors of so many minutes, one a second."""
        factors = []
        for _ in range(count * 60):
            factors.append(self.governor.update(float(len(factors))))
            target = self.idle + self.work / factors[-1]
            self.now += (target - self.now) / 120  # two minutes of thermal inertia
        return factors


def test_a_cool_device_looks_at_every_frame():
    """Nothing changes, nothing is said."""
    with lines_of("edge.system.thermal") as said:
        assert set(Oven(40, 20).minutes(60)) == {1}
    assert said == []


def test_a_hot_device_finds_its_rate_below_the_limit():
    """Full rate would make 92 degrees: it is halved before the firmware throttles at 80, and stays there without
    swinging."""
    oven = Oven(52, 40)
    factors = oven.minutes(240)
    assert max(factors) == 2
    assert oven.now < 75
    changes = sum(a != b for a, b in pairwise(factors))
    assert changes == 1


def test_the_hottest_device_still_looks():
    """In the sun at 79 degrees doing nothing: one frame in eight, no less."""
    assert max(Oven(79, 10).minutes(60)) == 8


def test_the_rate_comes_back_when_it_is_cool():
    """A step a minute, down to every frame."""
    temperature = [80.0]
    governor = ThermalThrottle(lambda: temperature[0])
    now = 0.0
    while governor.update(now) < 8:
        now += 1
    assert now <= 3 * PATIENCE_S + EVERY_S
    temperature[0] = 50.0
    begin = now
    while governor.update(now) > 1:
        now += 1
    assert now - begin <= 3 * (PATIENCE_S + EVERY_S)


def test_a_board_that_does_not_say_is_never_slowed():
    """No temperature, no change."""
    governor = ThermalThrottle(lambda: None)
    assert {governor.update(float(second)) for second in range(0, 600, 5)} == {1}
