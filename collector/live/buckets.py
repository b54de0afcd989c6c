"""Sums of windows per bucket of time and site, kept up to date window by window.

A window that spans two buckets adds to both, in proportion to its time in each, as in `collector.analysis.summarise`.
"""

from dataclasses import dataclass

import numpy as np

from collector.store.intervals import US_PER_S, Floats, Ints, split_at_multiples

FIGURES = ("seconds", "watched_s", "degraded_s", "begun", "touching")
"""Columns after the counts: time of the windows, of that watched, of that degraded; windows that begin in the bucket,
and that touch it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Windows with the same labels whose clock was set. Every array has one row per window."""

    starts: Ints
    """Microseconds since 1970, as ``ends``."""
    ends: Ints
    sites: Ints
    """Number of the site."""
    devices: Ints
    """Number of the device."""
    counts: Floats
    """Visits by label, then doubtful visits, down and up; shape ``(windows, labels + 2)``."""
    coverage: Floats
    degraded: Floats
    """1 if the window is degraded, else 0."""


class Buckets:
    """Buckets of ``length_s`` seconds, which begin at whole multiples of it since 1970.

    Each holds an array of float64, shape ``(sites, counts + 5)``: so many bytes, whatever the number of windows.
    """

    def __init__(self, length_s: int, counts: int) -> None:
        self.length_us = length_s * US_PER_S
        self._columns = counts + len(FIGURES)
        self._sums: dict[int, Floats] = {}

    @property
    def bytes(self) -> int:
        """Memory of the sums."""
        return sum(sums.nbytes for sums in self._sums.values())

    def add(self, rows: Rows, since_us: int) -> None:
        """Add windows; what lies before ``since_us``, rounded down to a bucket, is left out."""
        horizon = since_us // self.length_us * self.length_us
        kept = rows.ends > horizon
        if not kept.any():
            return
        starts, ends, sites = rows.starts[kept], rows.ends[kept], rows.sites[kept]
        pieces = split_at_multiples(np.maximum(starts, horizon), ends, self.length_us)
        row, seconds = pieces.row, pieces.seconds
        fraction = seconds / ((ends - starts)[row] / US_PER_S)
        values = np.column_stack(
            [
                rows.counts[kept][row] * fraction[:, None],
                seconds,
                rows.coverage[kept][row] * seconds,
                rows.degraded[kept][row] * seconds,
                starts[row] // self.length_us == pieces.bucket,
                np.ones(len(row)),
            ]
        )
        order = np.argsort(pieces.bucket, kind="stable")
        buckets, firsts = np.unique(pieces.bucket[order], return_index=True)
        for bucket, chosen in zip(buckets.tolist(), np.split(order, firsts[1:]), strict=True):
            np.add.at(self._array(bucket, int(sites.max()) + 1), sites[row[chosen]], values[chosen])

    def drop_before(self, since_us: int) -> None:
        """Forget the buckets that end before a moment."""
        first = since_us // self.length_us
        self._sums = {bucket: sums for bucket, sums in self._sums.items() if bucket >= first}

    def total(self, since_us: int, until_us: int, sites: Ints | None) -> tuple[Ints, Floats]:
        """Return the starts of the buckets that begin in a range, and their sums over some sites, or over all.

        The sums have shape ``(buckets, counts + 5)``; a bucket without windows has zeros.
        """
        numbers = range(-(-since_us // self.length_us), -(-until_us // self.length_us))
        sums = np.zeros((len(numbers), self._columns))
        for row, number in enumerate(numbers):
            if (found := self._sums.get(number)) is not None:
                sums[row] = (found if sites is None else found[sites[sites < len(found)]]).sum(axis=0)
        return np.array(numbers, np.int64) * self.length_us, sums

    def _array(self, bucket: int, sites: int) -> Floats:
        """Return the sums of a bucket, with a row for each of so many sites."""
        sums = self._sums.get(bucket)
        if sums is None or len(sums) < sites:
            grown = np.zeros((1 << (sites - 1).bit_length(), self._columns))
            if sums is not None:
                grown[: len(sums)] = sums
            self._sums[bucket] = sums = grown
        return sums
