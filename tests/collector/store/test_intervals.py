"""Intervals are split at bucket edges without losing or adding time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.store.intervals import US_PER_S, Ints, split_at_edges, split_at_multiples


def seconds(*values: int) -> Ints:
    return np.array(values, np.int64) * US_PER_S


def test_an_interval_is_split_in_proportion_to_time() -> None:
    """An interval of 40 s that has 10 s in the first bucket has a quarter of it there."""
    pieces = split_at_edges(seconds(50), seconds(90), seconds(0, 60, 120))
    assert pieces.row.tolist() == [0, 0]
    assert pieces.bucket.tolist() == [0, 1]
    assert pieces.seconds.tolist() == [10, 30]
    assert pieces.fraction.tolist() == [0.25, 0.75]


def test_an_interval_that_ends_at_an_edge_does_not_reach_the_next_bucket() -> None:
    """Buckets and intervals are half-open."""
    pieces = split_at_edges(seconds(0, 60), seconds(60, 120), seconds(0, 60, 120))
    assert (pieces.row.tolist(), pieces.bucket.tolist()) == ([0, 1], [0, 1])


def test_no_intervals_give_no_pieces() -> None:
    """Empty arrays are allowed."""
    assert len(split_at_edges(seconds(), seconds(), seconds(0)).row) == 0
    assert len(split_at_multiples(seconds(), seconds(), US_PER_S).row) == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(1, 10**5)), min_size=1, max_size=20))
def test_multiples_and_edges_give_the_same_pieces(intervals: list[tuple[int, int]]) -> None:
    """Both functions agree where the edges are multiples, the fractions of each interval add up to 1, and no piece is
    longer than its bucket."""
    length_s = 900
    starts = seconds(*(start for start, _ in intervals))
    ends = starts + seconds(*(length for _, length in intervals))
    first = int(starts.min()) // (length_s * US_PER_S)
    number = int(ends.max()) // (length_s * US_PER_S) - first + 2
    edges = (first + np.arange(number)) * length_s * US_PER_S
    by_multiples, by_edges = split_at_multiples(starts, ends, length_s * US_PER_S), split_at_edges(starts, ends, edges)
    assert by_multiples.row.tolist() == by_edges.row.tolist()
    assert by_multiples.bucket.tolist() == (by_edges.bucket + first).tolist()
    assert by_multiples.seconds.tolist() == by_edges.seconds.tolist()
    np.testing.assert_allclose(np.bincount(by_edges.row, by_edges.fraction), 1.0)
    assert by_edges.seconds.min() > 0
    assert by_edges.seconds.max() <= length_s
