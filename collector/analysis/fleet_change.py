"""Whether visits changed between two periods, for a fleet: the rules of `collector.analysis.change` on arrays.

All sites are compared at once, one unit of time after the other, so that the arrays of a unit fit into the caches of a
processor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from collector.analysis.change import MIN_UNITS, t_quantile
from collector.rollups.fleet_senders import Columns, SenderBlock, SenderNames
from collector.store.intervals import Floats, Ints

Flags = np.ndarray[Any, np.dtype[np.bool_]]


class Piece(NamedTuple):
    """A row of a block: the sums of its devices in one part of time."""

    block: SenderBlock
    row: int


@dataclass(frozen=True, slots=True)
class Strata:
    """The pieces of each bucket of time, which may be several or none."""

    buckets: tuple[tuple[Piece, ...], ...]

    def unit(self, number: int, unit_buckets: int) -> tuple[tuple[Piece, ...], ...]:
        """Return the buckets of a unit."""
        return self.buckets[number * unit_buckets : (number + 1) * unit_buckets]


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes with their 99 % intervals, one per site; NaN where nothing can be said."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class _Compared:
    """Sums over the devices and buckets of one unit of time, one value per site.

    ``above`` and ``below`` are the weighted visits of the periods ``other`` and ``one``, whose ratio is estimated.
    """

    above: Floats
    below: Floats
    independent: Floats
    """Divided by the product of both, it is the variance of the logarithm of the ratio for independent visits."""
    present: Flags
    """Whether a device of the site has windows in both periods."""

    @property
    def nbytes(self) -> int:
        return self.above.nbytes + self.below.nbytes + self.independent.nbytes + self.present.nbytes


def rate_changes(one: Strata, other: Strata, names: SenderNames, unit_buckets: int) -> tuple[Changes, Changes]:
    """Return the change of visits at equal watched time of all devices together, one value, and of each site.

    Sites are those of ``names``. It also has the cache of compared units, so that the next view does not compare
    unchanged days again. See `collector.analysis.change.rate_change`.
    """
    columns = names.columns()
    rows = _Rows(columns)
    size = min(len(one.buckets), len(other.buckets))
    units = []
    for number in range(-(-size // unit_buckets)):
        pairs = list(zip(one.unit(number, unit_buckets), other.unit(number, unit_buckets), strict=False))
        if any(first and second for first, second in pairs):  # often one period is from before the fleet
            key = (len(columns.of_device), *(_serials(first, second) for first, second in pairs))
            units.append(names.compared.get(key, partial(_compare, pairs, rows)))
    none = np.zeros((0, len(columns.firsts)))
    above, below, independent = (
        np.stack([getattr(unit, name) for unit in units]) if units else none
        for name in ("above", "below", "independent")
    )
    present = np.stack([unit.present for unit in units]) if units else none > 0
    above_all, below_all = (each.sum(1, keepdims=True) for each in (above, below))
    independent = independent.sum(0)
    return (
        _rates(above_all, below_all, independent.sum(keepdims=True), present.any(1, keepdims=True)),
        _rates(above, below, independent, present),
    )


def _serials(first: Sequence[Piece], second: Sequence[Piece]) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return what a pair of buckets was computed from, as a part of a key of the cache."""
    return tuple(tuple((piece.block.serial, piece.row) for piece in pieces) for pieces in (first, second))


def _compare(pairs: Sequence[tuple[Sequence[Piece], Sequence[Piece]]], rows: "_Rows") -> _Compared:
    """Compare the buckets of a unit device by device."""
    firsts = rows.columns.firsts
    size = len(firsts)
    above, below, independent, present = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size, bool)
    for pieces in pairs:
        (visits_1, watched_1, present_1), (visits_2, watched_2, present_2) = map(rows.sums, pieces)
        both = present_1 & present_2
        if not both.any():
            continue
        all_s = watched_1 + watched_2
        all_s[all_s <= 0] = np.inf
        weight_1, weight_2 = watched_1 / all_s, watched_2 / all_s
        above += np.add.reduceat(visits_2 * weight_1, firsts)
        below += np.add.reduceat(visits_1 * weight_2, firsts)
        weight_1 *= weight_2
        independent += np.add.reduceat((visits_1 + visits_2) * weight_1, firsts)
        present |= np.logical_or.reduceat(both, firsts)
    return _Compared(above, below, independent, present)


