"""Frame-by-frame stories of who is followed and when a visit is one."""

import random

import pytest

from edge.counting.track import Tracker
from edge.settings import TrackSettings
from tests.support.fakes import each_frame, face, swaying, walk

SHAPE = (480, 640)
RATES = [30, 15, 5]


def standing(x=320.0, y=240.0, size=40.0):
    """Centre and size, at a second, of somebody who stands."""

    def at(time):
        there = swaying(x, y, time, size)
        return *there.centre, size

    return at


def story(fps, end, *people, begin=0.0, settings=TrackSettings(), noise=0.0, missed=0.0):  # noqa: B008 (frozen)
    """People before a camera for so long -> (second, visits counted), and at the end the tracks that saw each face.

    ``noise`` shakes each box by that many pixels, ``missed`` is the share of faces the detector does not find.
    """
    chance = random.Random(4)
    tracker, visits, seen = Tracker(settings), [], []
    for time in each_frame(fps, begin, end):
        faces = [found for person in people for found in person(time) if chance.random() >= missed]
        faces = [face(*(c + chance.gauss(0, noise) for c in one.centre), one.size) for one in faces]
        tracks = tracker.update(faces, time, SHAPE)
        visits += [(time, each) for each in tracks.visits]
        seen.append((time, {each.number: each.face.centre for each in tracks.seen}))
    visits += [(end, each) for each in tracker.finish().visits]
    return visits, seen


def numbers(seen):
    """All track numbers, in the order in which they came."""
    return list(dict.fromkeys(number for _, tracks in seen for number in tracks))


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("speed", [20, 80, 200])
def test_walker_is_one_track_and_one_visit(fps, speed):
    """Somebody who walks by is one visit, at whatever rate and speed, with a shaking detector that misses some."""
    crossing = walk(1, 1 + 600 / speed, lambda t: (20 + speed * (t - 1), 200 + 30 * t / 4))
    visits, seen = story(fps, 5 + 600 / speed, crossing, noise=1.0, missed=0.1 if fps > 5 else 0)
    assert numbers(seen) == [0]
    assert [track.number for _, track in visits] == [0]


@pytest.mark.parametrize("fps", RATES)
def test_two_who_cross_keep_their_numbers(fps):
    """Where two walkers pass each other in the picture, each goes on as who they were."""
    right = walk(0, 6, lambda t: (20 + 100 * t, 215))
    left = walk(0, 6, lambda t: (620 - 100 * t, 250))
    visits, seen = story(fps, 9, right, left, noise=0.5)
    assert len(visits) == 2
    last = {number: place for _, tracks in seen for number, place in tracks.items()}
    assert set(last) == {0, 1}
    assert last[0][0] > 600
    assert last[1][0] < 40


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize(("gap", "visits"), [(0.5, 1), (1.2, 1), (2.0, 2), (10.0, 2)])
def test_gap_decides_whether_it_is_the_same_visit(fps, gap, visits):
    """Lost for less than ``gap_s`` (1.5 s) and found again near by is the same visit; for longer is another."""
    first, again = walk(0, 3, standing()), walk(3 + gap, 6 + gap, standing(325, 244))
    counted, seen = story(fps, 9 + gap, first, again)
    assert len(counted) == visits
    assert numbers(seen) == list(range(visits))


@pytest.mark.parametrize("fps", RATES)
def test_walker_hidden_by_a_pillar_is_one_visit(fps):
    """Somebody who goes on at the same pace behind something is found where they should be."""
    before, after = (walk(*span, lambda t: (20 + 100 * t, 240)) for span in ((0, 3), (3.8, 6)))
    counted, _ = story(fps, 9, before, after)
    assert len(counted) == 1


def test_gap_far_away_is_somebody_else():
    """Found again within the gap, but across the room: two."""
    counted, _ = story(15, 9, walk(0, 3, standing(100)), walk(3.5, 6, standing(500)))
    assert len(counted) == 2


def test_face_of_another_size_is_somebody_else():
    """Behind one who stands near somebody else is far away: the box does not jump to half its size."""
    near, far = walk(0, 3, standing(size=120)), walk(3.2, 6, standing(size=50))
    counted, _ = story(15, 9, near, far)
    assert len(counted) == 2


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("lasts", [0, 0.2, 0.35])
def test_flicker_is_nobody(fps, lasts):
    """What is seen for less than ``min_visit_s`` (0.4 s) is no visit, whatever the rate."""
    counted, _ = story(fps, 6, walk(1, 1 + lasts, standing()))
    assert counted == []


