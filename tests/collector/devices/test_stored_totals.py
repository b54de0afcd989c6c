"""The sums of a device's windows are exact, bounded, and add up over collectors."""

from collector.devices.stored_totals import MAX_COUNTED_LABELS, OTHER, StoredTotals
from tests.support.store import window


def test_windows_add_up() -> None:
    """Visits by label, watched seconds and doubtful visits are sums over the windows."""
    totals = StoredTotals().plus(window(1)).plus(window(2, schema=2, doubtful_low=2, doubtful_high=1))
    assert (totals.windows, totals.window_s, round(totals.watched_s, 2)) == (2, 120, 117.96)
    assert (totals.visits["happiness"], totals.visits["unknown"]) == (6, 0)
    assert (totals.doubtful_low, totals.doubtful_high) == (2, 1)


def test_invented_labels_are_bounded_and_no_visit_is_lost() -> None:
    totals = StoredTotals()
    for number in range(5):
        totals = totals.plus(window(number, {f"label_{number}_{at}": 1 for at in range(30)}))
    assert len(totals.visits) == MAX_COUNTED_LABELS + 1
    assert sum(totals.visits.values()) == 5 * 30
    assert totals.visits[OTHER] == 5 * 30 - MAX_COUNTED_LABELS


def test_the_sums_of_two_collectors_add_up() -> None:
    one = StoredTotals().plus(window(1))
    both = one.merged(StoredTotals().plus(window(2, {"joy": 4, "grief": 1, "unknown": 2})))
    assert (both.windows, both.visits["happiness"], both.visits["joy"], both.visits["unknown"]) == (2, 3, 4, 2)