class _Rows:
    """Adds up the sums of all devices in a bucket, by `Columns`."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._columns_of: dict[int, slice | Ints] = {}

    def sums(self, pieces: Sequence[Piece]) -> tuple[Floats, Floats, Flags]:
        """Return visits, watched time and presence."""
        size = len(self.columns.of_device)
        visits, watched_s, present = np.zeros(size), np.zeros(size), np.zeros(size, bool)
        for block, row in pieces:
            at = self._of(block)
            visits[at] += block.visits[row]
            watched_s[at] += block.watched_s[row]
            present[at] |= block.present[row]
        return visits, watched_s, present

    def _of(self, block: SenderBlock) -> slice | Ints:
        """Return the columns of the devices of a block."""
        if block.serial not in self._columns_of:
            at = self.columns.of_device[block.device]
            is_run = len(at) and (np.diff(at) == 1).all()
            self._columns_of[block.serial] = slice(int(at[0]), int(at[-1]) + 1) if is_run else at
        return self._columns_of[block.serial]


def fraction_changes(one: Strata, other: Strata, names: SenderNames, unit_buckets: int) -> Changes:
    """Return the change of the fraction of unknown visits of each site, other minus one."""
    sites = len(names.columns().firsts)
    (value_1, variance_1, units_1), (value_2, variance_2, units_2) = (
        _fractions(*_site_units(each, sites, unit_buckets)) for each in (one, other)
    )
    known = np.minimum(units_1, units_2) >= MIN_UNITS
    change = np.where(known, value_2 - value_1, np.nan)
    error = _quantiles(units_1 + units_2 - 2) * np.sqrt(variance_1 + variance_2)
    return Changes(change, change - error, change + error)


def _site_units(strata: Strata, sites: int, unit_buckets: int) -> tuple[Floats, Floats]:
    """Return unknown and all visits by unit and site, ``(units, sites)``."""
    shape = -(-len(strata.buckets) // unit_buckets), sites
    unknown, visits = np.zeros(shape), np.zeros(shape)
    for bucket, pieces in enumerate(strata.buckets):
        for block, row in pieces:
            unknown[bucket // unit_buckets, block.site] += block.site_unknown[row]
            visits[bucket // unit_buckets, block.site] += block.site_visits[row]
    return unknown, visits


def _rates(above: Floats, below: Floats, independent: Floats, present: Any) -> Changes:
    units = present.sum(0)
    sum_above, sum_below = above.sum(0), below.sum(0)
    known = (units >= MIN_UNITS) & (sum_above > 0) & (sum_below > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(known, sum_above / sum_below, np.nan)
        spread = ((above - ratio * below) ** 2).sum(0) * units / (units - 1)
        clustered = spread / (sum_above * ratio * sum_below)
        error = _quantiles(units - 1) * np.sqrt(np.maximum(independent / (sum_above * sum_below), clustered))
        return Changes(ratio - 1, ratio * np.exp(-error) - 1, ratio * np.exp(error) - 1)


def _fractions(part: Floats, whole: Floats) -> tuple[Floats, Floats, Ints]:
    """Return the fraction of each site, its variance, and the number of units with visits."""
    units = (whole > 0).sum(0)
    total = whole.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(units >= MIN_UNITS, part.sum(0) / total, np.nan)
        clustered = ((part - value * whole) ** 2).sum(0) * units / (units - 1) / total**2
        return value, np.maximum(clustered, value * (1 - value) / total), units


def _quantiles(degrees: Ints) -> Floats:
    """Return `collector.analysis.change.t_quantile` of each number; NaN below 1."""
    numbers, position = np.unique(degrees, return_inverse=True)
    found = [t_quantile(int(number)) if number >= 1 else np.nan for number in numbers]
    return np.array(found, np.float64)[position.reshape(-1)]
