"""When windows may leave the device, and how held ones are joined."""

from datetime import timedelta

import pytest

from collector.store.rows import row
from contract.message import Counts, Privacy, decode, encode
from edge.delivery.k_anonymity import join, may_leave
from edge.delivery.spool import opened
from tests.support.fakes import BEGIN, counts

MINUTE = timedelta(minutes=1)
QUARTER = 900.0


@pytest.mark.parametrize(
    ("happy", "k", "minute", "leaves"),
    [
        (5, 5, 3, True), (9, 5, 3, True), (4, 5, 3, False), (0, 5, 3, False),  # within a quarter of an hour
        (0, 5, 14, True), (5, 5, 14, True), (4, 5, 14, False), (1, 5, 14, False),  # its last minute
        (0, 1, 3, True), (1, 1, 3, True),
    ],
)  # fmt: skip
def test_none_or_k_visits_may_leave(happy, k, minute, leaves):
    """An empty window waits as long as one with a few visits; a window with k visits does not wait."""
    window = counts(minute, happy, privacy=Privacy(k=k))
    assert may_leave(window, window, QUARTER) is leaves


def test_k_visits_of_several_windows_leave_when_the_quarter_of_an_hour_ends():
    """Joined windows wait for the quarter of an hour: leaving with the fifth visit would reveal its minute."""
    window = counts(3, 1)
    joined = join(counts(2, 4), window)
    assert not may_leave(joined, window, QUARTER)
    assert may_leave(join(joined, counts(14, 0)), counts(14, 0), QUARTER)


def test_a_window_longer_than_the_release_period_does_not_wait():
    """A window of an hour leaves as it ends."""
    hour = counts(3, 0, end=BEGIN + 63 * MINUTE)
    assert may_leave(hour, hour, QUARTER)


def test_visits_of_all_labels_count_towards_k():
    """Visits of all labels count towards k, ``unknown`` included."""
    enough = counts(visits={"happiness": 2, "neutral": 2, "unknown": 1})
    assert may_leave(enough, enough, QUARTER)
    few = counts(14, visits={"happiness": 2, "neutral": 2, "unknown": 0})
    assert not may_leave(few, few, QUARTER)


def test_when_messages_leave_does_not_depend_on_visits_within_a_quarter_of_an_hour(tmp_path):
    """Whether visits come early, late or spread out, the same messages leave at the same minutes until the counts are
    released."""

    def seen(visits):
        with opened(tmp_path / f"{hash(visits)}.sqlite", 1000) as spool:
            pattern = []
            for minute, happy in enumerate(visits):
                spool.add(counts(minute, happy))
                rows = [decode(payload, Counts) for _, payload in spool.waiting(0, 1000)]
                pattern.append([(row.start, row.end, sum(row.visits.values())) for row in rows])
            return pattern

    quiet, last = (0,) * 15, (0,) * 14 + (5,)
    few = ((1,) + (0,) * 14, (0,) * 14 + (1,), (0, 1, 1, 1) + (0,) * 11)
    patterns = [seen(quiet + visits + last) for visits in few]
    assert patterns[0][:44] == patterns[1][:44] == patterns[2][:44]
    assert patterns[0][14] == [(BEGIN, BEGIN + 15 * MINUTE, 0)]


def test_joined_window_spans_both():
    """A joined window has the sum of the visits, the start of the held one and the ids of the later one."""
    held = counts(0, 2, boot="a" * 16, merged=3, degraded=("hot",), coverage=1.0)
    later = counts(1, 1, boot="b" * 16, degraded=("no_camera", "hot"), coverage=0.5)
    joined = join(held, later)
    assert (joined.start, joined.end) == (BEGIN, BEGIN + 2 * MINUTE)
    assert (joined.boot, joined.merged, joined.coverage) == ("b" * 16, 4, 0.75)
    assert joined.degraded == ("hot", "no_camera")
    assert joined.visits == {"happiness": 3, "neutral": 0, "unknown": 0}


def test_time_between_is_not_covered():
    """Two covered minutes with eight minutes between them cover a fifth of the joined window."""
    assert join(counts(0, 1), counts(9, 1)).coverage == 0.2


def test_labels_that_are_gone_go_to_unknown():
    """Held visits of a label that the new bundle does not have are counted as ``unknown``."""
    held = counts(0, visits={"happiness": 1, "neutral": 2, "unknown": 1})
    later = counts(1, visits={"bored": 1, "happiness": 0, "unknown": 0})
    assert join(held, later).visits == {"bored": 1, "happiness": 1, "unknown": 3}


@pytest.mark.parametrize(
    ("one", "other", "least"),
    [
        ("synced", "synced", "synced"),
        ("synced", "restamped", "restamped"),
        ("synced", "unsynced", "unsynced"),
        ("restamped", "unsynced", "unsynced"),
        ("synced", "replay", "replay"),
    ],
)
def test_clock_of_a_joined_window_is_the_least_trusted(one, other, least):
    """The order of the two windows does not matter."""
    assert join(counts(0, 1, clock=one), counts(1, 1, clock=other)).clock == least
    assert join(counts(0, 1, clock=other), counts(1, 1, clock=one)).clock == least


@pytest.mark.parametrize("minutes_back", [1, 43, 60 * 24 * 365])
@pytest.mark.parametrize("clock", ["synced", "unsynced"])
def test_clock_gone_back_makes_no_backward_window(minutes_back, clock):
    """After a clock was set back the joined window spans both, if both are trusted alike, and is valid."""
    held = counts(0, 2, clock=clock)
    later = counts(-minutes_back, 3, clock=clock)
    joined = join(held, later)
    assert (joined.start, joined.end) == (later.start, held.end)
    assert decode(encode(joined), Counts) == joined
    assert sum(joined.visits.values()) == 5


@pytest.mark.parametrize("minutes", [1, 60 * 24 * 365 * 56])
@pytest.mark.parametrize("first", ["synced", "unsynced"])
def test_a_clock_that_was_never_set_stretches_no_window(minutes, first):
    """With a window of 1970 from a device without a battery-backed clock, the trusted window keeps its times, the
    visits add up, and the store accepts the result.
    """
    right, wrong = counts(0, 2, coverage=0.5), counts(-minutes, 3, clock="unsynced")
    joined = join(right, wrong) if first == "synced" else join(wrong, right)
    assert (joined.start, joined.end, joined.coverage, joined.clock) == (right.start, right.end, 0.5, "unsynced")
    assert sum(joined.visits.values()) == 5
    assert row(decode(encode(joined), Counts))


def test_windows_too_far_apart_keep_the_later_time():
    """Two trusted windows further apart than the longest window get the time of the later one."""
    joined = join(counts(0, 2), counts(60 * 24 * 500, 3))
    assert (joined.end - joined.start, joined.clock) == (MINUTE, "unsynced")
    assert joined.start == BEGIN + 500 * timedelta(days=1)


def test_overlapping_windows_are_covered_once_at_most():
    """The coverage of overlapping windows, such as of a file replayed twice, is at most 1."""
    assert join(counts(0, 1, clock="replay"), counts(0, 2, clock="replay")).coverage == 1.0


def test_doubtful_visits_wait_with_their_window():
    """Doubtful visits add up; two windows without any stay in version 1."""
    held = counts(0, 3, schema=2, doubtful_low=2, doubtful_high=1)
    assert not may_leave(held, held, QUARTER)
    joined = join(held, counts(1, 2))
    assert (joined.schema, joined.doubtful_low, joined.doubtful_high) == (2, 2, 1)
    assert join(counts(0, 3), counts(1, 2)).schema == 1
    assert decode(encode(joined), Counts) == joined