@pytest.mark.parametrize("fps", RATES)
def test_poster_glimpsed_now_and_then_is_nobody(fps):
    """A face found in one frame every three seconds for a minute never gathers to a visit."""
    counted, _ = story(fps, 60, *(walk(at, at + 0.01, standing()) for at in range(1, 60, 3)))
    assert counted == []


@pytest.mark.parametrize(("fps", "visits"), [(30, 0), (15, 0), (5, 1)])
def test_sightings_needed_grow_with_the_rate(fps, visits):
    """Four sightings in a second: of five frames that is somebody, of fifteen or thirty it is a poster's reflection."""
    glimpses = [walk(at - 0.01, at + 0.01, standing()) for at in (1.0, 1.4, 1.6, 2.0)]
    counted, _ = story(fps, 6, *glimpses)
    assert len(counted) == visits


@pytest.mark.parametrize("fps", RATES)
def test_second_of_somebody_is_a_visit(fps):
    """One second is enough, at any rate."""
    counted, _ = story(fps, 6, walk(1, 2, standing()))
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
    """Who walks out at an edge while somebody comes in there, just then, are two visits, not one who turns round."""
    leaves = walk(0, 3, lambda t: (out - speed * (3 - t), 240))
    enters = walk(3.4, 7, lambda t: (636 - 60 * (t - 3.4), 240))
    counted, _ = story(fps, 10, leaves, enters)
    assert len(counted) == 2


@pytest.mark.parametrize("fps", RATES)
def test_one_who_looks_away_at_the_edge_is_one(fps):
    """Who stands at the border, half cut off, and is missed for a moment has not left."""
    counted, _ = story(fps, 10, walk(0, 3, standing(625)), walk(3.4, 7, standing(624)))
    assert len(counted) == 1


@pytest.mark.parametrize("fps", [15, 5])
def test_visitor_who_stays_is_counted_once(fps):
    """A visit closed by ``max_visit_s`` is counted then, and not again while it lasts, nor when it ends."""
    counted, seen = story(fps, 300, walk(0, 280, standing()))
    ((when, track),) = counted
    assert 180 <= when <= 180.5
    assert track.number == 0
    assert numbers(seen) == [0]


def test_counted_visitor_is_marked_as_such():
    """Later stages see that the visit is counted already, and need not look any more."""
    tracker = Tracker(TrackSettings(max_visit_s=10))
    marks = [tracker.update([face(*standing()(time))], time, SHAPE).seen[0].counted for time in each_frame(5, 0, 20)]
    assert marks == [False] * 51 + [True] * 50


def test_numbers_are_never_used_again():
    """A thousand short visits, with no frame between them, have a thousand numbers, and nothing of them stays."""
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
    """The visit is counted in the first frame after ``gap_s``, with its first and last second."""
    ((when, track),), _ = story(10, 6, walk(1, 3, standing()))
    assert when == pytest.approx(4.6)
    assert (track.first, track.last, track.observations) == (1, 3, 21)


@pytest.mark.parametrize("fps", [1, 0.5, 0.3])
def test_a_slow_device_follows_who_stays(fps):
    """Where frames are further apart than ``gap_s`` somebody who stays is one visit, and who comes after is another."""
    first, second = walk(4, 64, standing()), walk(94, 154, standing())
    counted, seen = story(fps, 184, first, second, noise=1.0)
    assert [track.number for _, track in counted] == numbers(seen) == [0, 1]


def test_what_comes_hardly_ever_is_not_followed():
    """Of a frame every twenty seconds nobody can say whether a face is the one before."""
    counted, seen = story(0.05, 400, walk(0, 400, standing()))
    assert counted == []
    assert len(numbers(seen)) == 21


def test_visit_ends_while_the_camera_is_away():
    """Without frames a visit ends after ``gap_s`` just the same."""
    tracker = Tracker(TrackSettings())
    for time in each_frame(10, 0, 2):
        tracker.update([face(*standing()(time))], time, SHAPE)
    assert tracker.miss(3.0).visits == ()
    ended = tracker.miss(4.0)
    assert [track.number for track in ended.visits] == [0]
    assert ended.gone == (0,)
    assert tracker.finish().gone == ()


