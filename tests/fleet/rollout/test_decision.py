"""What a rollout decides, by what the devices of its stage report."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.rollout.decision import Action, Figures, Progress, Traffic, View, decide, faults, has_taken
from fleet.rollout.statistics import rate_differs, share_rises
from fleet.settings import Bounds

BOUNDS = Bounds()
USUAL = Figures(frames_per_s=10.0, latency_ms=20.0, memory_mb=100.0)
HOUR = Traffic(visits=60, unknown=6, covered_s=3600.0, length_s=3600.0)
WEEKS = Traffic(visits=240, unknown=24, covered_s=14_400.0, length_s=14_400.0)
GOOD = View(
    identity="shop-1/door", was_online=True, taken_s=3600.0, before=USUAL, now=USUAL, traffic=HOUR, traffic_before=WEEKS
)
WAITING = View(identity="shop-1/till", was_online=True, taken_s=None)
BAKED = Progress(stage_s=7200.0, baked_s=3600.0, bake_s=3600.0, take_limit_s=3600.0)
TAKING = Progress(stage_s=60.0, baked_s=None, bake_s=3600.0, take_limit_s=3600.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"update_failed": "no space"}, "its updater took the release back: no space"),
        ({"taken_s": None, "update_failed": "no space"}, "its updater took the release back: no space"),
        ({"left_it": True}, "it no longer runs the release with its configuration"),
        ({"silent_s": 301.0}, "no message for 301 s; 300 are allowed"),
        ({"restarts": 2}, "restarted 2 times; 1 are allowed"),
        ({"uncounted_s": 2701.0}, "no window for 2701 s; 2700 are allowed"),
        ({"now": replace(USUAL, frames_per_s=7.9)}, "7.9 frames a second, before 10"),
        ({"now": replace(USUAL, latency_ms=31.0)}, "31.0 ms a frame, before 20.0 ms"),
        ({"now": replace(USUAL, memory_mb=151.0)}, "151 MB of memory, before 100 MB"),
        ({"traffic": replace(HOUR, covered_s=3200.0)}, "coverage 0.89, before 1.00"),
        ({"traffic": replace(HOUR, unknown=30)}, "30 of 60 visits are unknown, before 24 of 240"),
        ({"traffic": replace(HOUR, visits=5, unknown=0)}, "5.0 visits an hour, before 60.0"),
        ({"traffic": replace(HOUR, visits=300, unknown=30)}, "300.0 visits an hour, before 60.0"),
    ],
)
def test_each_bound_has_its_sentence(changes, expected):
    """A device beyond one bound is bad, and the sentence says what was found and what is allowed."""
    assert faults(GOOD, BOUNDS) == []
    assert faults(replace(GOOD, **changes), BOUNDS) == [expected]


def test_visits_that_may_change_are_not_compared():
    """A release of zones or hours changes visits; coverage and health still count."""
    bounds = Bounds(compare_visits=False)
    assert faults(replace(GOOD, traffic=replace(HOUR, visits=0, unknown=0)), bounds) == []
    assert faults(replace(GOOD, traffic=replace(HOUR, covered_s=3200.0)), bounds) == ["coverage 0.89, before 1.00"]


@pytest.mark.parametrize(
    "changes",
    [
        {"silent_s": 300.0},
        {"restarts": 1},
        {"now": replace(USUAL, frames_per_s=8.0, latency_ms=30.0, memory_mb=150.0)},
        {"traffic": replace(HOUR, visits=30, unknown=3)},  # half the visits: within the bounds
        {"traffic": replace(HOUR, visits=3, unknown=3, covered_s=360.0, length_s=360.0)},  # too few to tell
        {"traffic": replace(HOUR, visits=0, unknown=0, covered_s=60.0, length_s=60.0)},
        {"before": None},
        {"traffic_before": Traffic()},
    ],
)
def test_what_is_within_the_bounds_or_cannot_be_told_is_no_fault(changes):
    """Counting error, and figures that are not known, speak against no release."""
    assert faults(replace(GOOD, **changes), BOUNDS) == []


def test_a_stage_that_is_well_for_long_enough_is_followed_by_the_next():
    """Not before."""
    assert decide([GOOD], BAKED, BOUNDS).action is Action.NEXT
    assert decide([GOOD], BAKED._replace(baked_s=3599.0), BOUNDS).action is Action.WAIT
    assert decide([WAITING], TAKING, BOUNDS).action is Action.WAIT


def test_more_bad_devices_than_allowed_take_the_release_back_at_once():
    """One of 20 is allowed with 5 %, one of 19 is not; nothing waits for the end of the observation."""
    bad = replace(GOOD, restarts=9)
    assert decide([bad] + [GOOD] * 19, BAKED, BOUNDS).action is Action.NEXT
    back = decide([bad] + [GOOD] * 18, BAKED._replace(baked_s=1.0), BOUNDS)
    assert back == (Action.BACK, "1 of 19 devices are bad; shop-1/door: restarted 9 times; 1 are allowed")
    assert decide([bad], TAKING, BOUNDS).action is Action.BACK


def test_devices_together_show_what_none_shows_alone():
    """Shops with few visits: each alone cannot tell, all together can."""
    few = Traffic(visits=8, covered_s=14_400.0, length_s=14_400.0)
    quiet = replace(GOOD, traffic=Traffic(covered_s=3600.0, length_s=3600.0), traffic_before=few)
    assert faults(quiet, BOUNDS) == []
    assert decide([quiet] * 20, BAKED, BOUNDS) == (
        Action.BACK,
        "all 20 devices together: 0.0 visits an hour, before 2.0",
    )


def test_silence_of_all_devices_says_nothing_about_the_release():
    """With more than half of the others silent a rollout waits: broker or network."""
    silent = replace(GOOD, silent_s=900.0)
    assert decide([silent], BAKED, BOUNDS, others_silent=0.6).action is Action.WAIT
    assert decide([silent], BAKED, BOUNDS, others_silent=0.5).action is Action.BACK


def test_a_stage_is_observed_once_its_devices_have_taken_it():
    """Nobody waits for devices that were offline before; after the limit nine of ten are enough, fewer stop it."""
    offline = replace(WAITING, was_online=False)
    assert has_taken([GOOD, offline], TAKING, BOUNDS)
    assert not has_taken([GOOD, WAITING], TAKING, BOUNDS)
    assert not has_taken([offline], TAKING, BOUNDS)
    late = TAKING._replace(stage_s=3600.0)
    assert has_taken([GOOD] * 9 + [WAITING], late, BOUNDS)
    assert not has_taken([GOOD] * 8 + [WAITING] * 2, late, BOUNDS)
    assert decide([GOOD] * 8 + [WAITING] * 2, late, BOUNDS) == (
        Action.STOP,
        "8 of 10 devices that were online have taken it after 3600 s; 90% must have",
    )


COUNTS = st.integers(0, 5000)


@settings(deadline=None, derandomize=True)
@given(COUNTS, COUNTS, st.floats(0.01, 0.99), st.floats(1.01, 100))
def test_equal_or_allowed_rates_never_differ(events, past, low, high):
    """Whatever the counts: a ratio between the bounds is no difference; the test is symmetric in time units."""
    bounds = low, high
    if past and low <= events / past <= high:
        assert not rate_differs((events, 3600.0), (past, 3600.0), bounds, 0.001)
    assert rate_differs((events, 3600.0), (past, 7200.0), bounds, 0.001) == rate_differs(
        (events, 1.0), (past, 2.0), bounds, 0.001
    )


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 400), st.integers(1, 2000))
def test_fewer_visits_never_look_healthier(events, past):
    """If a number of visits is too low, every lower one is."""
    differs = [rate_differs((n, 3600.0), (past, 14_400.0), (0.5, 1e6), 0.001) for n in (events, events // 2, 0)]
    assert differs == sorted(differs)


@settings(deadline=None, derandomize=True)
@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_share_that_did_not_rise_is_never_reported(events, others, past_events, past_others):
    """Only a rise beyond the bound counts."""
    now, before = (events, events + others), (past_events, past_events + past_others)
    if share_rises(now, before, 0.15, 0.001):
        assert events / now[1] > past_events / before[1]


def test_the_error_rate_of_the_tests_is_as_stated():
    """At the bound itself a rate of 1 in 1000 at most is called different, in 100,000 draws of Poisson counts."""
    import numpy as np

    rng = np.random.default_rng(7)
    now, before = rng.poisson(20, 100_000), rng.poisson(160, 100_000)  # half the visits in a quarter of the time
    pairs, times = np.unique(np.stack([now, before], 1), axis=0, return_counts=True)
    wrong = [rate_differs((int(a), 1.0), (int(b), 4.0), (0.5, 2.0), 0.001) for a, b in pairs]
    assert 0 < (times * wrong).sum() / 100_000 <= 0.0013
