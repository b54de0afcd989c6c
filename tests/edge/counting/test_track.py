"""Which detections become tracks, and which tracks become visits, frame by frame."""

import random

import pytest

from edge.counting.totals import LOW_SCORE
from edge.counting.track import Tracker
from edge.settings import TrackSettings
from tests.support.fakes import each_frame, face, walk
from tests.support.tracks import SHAPE, follow, numbers, standing

RATES = [30, 15, 5]


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("speed", [20, 80, 200])
def test_walker_is_one_track_and_one_visit(fps, speed):
    """A person who walks by is one visit at any rate and speed, with a noisy detector that misses some frames."""
    crossing = walk(1, 1 + 600 / speed, lambda t: (20 + speed * (t - 1), 200 + 30 * t / 4))
    visits, seen = follow(fps, 5 + 600 / speed, crossing, noise=1.0, missed=0.1 if fps > 5 else 0)
    assert numbers(seen) == [0]
    assert [track.number for _, track in visits] == [0]


@pytest.mark.parametrize("fps", RATES)
def test_two_who_cross_keep_their_numbers(fps):
    """Two people who pass each other keep their track numbers."""
    right = walk(0, 6, lambda t: (20 + 100 * t, 215))
    left = walk(0, 6, lambda t: (620 - 100 * t, 250))
    visits, seen = follow(fps, 9, right, left, noise=0.5)
    assert len(visits) == 2
    last = {number: place for _, tracks in seen for number, place in tracks.items()}
    assert set(last) == {0, 1}
    assert last[0][0] > 600
    assert last[1][0] < 40


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize(("gap", "visits"), [(0.5, 1), (1.2, 1), (2.0, 2), (10.0, 2)])
def test_gap_decides_whether_it_is_the_same_visit(fps, gap, visits):
    """A track lost for less than ``gap_s`` (1.5 s) and found again nearby is the same visit; later it is another."""
    first, again = walk(0, 3, standing()), walk(3 + gap, 6 + gap, standing(325, 244))
    counted, seen = follow(fps, 9 + gap, first, again)
    assert len(counted) == visits
    assert numbers(seen) == list(range(visits))


@pytest.mark.parametrize("fps", RATES)
def test_walker_hidden_by_a_pillar_is_one_visit(fps):
    """A person who walks behind a pillar is found again at the predicted position."""
    before, after = (walk(*span, lambda t: (20 + 100 * t, 240)) for span in ((0, 3), (3.8, 6)))
    counted, _ = follow(fps, 9, before, after)
    assert len(counted) == 1


def test_face_far_away_within_the_gap_is_another_visit():
    """A face that appears within the gap across the room is a second visit."""
    counted, _ = follow(15, 9, walk(0, 3, standing(100)), walk(3.5, 6, standing(500)))
    assert len(counted) == 2


def test_face_of_another_size_is_another_visit():
    """A face of half the size is a person farther away, not the same track."""
    near, far = walk(0, 3, standing(size=120)), walk(3.2, 6, standing(size=50))
    counted, _ = follow(15, 9, near, far)
    assert len(counted) == 2


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("lasts", [0, 0.2, 0.35])
def test_short_track_is_no_visit(fps, lasts):
    """A face in view for less than ``min_visit_s`` (0.4 s) is no visit, at any rate."""
    counted, _ = follow(fps, 6, walk(1, 1 + lasts, standing()))
    assert counted == []


@pytest.mark.parametrize(("seconds", "visits"), [(0.2, 0), (1.0, 1)])
def test_idle_time_before_a_track_does_not_change_what_is_a_visit(seconds, visits):
    """After a minute at one frame per second, the limits hold at the frame rate during the track."""
    tracker, begin = Tracker(TrackSettings()), 60.0
    for time in each_frame(1, 0, begin - 1):
        tracker.update([], time, SHAPE)
    counted = []
    for time in each_frame(10, begin, begin + 4):
        faces = [face(*standing()(time))] if time <= begin + seconds else []
        counted += tracker.update(faces, time, SHAPE).visits
    assert len(counted) == visits


@pytest.mark.parametrize("fps", RATES)
def test_rare_detections_are_no_visit(fps):
    """A face detected in one frame every three seconds for a minute is no visit."""
    counted, _ = follow(fps, 60, *(walk(at, at + 0.01, standing()) for at in range(1, 60, 3)))
    assert counted == []


