"""What is counted, when, and under which label, frame by frame."""

import pytest

from edge.counting.tally import Tally
from edge.values import Expression
from tests.support.fakes import each_frame, track

LABELS = ("happiness", "neutral", "sadness")
EMPTY = {"happiness": 0, "neutral": 0, "sadness": 0, "unknown": 0}


def make_tally(window_s=60.0, start=0.0, first_s=None):
    return Tally(LABELS, window_s, start, window_s if first_s is None else first_s)


def expression(*probabilities, good=True):
    return Expression(probabilities, good)


def run(tally, begin, end, fps=10.0):
    """Add frames between two seconds. Returns the windows that ended."""
    return [window for time in each_frame(fps, begin, end) for window in tally.add_frame(time)]


def intervals(windows):
    return [(window.start, window.end) for window in windows]


def test_visit_counts_in_the_window_in_which_it_ends():
    """A visit observed in one window that ends in the next counts in the next only."""
    tally = make_tally()
    assert run(tally, 0, 58) == []
    tally.add_observations([track(7)], [expression(0.9, 0.1, 0.0)])
    first = run(tally, 58.1, 61)
    tally.count([track(7)], [7])
    second = run(tally, 61.1, 121)
    third = run(tally, 121.1, 181)
    assert [window.visits for window in (*first, *second, *third)] == [EMPTY, EMPTY | {"happiness": 1}, EMPTY]


def test_prediction_is_the_largest_sum_of_probabilities():
    """Two certain observations outweigh three uncertain ones: the sum decides, not the number."""
    tally = make_tally()
    for probabilities in ((0.4, 0.6, 0.0), (0.4, 0.6, 0.0), (0.4, 0.6, 0.0), (0.9, 0.1, 0.0), (0.9, 0.1, 0.0)):
        tally.add_observations([track(1)], [expression(*probabilities)])
    tally.count([track(1)], [1])
    tally.add_frame(1.0)
    assert tally.finish()[0].visits == EMPTY | {"happiness": 1}


def test_observations_that_are_not_good_are_ignored():
    """Many blurred observations do not outvote a good one. A visit without a good one is ``unknown``."""
    tally = make_tally()
    for _ in range(50):
        tally.add_observations([track(1), track(2)], [expression(0.0, 0.0, 1.0, good=False)] * 2)
    tally.add_observations([track(1)], [expression(0.1, 0.8, 0.1)])
    tally.count([track(1), track(2), track(3)], [1, 2, 3])
    tally.add_frame(1.0)
    assert tally.finish()[0].visits == EMPTY | {"neutral": 1, "unknown": 2}


def test_excluded_track_is_erased_and_never_counted():
    """The observations of a track that turns out to be staff are erased at once."""
    tally = make_tally()
    tally.add_observations([track(1), track(2)], [expression(0.9, 0.1, 0.0), expression(0.1, 0.9, 0.0)])
    tally.exclude([1])
    assert set(tally._sums) == {2}
    tally.count([track(1), track(2)], [1, 2])
    tally.add_frame(1.0)
    assert tally.finish()[0].visits == EMPTY | {"neutral": 1}
    assert (tally._sums, tally._excluded) == ({}, set())


def test_track_that_was_no_visit_leaves_nothing():
    """A track that ends without being a visit is not counted, and its sums are erased."""
    tally = make_tally()
    tally.add_observations([track(1)], [expression(0.9, 0.1, 0.0)])
    tally.count([], [1])
    assert tally._sums == {}
    tally.add_frame(1.0)
    assert tally.finish()[0].visits == EMPTY


def test_long_visit_is_counted_while_it_lasts():
    """A visit that reaches ``max_visit_s`` is counted then, and not again when its track ends."""
    tally = make_tally()
    tally.add_observations([track(1)], [expression(0.9, 0.1, 0.0)])
    tally.count([track(1)], [])
    (first,) = run(tally, 0, 61)
    tally.count([], [1])
    (second,) = run(tally, 61.1, 121)
    assert [first.visits, second.visits] == [EMPTY | {"happiness": 1}, EMPTY]


@pytest.mark.parametrize("fps", [30, 15, 5, 2])
def test_steady_camera_covers_all(fps):
    """At any rate above one frame per second the coverage is 1."""
    windows = run(make_tally(), 0, 181, fps)
    assert [window.coverage for window in windows] == [1.0, 1.0, 1.0]
    assert all(window.degraded == () for window in windows)


@pytest.mark.parametrize(
    ("begin", "end", "coverages"),
    [(20, 40, [0.6833, 1.0]), (50, 75, [0.8333, 0.7667]), (10, 130, [0.1667, 0.0, 0.85]), (59.9, 60.1, [1.0, 1.0])],
)
def test_gap_costs_coverage(begin, end, coverages):
    """A frame covers at most the second before it, so a gap reduces the coverage."""
    tally = make_tally()
    windows = run(tally, 0, begin) + run(tally, end, 60 * len(coverages) + 1)
    assert [window.coverage for window in windows] == pytest.approx(coverages, abs=2e-4)


