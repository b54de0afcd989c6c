"""Prediction of a face's position, and assignment of detections to tracks."""

import itertools
import math
import random

import pytest

from edge.counting.association import Motion, assign
from tests.support.fakes import face


def smallest_sum(costs):
    """The smallest sum of costs over all assignments."""
    rows, columns = len(costs), len(costs[0])
    choices = itertools.product(range(-1, columns), repeat=rows)
    free = [each for each in choices if len({c for c in each if c >= 0}) == sum(c >= 0 for c in each)]
    return min(sum(costs[row][column] for row, column in enumerate(each) if column >= 0) for each in free)


def test_pairs_have_the_smallest_sum():
    """On random costs, some of them infinite, the assignment is as good as the best of all."""
    rng = random.Random(1)
    for _ in range(300):
        rows, columns = rng.randint(1, 4), rng.randint(1, 4)
        costs = [[rng.gauss(0, 3) if rng.random() < 0.8 else math.inf for _ in range(columns)] for _ in range(rows)]
        pairs = assign(costs)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
        assert sum(costs[row][column] for row, column in pairs) == pytest.approx(smallest_sum(costs))


@pytest.mark.parametrize("costs", [[], [[]], [[1.0, math.inf]], [[0.0]]])
def test_nothing_is_paired_at_no_gain(costs):
    """A pair whose cost is not negative stays unassigned."""
    assert assign(costs) == []


def test_both_keep_their_own_though_one_is_nearest_to_both():
    """Both tracks are assigned. Greedy assignment of the best pair first would leave one without a detection."""
    assert assign([[-5.0, -4.0], [-4.5, math.inf]]) == [(1, 0), (0, 1)]


@pytest.mark.parametrize("fps", [30, 10, 5])
def test_a_walker_is_expected_where_they_go(fps):
    """After one second the estimated speed is right within 10 %, at any frame rate."""
    motion = Motion.from_detection(face(0, 100, 50))
    for index in range(1, fps + 1):
        motion = motion.predict(1 / fps).update(face(150 * index / fps, 100, 50))
    assert motion.vx == pytest.approx(150, rel=0.1)
    assert motion.predict(0.2).x == pytest.approx(150 + 30, abs=5)


def test_steps_do_not_matter():
    """A prediction in ten steps equals one in a single step."""
    motion = Motion.from_detection(face(100, 100, 50)).predict(0.1).update(face(110, 100, 50))
    steps = motion
    for _ in range(10):
        steps = steps.predict(0.05)
    once = motion.predict(0.5)
    for name in ("x", "vx", "position_variance", "covariance", "speed_variance", "size_variance"):
        assert getattr(steps, name) == pytest.approx(getattr(once, name))


def test_a_far_face_can_belong_to_a_track_lost_for_longer():
    """A distant face can belong to a track after a second, not after a frame. A face of half the size never does."""
    motion = Motion.from_detection(face(100, 100, 50))
    for _ in range(30):
        motion = motion.predict(1 / 30).update(face(100, 100, 50))
    assert motion.predict(1 / 30).cost(face(200, 100, 50)) > 0 > motion.predict(1.0).cost(face(150, 100, 50))
    assert motion.predict(1.0).cost(face(100, 100, 25)) == math.inf