@pytest.mark.parametrize(("fps", "visits"), [(30, 0), (15, 0), (5, 1)])
def test_minimum_observations_scale_with_the_rate(fps, visits):
    """Four observations in one second are a visit at 5 frames per second, but not at 15 or 30."""
    detections = [walk(at - 0.01, at + 0.01, standing()) for at in (1.0, 1.4, 1.6, 2.0)]
    counted, _ = follow(fps, 6, *detections)
    assert len(counted) == visits


@pytest.mark.parametrize(("step", "visits"), [(50, 1), (70, 0)])
def test_two_detections_far_apart_are_no_visit(step, visits):
    """At 5 frames per second, two detections of one track are a visit at 1.25 face sizes apart, but not at 1.75."""
    counted, seen = follow(5, 6, walk(0.99, 1.21, lambda t: (200 + step * (t > 1.1), 240)))
    assert numbers(seen) == [0]
    assert len(counted) == visits


@pytest.mark.parametrize("is_partial", [False, True])
def test_face_at_the_border_that_a_partial_frame_lacks_has_not_left(is_partial):
    """A person who leaves slowly, and whom every third frame cannot show, is one visit; else the rest is another."""
    tracker, counted = Tracker(TrackSettings()), []
    for index in range(60):
        x, hidden = SHAPE[1] - 150 + 3.6 * index, index % 3 == 2
        shown = [] if hidden or x > SHAPE[1] + 9 else [face(x, 240, 60)]
        counted += tracker.update(shown, index / 10, SHAPE, is_partial=is_partial and hidden).visits
    assert len([*counted, *tracker.finish().visits]) == (1 if is_partial else 2)


@pytest.mark.parametrize("fps", RATES)
def test_one_second_is_a_visit(fps):
    """A face in view for one second is a visit at any rate."""
    counted, _ = follow(fps, 6, walk(1, 2, standing()))
    assert len(counted) == 1


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize(
    ("speed", "out"),
    [(105, 645), (25, 624), (180, 618)],
    ids=[
        "walked through the border",
        "cut off by the border when last seen",
        "inside when last seen, and beyond by now",
    ],
)
def test_one_leaves_where_another_enters(fps, speed, out):
    """A person who leaves at a border and another who enters there at once are two visits, not one who turns round."""
    leaves = walk(0, 3, lambda t: (out - speed * (3 - t), 240))
    enters = walk(3.4, 7, lambda t: (636 - 60 * (t - 3.4), 240))
    counted, _ = follow(fps, 10, leaves, enters)
    assert len(counted) == 2


@pytest.mark.parametrize("fps", RATES)
def test_person_lost_at_the_border_has_not_left(fps):
    """A person who stands at the border, half cut off, and is lost for a moment is one visit."""
    counted, _ = follow(fps, 10, walk(0, 3, standing(625)), walk(3.4, 7, standing(624)))
    assert len(counted) == 1


@pytest.mark.parametrize("fps", [15, 5])
def test_visitor_who_stays_is_counted_once(fps):
    """A visit that reaches ``max_visit_s`` is counted then, and not again when it ends."""
    counted, seen = follow(fps, 300, walk(0, 280, standing()))
    ((when, track),) = counted
    assert 180 <= when <= 180.5
    assert track.number == 0
    assert numbers(seen) == [0]


def test_track_that_is_no_visit_is_not_counted_after_max_visit_s():
    """A thing that moves about and rarely looks like a face is no visit, however long it stays."""
    tracker, visits = Tracker(TrackSettings()), []
    for index, time in enumerate(each_frame(5, 0, 200)):
        x, y, size = standing()(time)
        tracks = tracker.update([face(x, y, size, score=0.9 if index % 50 == 0 else 0.5)], time, SHAPE)
        visits += tracks.visits
    ended = tracker.finish()
    assert [*visits, *ended.visits] == []
    assert list(ended.rejected) == [LOW_SCORE]


