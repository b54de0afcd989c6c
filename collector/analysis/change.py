"""Whether a figure changed between two periods clearly.

Visits are compared as a rate: the same cameras, the same hours, weighted by the time that both periods were watched.
The ratio is that of Mantel and Haenszel (Greenland and Robins 1985, "Estimation of a common effect parameter from
sparse follow-up data"). Visits vary more between days than independent visits would: rain, holidays, deliveries. So
days are the units of the standard error, as in a ratio estimate from clusters (Cochran 1977, "Sampling techniques",
chapter 6), and the error is never below that of independent visits. Fractions, such as that of ``unknown``, are
compared by the same two rules.

A change is clear where its 99 % interval, by Student's t with one degree of freedom less than there are units, leaves
out zero: of a hundred figures that did not change, one is called changed.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from collector.store.intervals import Floats, Ints, microseconds
from collector.store.load import labels

LEVEL = 0.995
"""Quantile of the upper end of a 99 % interval."""
MIN_UNITS = 3
"""With fewer days (or hours, in a short period) nothing is said."""
STRATUM = ["site", "device", "bucket"]


@dataclass(frozen=True, slots=True)
class Change:
    """A change with its 99 % interval: relative for rates (0.1 is a tenth more), a difference for fractions."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether it is clear. False where it is unknown."""
        return self.low > 0 or self.high < 0


UNKNOWN_CHANGE = Change(float("nan"), float("nan"), float("nan"))


def strata(frame: pd.DataFrame, edges: Ints) -> pd.DataFrame:
    """Return visits and watched seconds per site, device and bucket of time between the edges.

    ``frame`` holds windows or cells; one that reaches beyond its bucket counts where it starts. Columns: ``visits``,
    one per label, and ``watched_s``.
    """
    starts, ends = microseconds(frame)
    bucket = np.clip(np.searchsorted(edges, starts, "right") - 1, 0, max(len(edges) - 2, 0))
    seconds = frame["seconds"].to_numpy(np.float64) if "begin" in frame else (ends - starts) / 1e6
    size = max(len(edges) - 1, 1)
    site, sites = pd.factorize(frame["site"])
    device, devices = pd.factorize(frame["device"])
    code = (np.asarray(site, np.int64) * max(len(devices), 1) + device) * size + bucket
    present, position = np.unique(code, return_inverse=True)

    def total(values: Floats) -> Floats:
        return np.bincount(position, weights=values, minlength=len(present)).astype(np.float64)

    counts = {name: total(np.nan_to_num(frame[name].to_numpy(np.float64))) for name in labels(frame)}
    sender = present // size
    levels = [pd.Index(each) for each in (sites, devices, np.arange(size))]
    index = pd.MultiIndex(
        levels=levels,  # type: ignore[arg-type]
        codes=[sender // max(len(devices), 1), sender % max(len(devices), 1), present % size],
        names=STRATUM,
    )
    watched = total(frame["coverage"].to_numpy(np.float64) * seconds)
    visits: Any = sum(counts.values()) if counts else np.zeros(len(present))
    return pd.DataFrame(counts | {"visits": visits, "watched_s": watched}, index=index)


def rate_change(one: pd.DataFrame, other: pd.DataFrame, unit_buckets: int = 1) -> Change:
    """Return the change of visits at equal watched time from ``one`` to ``other``, both from `strata`.

    ``unit_buckets`` is the number of buckets in one unit of the standard error, for example 24 hours of a day.
    """
    columns = ["visits", "watched_s"]
    both = one[columns].add_suffix("_1").join(other[columns].add_suffix("_2"), how="inner")
    watched_1, watched_2 = (both[name].to_numpy(np.float64) for name in ("watched_s_1", "watched_s_2"))
    all_s = watched_1 + watched_2
    weight_1, weight_2 = (
        np.divide(w, all_s, out=np.zeros(len(all_s)), where=all_s > 0) for w in (watched_1, watched_2)
    )
    visits_1, visits_2 = (both[name].to_numpy(np.float64) for name in ("visits_1", "visits_2"))
    unit = both.index.get_level_values("bucket").to_numpy() // unit_buckets
    above, below = (np.bincount(unit, weights=each) for each in (visits_2 * weight_1, visits_1 * weight_2))
    units = len(np.unique(unit))
    if units < MIN_UNITS or not (above.sum() > 0 and below.sum() > 0):
        return UNKNOWN_CHANGE
    ratio = above.sum() / below.sum()
    independent = ((visits_1 + visits_2) * weight_1 * weight_2).sum() / (above.sum() * below.sum())
    clustered = ((above - ratio * below) ** 2).sum() * units / (units - 1) / (above.sum() * ratio * below.sum())
    error = t_quantile(units - 1) * np.sqrt(max(independent, clustered))
    return Change(ratio - 1, float(ratio * np.exp(-error) - 1), float(ratio * np.exp(error) - 1))


def fraction_change(one: pd.DataFrame, other: pd.DataFrame, label: str, unit_buckets: int = 1) -> Change:
    """Return the difference of a label's fraction of all visits, other minus one, both from `strata`."""
    if not all(label in table for table in (one, other)):
        return UNKNOWN_CHANGE
    (value_1, variance_1, units_1), (value_2, variance_2, units_2) = (
        _fraction(table, label, unit_buckets) for table in (one, other)
    )
    if min(units_1, units_2) < MIN_UNITS:
        return UNKNOWN_CHANGE
    error = t_quantile(units_1 + units_2 - 2) * np.sqrt(variance_1 + variance_2)
    return Change(value_2 - value_1, value_2 - value_1 - error, value_2 - value_1 + error)


def t_quantile(degrees: int, level: float = LEVEL) -> float:
    """Return a quantile of Student's t, by its expansion in 1 / degrees (Abramowitz and Stegun 1964, 26.7.5)."""
    z = NormalDist().inv_cdf(level)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(degrees ** (power + 1)) for power, term in enumerate(terms))


def _fraction(table: pd.DataFrame, label: str, unit_buckets: int) -> tuple[float, float, int]:
    """Return a label's fraction of all visits, the variance of that, and the number of units with visits."""
    unit = table.index.get_level_values("bucket").to_numpy() // unit_buckets
    part, whole = (np.bincount(unit, weights=table[name].to_numpy(np.float64)) for name in (label, "visits"))
    units = int((whole > 0).sum())
    if units < MIN_UNITS:
        return float("nan"), float("nan"), units
    value = part.sum() / whole.sum()
    clustered = ((part - value * whole) ** 2).sum() * units / (units - 1) / whole.sum() ** 2
    return value, max(clustered, value * (1 - value) / whole.sum()), units
