"""Frame-by-frame stories of what is counted, when and under which label."""

import pytest

from edge.counting.tally import Tally
from edge.values import Expression
from tests.support.fakes import each_frame, track

LABELS = ("happiness", "neutral", "sadness")
NOBODY = {"happiness": 0, "neutral": 0, "sadness": 0, "unknown": 0}


def tally(window_s=60.0, start=0.0, first_s=None):
    return Tally(LABELS, window_s, start, window_s if first_s is None else first_s)


def look(*probabilities, good=True):
    return Expression(probabilities, good)


def run(tallying, begin, end, fps=10.0):
    return [window for time in each_frame(fps, begin, end) for window in tallying.look(time)]


def spans(windows):
    return [(window.start, window.end) for window in windows]


def test_visit_counts_in_the_window_in_which_it_ends():
    """A visit seen in one window and over in the next belongs to the next, and to no other."""
    counting = tally()
    assert run(counting, 0, 58) == []
    counting.add_observations([track(7)], [look(0.9, 0.1, 0.0)])
    first = run(counting, 58.1, 61)
    counting.count([track(7)], [7])
    second = run(counting, 61.1, 121)
    third = run(counting, 121.1, 181)
    assert [window.visits for window in (*first, *second, *third)] == [NOBODY, NOBODY | {"happiness": 1}, NOBODY]


def test_verdict_is_by_the_sum_of_probabilities():
    """Two sure looks outweigh three unsure ones: the sum decides, not the number of looks."""
    counting = tally()
    for probabilities in ((0.4, 0.6, 0.0), (0.4, 0.6, 0.0), (0.4, 0.6, 0.0), (0.9, 0.1, 0.0), (0.9, 0.1, 0.0)):
        counting.add_observations([track(1)], [look(*probabilities)])
    counting.count([track(1)], [1])
    counting.look(1.0)
    assert counting.finish()[0].visits == NOBODY | {"happiness": 1}


def test_looks_that_are_not_good_say_nothing():
    """Many blurred looks do not outvote a good one; with none that is good the visit is unknown."""
    counting = tally()
    for _ in range(50):
        counting.add_observations([track(1), track(2)], [look(0.0, 0.0, 1.0, good=False)] * 2)
    counting.add_observations([track(1)], [look(0.1, 0.8, 0.1)])
    counting.count([track(1), track(2), track(3)], [1, 2, 3])
    counting.look(1.0)
    assert counting.finish()[0].visits == NOBODY | {"neutral": 1, "unknown": 2}


def test_barred_track_is_erased_and_never_counted():
    """What was known of somebody who turns out to be staff is forgotten at once."""
    counting = tally()
    counting.add_observations([track(1), track(2)], [look(0.9, 0.1, 0.0), look(0.1, 0.9, 0.0)])
    counting.bar([1])
    assert set(counting._sums) == {2}
    counting.count([track(1), track(2)], [1, 2])
    counting.look(1.0)
    assert counting.finish()[0].visits == NOBODY | {"neutral": 1}
    assert (counting._sums, counting._barred) == ({}, set())


def test_track_that_was_no_visit_leaves_nothing():
    """A flicker is gone: not counted, and its sums are not kept."""
    counting = tally()
    counting.add_observations([track(1)], [look(0.9, 0.1, 0.0)])
    counting.count([], [1])
    assert counting._sums == {}
    counting.look(1.0)
    assert counting.finish()[0].visits == NOBODY


def test_long_visit_is_counted_while_it_lasts():
    """Closed by ``max_visit_s``: counted with what is known, and its track goes on without being counted again."""
    counting = tally()
    counting.add_observations([track(1)], [look(0.9, 0.1, 0.0)])
    counting.count([track(1)], [])
    (first,) = run(counting, 0, 61)
    counting.count([], [1])
    (second,) = run(counting, 61.1, 121)
    assert [first.visits, second.visits] == [NOBODY | {"happiness": 1}, NOBODY]


@pytest.mark.parametrize("fps", [30, 15, 5, 2])
def test_steady_camera_covers_all(fps):
    """At any rate of more than a frame a second the whole window was looked at."""
    windows = run(tally(), 0, 181, fps)
    assert [window.coverage for window in windows] == [1.0, 1.0, 1.0]
    assert all(window.degraded == () for window in windows)


@pytest.mark.parametrize(
    ("begin", "end", "coverages"),
    [(20, 40, [0.6833, 1.0]), (50, 75, [0.8333, 0.7667]), (10, 130, [0.1667, 0.0, 0.85]), (59.9, 60.1, [1.0, 1.0])],
)
def test_gap_costs_coverage(begin, end, coverages):
    """A frame vouches for at most the second before it; without frames nothing was looked at."""
    counting = tally()
    windows = run(counting, 0, begin) + run(counting, end, 60 * len(coverages) + 1)
    assert [window.coverage for window in windows] == pytest.approx(coverages, abs=2e-4)


