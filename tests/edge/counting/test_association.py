"""Where a face is expected, and which face goes with which track."""

import itertools
import math
import random

import pytest

from edge.counting.association import Motion, assign
from tests.support.fakes import face


def best(costs):
    """The smallest sum, by trying all."""
    rows, columns = len(costs), len(costs[0])
    choices = itertools.product(range(-1, columns), repeat=rows)
    free = [each for each in choices if len({c for c in each if c >= 0}) == sum(c >= 0 for c in each)]
    return min(sum(costs[row][column] for row, column in enumerate(each) if column >= 0) for each in free)


def test_pairs_have_the_smallest_sum():
    """On random costs, some of them impossible, as good as trying all."""
    rng = random.Random(1)
    for _ in range(300):
        rows, columns = rng.randint(1, 4), rng.randint(1, 4)
        costs = [[rng.gauss(0, 3) if rng.random() < 0.8 else math.inf for _ in range(columns)] for _ in range(rows)]
        pairs = assign(costs)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
        assert sum(costs[row][column] for row, column in pairs) == pytest.approx(best(costs))


@pytest.mark.parametrize("costs", [[], [[]], [[1.0, math.inf]], [[0.0]]])
def test_nothing_is_paired_at_no_gain(costs):
    """A cost that is not negative is no pair."""
    assert assign(costs) == []


def test_both_keep_their_own_though_one_is_nearest_to_both():
    """The nearest pair first would leave the second track alone."""
    assert assign([[-5.0, -4.0], [-4.5, math.inf]]) == [(1, 0), (0, 1)]


@pytest.mark.parametrize("fps", [30, 10, 5])
def test_a_walker_is_expected_where_they_go(fps):
    """After a second the speed is known within a tenth, whatever the rate."""
    motion = Motion.of(face(0, 100, 50))
    for index in range(1, fps + 1):
        motion = motion.after(1 / fps).corrected(face(150 * index / fps, 100, 50))
    assert motion.vx == pytest.approx(150, rel=0.1)
    assert motion.after(0.2).x == pytest.approx(150 + 30, abs=5)


def test_steps_do_not_matter():
    """Predicted in one step or in ten, the estimate is the same."""
    motion = Motion.of(face(100, 100, 50)).after(0.1).corrected(face(110, 100, 50))
    steps = motion
    for _ in range(10):
        steps = steps.after(0.05)
    once = motion.after(0.5)
    for name in ("x", "vx", "place_variance", "covariance", "speed_variance", "size_variance"):
        assert getattr(steps, name) == pytest.approx(getattr(once, name))


def test_the_longer_a_track_is_lost_the_less_is_a_far_face_its_own():
    """A face two sizes away is the track's after a second, not after a frame; one of half the size never is."""
    motion = Motion.of(face(100, 100, 50))
    for _ in range(30):
        motion = motion.after(1 / 30).corrected(face(100, 100, 50))
    assert motion.after(1 / 30).cost(face(200, 100, 50)) > 0 > motion.after(1.0).cost(face(150, 100, 50))
    assert motion.after(1.0).cost(face(100, 100, 25)) == math.inf