def test_window_without_camera_has_the_reason():
    """Every window in which the camera was away has the reason; the next one has none."""
    tally = make_tally()
    windows = run(tally, 0, 90)
    for second in range(91, 200):
        windows += tally.add_missing(float(second), "no_camera")
    windows += run(tally, 200, 301)
    assert [window.degraded for window in windows] == [(), ("no_camera",), ("no_camera",), ("no_camera",), ()]
    assert [window.coverage for window in windows] == pytest.approx([1.0, 0.5, 0.0, 0.6833, 1.0], abs=2e-4)


def test_every_window_of_a_long_hang_has_the_reason():
    """If the driver returns after minutes only, all windows in between have the reason ``no_camera``."""
    tally = make_tally()
    windows = [*run(tally, 0, 10), *tally.add_missing(250.0, "no_camera")]
    assert intervals(windows) == [(0, 60), (60, 120), (120, 180), (180, 240)]
    assert [window.degraded for window in windows] == [("no_camera",)] * 4
    assert [window.coverage for window in windows] == pytest.approx([1 / 6, 0, 0, 0], abs=2e-4)


def test_reasons_are_listed_once_in_order():
    """A repeated reason is listed once, in the order of the first occurrences."""
    tally = make_tally()
    for reason in ("hot", "black", "hot", "black"):
        tally.add_reason(reason)
    assert run(tally, 0, 61)[0].degraded == ("hot", "black")


def test_first_window_ends_on_the_grid():
    """A tally that starts 17 s before a full minute has a first window of 17 s, then windows of a minute."""
    windows = run(make_tally(start=1000.0, first_s=17.0), 1000.5, 1200)
    assert intervals(windows) == [(1000, 1017), (1017, 1077), (1077, 1137), (1137, 1197)]
    assert [window.coverage for window in windows] == [1.0] * 4


def test_many_empty_windows_after_a_long_gap():
    """A day without a frame gives 1440 empty windows."""
    tally = make_tally()
    tally.add_frame(0.0)
    windows = tally.add_frame(86_401.0)
    assert intervals(windows) == [(60 * n, 60 * n + 60) for n in range(1440)]
    assert all(window.visits == EMPTY and window.coverage == 0 for window in windows[:-1])


def test_last_window_is_as_long_as_the_source():
    """The open window ends with the source, and has its visits and its coverage."""
    tally = make_tally()
    run(tally, 0, 75)
    tally.count([track(1)], [1])
    (last,) = tally.finish()
    assert (last.start, last.end, last.coverage) == (60, 75, 1.0)
    assert last.visits == EMPTY | {"unknown": 1}


def test_source_without_frames_has_no_window():
    """If no time passed, there is no window."""
    assert make_tally().finish() == []
    tally = make_tally()
    tally.add_frame(0.0)
    assert tally.finish() == []


def test_visits_that_end_with_the_source_on_the_grid_are_counted():
    """If the last frame falls on the end of a window, the visits that end there count in that window."""
    tally = make_tally()
    assert run(tally, 0, 60) == []
    tally.count([track(1)], [1])
    (last,) = tally.finish()
    assert (last.start, last.end) == (0, 60)
    assert last.visits == EMPTY | {"unknown": 1}


def test_visits_that_end_while_the_camera_is_away_are_counted():
    """If the source ends without a camera, the open window ends at the last attempt, with the visits until then."""
    tally = make_tally()
    run(tally, 0, 50)
    for second in range(51, 80):
        tally.add_missing(float(second), "no_camera")
    tally.count([track(1)], [1])
    (last,) = tally.finish()
    assert (last.start, last.end, last.degraded) == (60, 79, ("no_camera",))
    assert last.visits == EMPTY | {"unknown": 1}


def test_all_labels_are_in_every_window_in_the_bundles_order():
    """A label without visits is in the window, with a zero."""
    tally = make_tally()
    assert list(run(tally, 0, 61)[0].visits) == [*LABELS, "unknown"]


def test_doubtful_visits_are_those_that_count():
    """A window has the number of its doubtful visits. Excluded visits add none, and the next window starts at zero."""
    tally = make_tally()
    tally.exclude([3])
    doubtful = [track(1, doubtful_low=1), track(2, doubtful_low=1, doubtful_high=1), track(3, doubtful_low=1)]
    tally.count(doubtful, [1, 2, 3])
    first, second = run(tally, 0, 121)
    assert (first.doubtful_low, first.doubtful_high) == (2, 1)
    assert (second.doubtful_low, second.doubtful_high) == (0, 0)