def test_window_without_camera_says_so():
    """Each window that the camera was away for names the reason; the one after is whole again."""
    counting = tally()
    windows = run(counting, 0, 90)
    for second in range(91, 200):
        windows += counting.miss(float(second), "no_camera")
    windows += run(counting, 200, 301)
    assert [window.degraded for window in windows] == [(), ("no_camera",), ("no_camera",), ("no_camera",), ()]
    assert [window.coverage for window in windows] == pytest.approx([1.0, 0.5, 0.0, 0.6833, 1.0], abs=2e-4)


def test_every_window_of_a_long_hang_says_why():
    """When the driver came back only after minutes, the windows in between are empty and say no_camera."""
    counting = tally()
    windows = [*run(counting, 0, 10), *counting.miss(250.0, "no_camera")]
    assert spans(windows) == [(0, 60), (60, 120), (120, 180), (180, 240)]
    assert [window.degraded for window in windows] == [("no_camera",)] * 4
    assert [window.coverage for window in windows] == pytest.approx([1 / 6, 0, 0, 0], abs=2e-4)


def test_reasons_are_said_once_in_the_order_they_came():
    """A reason that came a thousand times is one word in the message."""
    counting = tally()
    for reason in ("hot", "black", "hot", "black"):
        counting.note(reason)
    assert run(counting, 0, 61)[0].degraded == ("hot", "black")


def test_first_window_ends_on_the_grid():
    """Started 17 s before a full minute: the first window lasts 17 s, those after it a minute each."""
    windows = run(tally(start=1000.0, first_s=17.0), 1000.5, 1200)
    assert spans(windows) == [(1000, 1017), (1017, 1077), (1077, 1137), (1137, 1197)]
    assert [window.coverage for window in windows] == [1.0] * 4


def test_many_empty_windows_after_a_long_gap():
    """A day without any frame is 1440 windows, each empty and there."""
    counting = tally()
    counting.look(0.0)
    windows = counting.look(86_401.0)
    assert spans(windows) == [(60 * n, 60 * n + 60) for n in range(1440)]
    assert all(window.visits == NOBODY and window.coverage == 0 for window in windows[:-1])


def test_last_window_is_as_long_as_the_source():
    """At the end the open window is closed where the source ended, with its visits and coverage."""
    counting = tally()
    run(counting, 0, 75)
    counting.count([track(1)], [1])
    (last,) = counting.finish()
    assert (last.start, last.end, last.coverage) == (60, 75, 1.0)
    assert last.visits == NOBODY | {"unknown": 1}


def test_source_without_frames_has_no_window():
    """Nothing was seen and no time passed: nothing is said."""
    assert tally().finish() == []
    counting = tally()
    counting.look(0.0)
    assert counting.finish() == []


def test_visits_that_end_with_the_source_on_the_grid_are_counted():
    """A file whose last frame falls on the end of a window: visits that end there are in that window."""
    counting = tally()
    assert run(counting, 0, 60) == []
    counting.count([track(1)], [1])
    (last,) = counting.finish()
    assert (last.start, last.end) == (0, 60)
    assert last.visits == NOBODY | {"unknown": 1}


def test_visits_that_end_while_the_camera_is_away_are_counted():
    """Stopped while there is no camera: the open window ends at the last attempt, and holds what ended meanwhile."""
    counting = tally()
    run(counting, 0, 50)
    for second in range(51, 80):
        counting.miss(float(second), "no_camera")
    counting.count([track(1)], [1])
    (last,) = counting.finish()
    assert (last.start, last.end, last.degraded) == (60, 79, ("no_camera",))
    assert last.visits == NOBODY | {"unknown": 1}


def test_all_labels_are_in_every_window_in_the_bundles_order():
    """Zero is said, not left out."""
    counting = tally()
    assert list(run(counting, 0, 61)[0].visits) == [*LABELS, "unknown"]


def test_doubts_go_with_the_visits_that_count():
    """A window says how many of its visits are doubtful; a barred one adds none, and the next window begins anew."""
    counting = tally()
    counting.bar([3])
    doubtful = [track(1, doubtful_low=1), track(2, doubtful_low=1, doubtful_high=1), track(3, doubtful_low=1)]
    counting.count(doubtful, [1, 2, 3])
    first, second = run(counting, 0, 121)
    assert (first.doubtful_low, first.doubtful_high) == (2, 1)
    assert (second.doubtful_low, second.doubtful_high) == (0, 0)