def test_group_is_as_many_visits_as_people():
    """Four who come in side by side are four."""
    group = [walk(0, 5, lambda t, n=n: (60 + 60 * n + 60 * t, 240)) for n in range(4)]
    counted, seen = story(15, 8, *group, noise=1.0)
    assert len(counted) == 4
    assert numbers(seen) == [0, 1, 2, 3]


def test_many_visits_agree_between_rates():
    """Sixty scripted visits are counted within 5 % at 30, 15 and 5 frames a second."""
    chance = random.Random(11)
    people = []
    for index in range(60):
        begin, lasts, y = 4 * index + chance.random(), chance.uniform(2, 8), chance.uniform(60, 420)
        people.append(walk(begin, begin + lasts, lambda t, b=begin, d=lasts, y=y: (640 * (t - b) / d, y, 50)))
    for fps in RATES:
        counted, _ = story(fps, 255, *people, noise=1.0, missed=0.05)
        assert 57 <= len(counted) <= 63


def test_story_is_the_same_each_time():
    """No chance and no clock is in the tracker."""
    people = [walk(n, n + 4, lambda t, n=n: (640 - 90 * (t - n), 100 + 50 * n)) for n in range(6)]
    first, second = (story(15, 14, *people, noise=2.0, missed=0.2) for _ in range(2))
    assert first == second


def scored(begin, end, low, high=0.9, every=1):
    """Somebody who stands, whose score is high in every n-th frame only."""
    return [
        [face(*standing()(time), score=high if index % every == 0 else low)] if begin <= time <= end else []
        for index, time in enumerate(each_frame(10, 0, end + 4))
    ]


def visits_of(frames, settings=TrackSettings()):  # noqa: B008 (frozen)
    tracker = Tracker(settings)
    return [each for index, faces in enumerate(frames) for each in tracker.update(faces, index / 10, SHAPE).visits]


def test_a_low_score_continues_a_track():
    """A face whose score is high in every second frame is one visit with all its observations."""
    (visit,) = visits_of(scored(1, 4, low=0.5, every=2))
    assert visit.observations == 31


def test_a_low_score_starts_no_track():
    """A face that never has a high score is nobody, and neither is one below the low score."""
    assert visits_of(scored(1, 8, low=0.7, every=1000)) == []
    assert [each.observations for each in visits_of(scored(1, 4, low=0.4, every=2))] == [16]


def test_a_visit_needs_its_part_of_high_scores():
    """One high score in four is a look-alike; with a lower limit it is a visit."""
    assert visits_of(scored(1, 8, low=0.5, every=4)) == []
    assert len(visits_of(scored(1, 8, low=0.5, every=4), TrackSettings(min_high_ratio=0.2))) == 1


def test_a_track_without_a_near_one_is_not_in_doubt():
    """Somebody who walks by is a visit for sure."""
    ((_, visit),), _ = story(15, 10, walk(1, 6, lambda t: (20 + 100 * t, 240)))
    assert (visit.doubtful_low, visit.doubtful_high) == (0, 0)


def test_near_misses_are_doubtful():
    """Found again at the limit of what is likely: joined or not, the visit says that it may be otherwise."""
    doubts = []
    for away in range(20, 260, 5):
        again = walk(3.8, 6, standing(320 + away))
        counted, _ = story(15, 9, walk(0, 3, standing()), again)
        low, high = (sum(getattr(each, name) for _, each in counted) for name in ("doubtful_low", "doubtful_high"))
        doubts.append((len(counted), low, high))
    assert doubts[0] == (1, 0, 0)
    assert doubts[-1] == (2, 0, 0)
    assert (1, 0, 1) in doubts
    assert (2, 1, 0) in doubts


@pytest.mark.parametrize(
    ("settings", "high", "low"),
    [
        (TrackSettings(), 0.6, 0.36),
        (TrackSettings(high_score=0.8), 0.8, 0.48),
        (TrackSettings(low_score=0.5), 0.6, 0.5),
        (TrackSettings(low_score=0.7), 0.6, 0.6),
    ],
)
def test_scores_are_the_detectors_unless_set(settings, high, low):
    """The detector's threshold is the high score; the low one is a part of it, and never above it."""
    own = settings.for_detector(0.6)
    assert (own.high, own.low) == (pytest.approx(high), pytest.approx(low))
