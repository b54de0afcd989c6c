"""Faces that never move are remembered and ignored; people are not."""

import random

import pytest

from edge.counting.evidence import Evidence
from edge.counting.fixed_faces import FORGET_S, MAX_FIXED_FACES, FixedFaces
from edge.counting.track import Tracker
from edge.settings import TrackSettings
from tests.support.fakes import each_frame, face, swaying

SHAPE = (480, 640)


def followed(fps, end, at, tracker=None, begin=0.0):
    """Track the faces ``at`` each second. Returns all visits and the tracker."""
    tracker = tracker or Tracker(TrackSettings())
    visits = [each for t in each_frame(fps, begin, end) for each in tracker.update(at(t), t, SHAPE).visits]
    return visits, tracker


@pytest.mark.parametrize("fps", [30, 15, 5])
@pytest.mark.parametrize("seconds", [1, 5, 60, 200])
def test_a_face_on_a_screen_is_no_visit(fps, seconds):
    """A face on a screen is one fixed face and no visit, however long it is shown."""
    visits, tracker = followed(fps, seconds + 5, lambda t: [face(320, 240)] if t < seconds else [])
    assert visits == []
    assert len(tracker.fixed) == 1


@pytest.mark.parametrize("fps", [15, 5])
def test_a_poster_is_known_when_it_is_found_again(fps):
    """A poster with a noisy box is fixed after half a minute. Detected again for two seconds at a time, it is neither
    reported nor counted, but a person who stands beside it is.
    """
    rng = random.Random(1)

    def poster(t):
        return [face(320 + rng.gauss(0, 1), 240 + rng.gauss(0, 1))] if t < 30 or t % 6 < 2 else []

    visits, tracker = followed(fps, 35, poster)
    assert (visits, len(tracker.fixed)) == ([], 1)
    seen = set()
    visits = []
    for t in each_frame(fps, 36, 96):
        beside = [swaying(400, 240, t)] if 50 < t < 60 else []
        tracks = tracker.update(poster(t) + beside, t, SHAPE)
        seen |= {round(track.face.centre[0], -2) for track in tracks.seen}
        visits += tracks.visits
    assert seen == {400}
    assert len(visits) == 1


@pytest.mark.parametrize("fps", [30, 15, 5])
@pytest.mark.parametrize("stands", [1, 5, 60, 170])
def test_somebody_who_stands_is_a_visit(fps, stands):
    """A person who sways by a few hundredths of the face size is counted, however long they stand."""
    rng = random.Random(2)

    def person(t):
        x, y = swaying(320, 240, t).centre
        return [face(x + rng.gauss(0, 1), y + rng.gauss(0, 1))] if 1 <= t <= 1 + stands else []

    visits, tracker = followed(fps, stands + 5, person)
    assert len(visits) == 1
    assert len(tracker.fixed) == 0


def test_somebody_who_stands_where_a_poster_is_known_is_a_visit():
    """A person in front of a known poster is counted, because a person moves."""
    _, tracker = followed(10, 30, lambda t: [face(320, 240)])
    visits, _ = followed(10, 60, lambda t: [swaying(320, 240, t)] if 40 < t < 52 else [], tracker, begin=35)
    assert len(visits) == 1


def test_a_fixed_face_is_forgotten():
    """A fixed face that was not detected for an hour is forgotten."""
    fixed = FixedFaces()
    fixed.add(face(100, 100), 0.0)
    assert face(104, 100) in fixed
    assert face(120, 100) not in fixed
    assert face(100, 100, size=60) not in fixed
    fixed.forget(FORGET_S)
    assert len(fixed) == 1
    fixed.forget(FORGET_S + 1)
    assert len(fixed) == 0


def test_fixed_faces_are_bounded():
    """At most 64 fixed faces are remembered."""
    fixed = FixedFaces()
    for x in range(1000):
        fixed.add(face(100.0 * x, 100), 0.0)
    assert len(fixed) == 64


def test_noise_is_not_motion():
    """A box with noise is still; a box that drifts by less than its noise moves."""
    rng = random.Random(3)
    still, drifts = Evidence(), Evidence()
    for index in range(150):
        still.add(face(320 + rng.gauss(0, 1), 240 + rng.gauss(0, 1)), True)
        drifts.add(face(320 + 0.06 * index + rng.gauss(0, 1), 240 + rng.gauss(0, 1)), True)
    assert still.is_still(10.0)
    assert not still.is_moving()
    assert not drifts.is_still(10.0)
    assert drifts.is_moving()


def test_a_poster_that_is_seen_all_the_time_is_never_replaced():
    """Of too many fixed faces, the one that was detected longest ago goes."""
    fixed, poster = FixedFaces(), face(320, 240)
    for second in range(2 * MAX_FIXED_FACES):
        fixed.add(poster, second)
        fixed.add(face(1000 + 50 * second, 240), second)
    assert poster in fixed
    assert len(fixed) == MAX_FIXED_FACES
