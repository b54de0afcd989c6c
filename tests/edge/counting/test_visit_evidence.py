"""Which tracks are visits by their scores, and which visits are doubtful."""

from dataclasses import replace

import pytest

from edge.counting.track import Tracker
from edge.settings import TrackSettings
from tests.support.fakes import each_frame, face, walk
from tests.support.tracks import SHAPE, follow, standing


def scored(begin, end, low, high=0.9, every=1):
    """Frames of a standing person whose score is high in every n-th frame only."""
    return [
        [face(*standing()(time), score=high if index % every == 0 else low)] if begin <= time <= end else []
        for index, time in enumerate(each_frame(10, 0, end + 4))
    ]


def visits_of(frames, settings=TrackSettings()):  # noqa: B008 (frozen)
    tracker = Tracker(settings)
    return [each for index, faces in enumerate(frames) for each in tracker.update(faces, index / 10, SHAPE).visits]


def test_a_low_score_continues_a_track():
    """A face whose score is high in every second frame is one visit with all observations."""
    (visit,) = visits_of(scored(1, 4, low=0.5, every=2))
    assert visit.observations == 31


def test_a_low_score_starts_no_track():
    """A face that never has a high score starts no track; a face below the low score does not continue one."""
    assert visits_of(scored(1, 8, low=0.7, every=1000)) == []
    assert [each.observations for each in visits_of(scored(1, 4, low=0.35, every=2))] == [16]


def test_a_visit_needs_a_minimum_ratio_of_high_scores():
    """A track with one high score in four is no visit by default; with a lower minimum it is."""
    assert visits_of(scored(1, 8, low=0.5, every=4)) == []
    assert len(visits_of(scored(1, 8, low=0.5, every=4), TrackSettings(min_high_ratio=0.2))) == 1


@pytest.mark.parametrize(
    ("low", "seconds", "speed", "frames", "visits"),
    [
        (0.6, 4.0, 2.5, 1, 1),
        (0.45, 4.0, 2.5, 1, 0),
        (0.6, 1.9, 3.0, 1, 0),
        (0.6, 4.0, 1.0, 1, 0),
        (0.6, 4.0, 2.5, 3, 0),
    ],
    ids=["steady", "low scores", "short", "slow", "in one frame of three"],
)
def test_a_steady_walk_may_have_few_high_scores(low, seconds, speed, frames, visits):
    """One high score in six is enough for a person who walks far, for long, in most frames, with medium scores."""
    shown = [
        [face(60 + 40 * speed * index / 10, 240, score=0.9 if index % (6 * frames) == 0 else low)]
        if index <= 10 * seconds and index % frames == 0
        else []
        for index in range(80)
    ]
    counted = visits_of(shown)
    assert len(counted) == visits
    assert all(visit.doubtful_low for visit in counted)


def test_a_single_track_is_not_doubtful():
    """A person who walks by alone is a visit without doubt."""
    ((_, visit),), _ = follow(15, 10, walk(1, 6, lambda t: (20 + 100 * t, 240)))
    assert (visit.doubtful_low, visit.doubtful_high) == (0, 0)


def test_near_misses_are_doubtful():
    """A face found again at the limit of what is likely makes the visit doubtful, whether it is joined or not."""
    results = []
    for away in range(20, 260, 5):
        again = walk(3.8, 6, standing(320 + away))
        counted, _ = follow(15, 9, walk(0, 3, standing()), again)
        low, high = (sum(getattr(each, name) for _, each in counted) for name in ("doubtful_low", "doubtful_high"))
        results.append((len(counted), low, high))
    assert results[0] == (1, 0, 0)
    assert results[-1] == (2, 0, 0)
    assert (1, 0, 1) in results
    assert (2, 1, 0) in results


@pytest.mark.parametrize(
    ("settings", "high", "low"),
    [
        (TrackSettings(), 0.6, 0.3),
        (TrackSettings(high_score=0.8), 0.8, 0.4),
        (TrackSettings(low_score=0.5), 0.6, 0.5),
        (TrackSettings(low_score=0.7), 0.6, 0.6),
    ],
)
def test_scores_are_the_detectors_unless_set(settings, high, low):
    """The detector's threshold is the high score. The low score is a fraction of it, and never above it."""
    resolved = settings.for_detector(0.6)
    assert (resolved.high, resolved.low) == (pytest.approx(high), pytest.approx(low))


def checked(scores):
    """Frames of a standing person whose detections have (score, face score)."""
    at = standing()
    found = [
        replace(face(*at(index / 10), score=score), checked=checked) for index, (score, checked) in enumerate(scores)
    ]
    return [*([each] for each in found), *([] for _ in range(40))]


def test_a_look_alike_starts_no_track():
    """A track starts by the face score alone: the detector may be certain all the time."""
    assert visits_of(checked([(0.9, 0.2)] * 40)) == []
    assert len(visits_of(checked([(0.9, 0.9)] * 40))) == 1


def test_a_face_that_the_border_cuts_off_starts_a_track():
    """The check is made for whole faces, so there the detector's score is enough. The visit needs high face scores."""
    frames = [[replace(face(8 + 6 * index, 240, score=0.9), checked=0.2 if index < 2 else 0.9)] for index in range(30)]
    (visit,) = visits_of([*frames, *([] for _ in range(40))])
    assert visit.observations == 30
    assert visits_of([[replace(face(8, 240 + index, score=0.9), checked=0.2)] for index in range(30)]) == []


def test_a_face_that_turns_away_stays_in_its_track():
    """Detections with a low face score continue a track by the detector's score, if it is not below the low one."""
    (visit,) = visits_of(checked([(0.9, 0.9)] * 20 + [(0.8, 0.1)] * 20))
    assert visit.observations == 40
    (visit,) = visits_of(checked([(0.9, 0.9)] * 20 + [(0.35, 0.1)] * 20))
    assert visit.observations == 20


def test_a_visit_needs_high_face_scores():
    """A person who shows the face for a moment is a visit; one who only shows the back of the head is none."""
    assert len(visits_of(checked([(0.9, 0.9 if index % 4 == 0 else 0.1) for index in range(70)]))) == 1
    assert visits_of(checked([(0.9, 0.9)] * 2 + [(0.9, 0.1)] * 68)) == []


def test_a_visit_needs_a_minimum_ratio_of_high_scores_of_the_detector():
    """Where the detector itself is seldom certain there is no visit, whatever the check says of single frames."""
    assert visits_of(checked([(0.9 if index % 4 == 0 else 0.5, 0.9) for index in range(70)])) == []
