"""Whether visits changed between two periods, for a fleet: the rules of `collector.analysis.change` on arrays.

All sites are compared at once. The arrays have one row per bucket of time and one column per device; the devices of a
site are neighbours.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from collector.analysis.change import MIN_UNITS, t_quantile
from collector.store.intervals import Floats, Ints


@dataclass(frozen=True, slots=True)
class Strata:
    """Sums per bucket of time and device, ``(buckets, devices)`` each."""

    visits: Floats
    unknown: Floats
    watched_s: Floats
    present: "np.ndarray[Any, np.dtype[np.bool_]]"
    """Whether the device has a window in the bucket."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes with their 99 % intervals, one per site; NaN where nothing can be said."""

    value: Floats
    low: Floats
    high: Floats


def rate_changes(one: Strata, other: Strata, firsts: Ints, unit_buckets: int) -> tuple[Changes, Changes]:
    """Return the change of visits at equal watched time of all devices together, one value, and of each site.

    ``firsts`` is the column of the first device of each site. See `collector.analysis.change.rate_change`.
    """
    size = min(len(one.visits), len(other.visits))
    both = one.present[:size] & other.present[:size]
    unit = np.arange(size) // unit_buckets
    used = np.isin(unit, unit[both.any(1)])  # often one period is from before the fleet
    both = both[used]
    watched_1, watched_2, visits_1, visits_2 = (
        each[:size][used] for each in (one.watched_s, other.watched_s, one.visits, other.visits)
    )
    all_s = watched_1 + watched_2
    weight_1 = np.divide(watched_1, all_s, out=np.zeros(all_s.shape), where=all_s > 0)
    weight_2 = np.divide(watched_2, all_s, out=np.zeros(all_s.shape), where=all_s > 0)
    above = _units(visits_2 * weight_1, firsts, unit_buckets)
    below = _units(visits_1 * weight_2, firsts, unit_buckets)
    weight_1 *= weight_2
    independent = _units((visits_1 + visits_2) * weight_1, firsts, unit_buckets).sum(0)
    present = _units(both.astype(np.float64), firsts, unit_buckets) > 0
    above_all, below_all = (each.sum(1, keepdims=True) for each in (above, below))
    return (
        _rates(above_all, below_all, independent.sum(keepdims=True), present.any(1, keepdims=True)),
        _rates(above, below, independent, present),
    )


def fraction_changes(one: Strata, other: Strata, firsts: Ints, unit_buckets: int) -> Changes:
    """Return the change of the fraction of unknown visits of each site, other minus one."""
    (value_1, variance_1, units_1), (value_2, variance_2, units_2) = (
        _fractions(_units(each.unknown, firsts, unit_buckets), _units(each.visits, firsts, unit_buckets))
        for each in (one, other)
    )
    known = np.minimum(units_1, units_2) >= MIN_UNITS
    change = np.where(known, value_2 - value_1, np.nan)
    error = _quantiles(units_1 + units_2 - 2) * np.sqrt(variance_1 + variance_2)
    return Changes(change, change - error, change + error)


def _units(values: Floats, firsts: Ints, unit_buckets: int) -> Floats:
    """Sum buckets to units and devices to sites, ``(units, sites)``."""
    if not len(firsts) or not len(values):
        return np.zeros((0, len(firsts)))
    of_sites = np.add.reduceat(values, firsts, axis=1)
    return np.asarray(np.add.reduceat(of_sites, np.arange(0, len(values), unit_buckets), axis=0), np.float64)


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