@pytest.mark.parametrize("pause", [3, 11, 600])
@pytest.mark.parametrize("after", [0, 2])
def test_a_pause_is_no_frame_rate(pause, after):
    """Two detections before a pause are no visit, nor are they one with two detections after it."""
    tracker, visits = Tracker(TrackSettings()), []
    times = [index / 10 for index in range(22)] + [2.1 + pause + index / 10 for index in range(40)]
    for index, time in enumerate(times):
        faces = [face(300 + index, 240)] if 20 <= index < 22 + after else []
        visits += tracker.update(faces, time, SHAPE).visits
    assert [*visits, *tracker.finish().visits] == []


def test_counted_visitor_is_marked_as_such():
    """A track whose visit is counted is marked, so that later stages can skip it."""
    tracker = Tracker(TrackSettings(max_visit_s=10))
    marks = [tracker.update([face(*standing()(time))], time, SHAPE).seen[0].counted for time in each_frame(5, 0, 20)]
    assert marks == [False] * 51 + [True] * 50


def test_numbers_are_never_used_again():
    """A thousand short visits have a thousand numbers, all of which are reported as gone."""
    tracker, seen, gone = Tracker(TrackSettings()), set(), []
    for visit in range(1000):
        for index in range(6):
            time = visit * 3 + index / 10
            tracks = tracker.update([face(*standing()(time))], time, SHAPE)
            seen |= {track.number for track in tracks.seen}
            gone += tracks.gone
    assert seen == set(range(1000))
    assert gone == list(range(999))
    assert tracker.finish().gone == (999,)
    assert tracker.finish().gone == ()


def test_visit_ends_when_the_gap_is_over():
    """A visit is counted in the first frame after ``gap_s``, with its first and last second."""
    ((when, track),), _ = follow(10, 6, walk(1, 3, standing()))
    assert when == pytest.approx(4.6)
    assert (track.first, track.last, track.observations) == (1, 3, 21)


@pytest.mark.parametrize("fps", [1, 0.5, 0.3])
def test_a_slow_device_follows_a_standing_person(fps):
    """If frames are farther apart than ``gap_s``, a standing person is still one visit, and the next person another."""
    first, second = walk(4, 64, standing()), walk(94, 154, standing())
    counted, seen = follow(fps, 184, first, second, noise=1.0)
    assert [track.number for _, track in counted] == numbers(seen) == [0, 1]


def test_faces_are_not_followed_at_one_frame_in_twenty_seconds():
    """At one frame every twenty seconds every face is a new track, and none is a visit."""
    counted, seen = follow(0.05, 400, walk(0, 400, standing()))
    assert counted == []
    assert len(numbers(seen)) == 21


def test_visit_ends_while_the_camera_is_away():
    """Without frames a visit ends after ``gap_s``, too."""
    tracker = Tracker(TrackSettings())
    for time in each_frame(10, 0, 2):
        tracker.update([face(*standing()(time))], time, SHAPE)
    assert tracker.skip(3.0).visits == ()
    ended = tracker.skip(4.0)
    assert [track.number for track in ended.visits] == [0]
    assert ended.gone == (0,)
    assert tracker.finish().gone == ()


def test_group_is_as_many_visits_as_people():
    """Four people who walk side by side are four visits."""
    group = [walk(0, 5, lambda t, n=n: (60 + 60 * n + 60 * t, 240)) for n in range(4)]
    counted, seen = follow(15, 8, *group, noise=1.0)
    assert len(counted) == 4
    assert numbers(seen) == [0, 1, 2, 3]


def test_many_visits_agree_between_rates():
    """Sixty scripted visits are counted within 5 % at 30, 15 and 5 frames per second."""
    rng = random.Random(11)
    people = []
    for index in range(60):
        begin, lasts, y = 4 * index + rng.random(), rng.uniform(2, 8), rng.uniform(60, 420)
        people.append(walk(begin, begin + lasts, lambda t, b=begin, d=lasts, y=y: (640 * (t - b) / d, y, 50)))
    for fps in RATES:
        counted, _ = follow(fps, 255, *people, noise=1.0, missed=0.05)
        assert 57 <= len(counted) <= 63


def test_tracking_is_deterministic():
    """The tracker uses neither random numbers nor a clock."""
    people = [walk(n, n + 4, lambda t, n=n: (640 - 90 * (t - n), 100 + 50 * n)) for n in range(6)]
    first, second = (follow(15, 14, *people, noise=2.0, missed=0.2) for _ in range(2))
    assert first == second
