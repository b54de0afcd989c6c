"""Split time intervals at the edges of buckets.

Times are int64, microseconds since 1970 UTC. `split_at_edges` takes any buckets, `split_at_multiples` takes buckets of
one length that begin at whole multiples of it. Both clip each interval to every bucket that it overlaps.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Pieces:
    """Parts of intervals, one per interval and overlapped bucket, in the order of the intervals; (pieces,) each."""

    row: Ints
    """Index of the interval."""
    bucket: Ints
    """Number of the bucket."""
    seconds: Floats
    """Length of the piece."""
    fraction: Floats
    """Length of the piece divided by that of the interval, above 0 and up to 1."""


def microseconds(frame: pd.DataFrame) -> tuple[Ints, Ints]:
    """Return the columns ``start`` and ``end`` of a table, (n,) each, as microseconds since 1970 UTC."""
    starts, ends = (pd.DatetimeIndex(frame[name]).as_unit("us").asi8 for name in ("start", "end"))
    return starts, ends


def split_at_edges(starts: Ints, ends: Ints, edges: Ints) -> Pieces:
    """Split intervals ``[start, end)``, (n,) each, at sorted ``edges``, (buckets + 1,).

    Bucket ``i`` is ``[edges[i], edges[i + 1])``. The edges must enclose all intervals.
    """
    first = np.searchsorted(edges, starts, "right") - 1
    last = np.searchsorted(edges, ends, "left") - 1
    row, bucket = _overlaps(first, last)
    return _clip(starts, ends, row, bucket, edges[bucket], edges[bucket + 1])


def split_at_multiples(starts: Ints, ends: Ints, length_us: int) -> Pieces:
    """Split intervals ``[start, end)``, (n,) each, at whole multiples of ``length_us``.

    Bucket ``i`` is ``[i * length_us, (i + 1) * length_us)``.
    """
    first = starts // length_us
    last = -(-ends // length_us) - 1
    row, bucket = _overlaps(first, last)
    return _clip(starts, ends, row, bucket, bucket * length_us, (bucket + 1) * length_us)


def _overlaps(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Return interval and bucket of each piece, given the first and last bucket of each interval."""
    number = last - first + 1
    row = np.repeat(np.arange(len(first)), number)
    within = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
    return row, first[row] + within


def _clip(starts: Ints, ends: Ints, row: Ints, bucket: Ints, begin: Ints, past: Ints) -> Pieces:
    """Clip the interval of each piece to its bucket ``[begin, past)``."""
    seconds = (np.minimum(ends[row], past) - np.maximum(starts[row], begin)) / US_PER_S
    return Pieces(row, bucket, seconds, seconds / ((ends - starts)[row] / US_PER_S))
