"""The four figures of the first screen, for all chosen sites together and for each: visits, share, unknown, coverage.

Each has its value in the comparison period or at the comparison site, its change, and a trend.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.bootstrap import fixed_rng
from collector.analysis.change import UNKNOWN_CHANGE, Change, fraction_change, rate_change, strata
from collector.analysis.confusion import Matrices
from collector.analysis.correction import compare, left_out
from collector.analysis.intervals import NO_TIMES, Span, bucket_edges, with_known_time
from collector.analysis.summarise import HOUR_S, by_site, by_total
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.store.intervals import Ints
from contract.labels import UNKNOWN

HEADLINE_LABEL = "happiness"
HOURLY_UNITS = timedelta(days=5)
"""In a shorter period hours, not days, are the units of the standard error of a change."""
MAX_HOURLY = timedelta(days=62)
"""In a longer period the strata of a comparison are days instead of hours."""
HOURS_A_DAY = 24
MIN_COMPARED_S = 3600.0
"""Shortest watched time of a period that is compared, seconds."""
Trend = Literal["more", "less", "random", "unknown", "measured"]
"""``more`` and ``less``: a clear change. ``random``: may be random. ``unknown``: too little data to say.
``measured``: not a sample, so any change is real."""
NAN = float("nan")
Row = Any
"""A row of a table: its figures by name."""


@dataclass(frozen=True, slots=True)
class Period:
    """Cells of a period, and its span."""

    frame: pd.DataFrame
    span: Span


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, its value in the comparison, and the change between them. NaN where unknown."""

    value: float
    before: float = NAN
    change: float = NAN
    """Relative for visits, a difference for fractions."""
    trend: Trend = "unknown"
    low: float = NAN
    """Lower end of the 90 % interval of a share, or of the doubt range of visits."""
    high: float = NAN


@dataclass(frozen=True, slots=True)
class Headline:
    """The figures of the first screen."""

    label: str | None
    """Label of ``share``; None where the table has no labels."""
    visits: Figure
    share: Figure
    unknown: Figure
    coverage: Figure
    at_equal_time: Change
    """Relative change of visits of the same cameras at equal watched time: the base of the trend on ``visits``."""
    left_out: float = 0.0
    """Visits without a corrected share."""


def headline_label(labels: list[str], wanted: str | None = None) -> str | None:
    """Return the label of the share: the wanted one, else happiness, else the first that is not ``unknown``."""
    named = [label for label in labels if label != UNKNOWN]
    return next((label for label in (wanted, HEADLINE_LABEL, *named) if label in named), None)


def headline(
    now: Period, before: Period, matrices: Matrices, label: str | None, zone: ZoneInfo, *, same_cameras: bool
) -> Headline:
    """Return the figures of all rows of two periods together.

    With ``same_cameras`` visits are compared camera by camera at equal watched time, else, between sites, as counted.
    """
    total, former = by_total(now.frame, now.span).iloc[0], by_total(before.frame, before.span).iloc[0]
    both = compare(before.frame, now.frame, matrices, fixed_rng())
    one, other, unit = _strata(before, now, zone)
    if not same_cameras:
        one, other = of_all(one), of_all(other)
    found = _headline(total, former, both, _Pair(one, other, unit), label)
    return replace(found, left_out=left_out(now.frame, matrices))


def site_headlines(
    now: Period, before: Period, matrices: Matrices, label: str | None, zone: ZoneInfo
) -> dict[str, Headline]:
    """Return the figures of each site that has rows, by name, compared with itself in the other period."""
    totals, formers = by_site(now.frame, now.span), by_site(before.frame, before.span)
    one, other, unit = _strata(before, now, zone)
    ones, others, cells = (
        {str(site): part for site, part in table.groupby("site")} for table in (one, other, before.frame)
    )
    found = {}
    for site, frame in now.frame.groupby("site"):
        name = str(site)
        former = formers.loc[name] if name in formers.index else totals.loc[name] * NAN
        both = compare(cells.get(name, before.frame.iloc[:0]), frame, matrices, fixed_rng())
        pair = _Pair(ones.get(name, one.iloc[:0]), others.get(name, other.iloc[:0]), unit)
        found[name] = _headline(totals.loc[name], former, both, pair, label)
    return found


@dataclass(frozen=True, slots=True)
class _Pair:
    """Strata of two periods, of the same buckets by place in the period."""

    one: pd.DataFrame
    other: pd.DataFrame
    unit: int
    """Buckets in a unit of the standard error."""


def _headline(total: Row, former: Row, both: pd.DataFrame, pair: _Pair, label: str | None) -> Headline:
    """Return the figures for rows of `collector.analysis.summarise` of two periods."""
    change = unknown = UNKNOWN_CHANGE
    if is_comparable(total, former):
        change = rate_change(pair.one, pair.other, pair.unit)
        unknown = fraction_change(pair.one, pair.other, UNKNOWN, pair.unit)
    return figures(total, former, share_of(both, label), (change, unknown), label)


def is_comparable(total: Row, former: Row) -> bool:
    """Whether both periods were watched for long enough to say whether a figure has changed."""
    watched_s = (float(each["coverage"] * each["seconds"]) for each in (total, former))
    return min(watched_s) >= MIN_COMPARED_S


def share_of(both: pd.DataFrame, label: str | None) -> Figure:
    """Return the share of a label from a table of `collector.analysis.correction.compare`."""
    return Figure(NAN) if label is None or label not in both.index else _share(both.loc[label])


def figures(total: Row, former: Row, share: Figure, changes: tuple[Change, Change], label: str | None) -> Headline:
    """Return the figures for rows of `collector.analysis.summarise` of two periods.

    ``changes`` are those of visits and of the fraction of ``unknown``.
    """
    change, unknown = changes
    return Headline(
        label,
        _visits(total, former, change),
        share,
        _fraction(_unknown(total), _unknown(former), _trend_of(unknown)),
        _fraction(float(total["coverage"]), float(former["coverage"]), "measured"),
        change,
    )


def _strata(before: Period, now: Period, zone: ZoneInfo) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return the strata of both periods by place in the period, and the number of buckets of a unit."""
    one, other = (
        strata(with_known_time(each.frame), stratum_edges(each.span, now.span, zone)) for each in (before, now)
    )
    return one, other, unit_buckets(now.span)


def is_hourly(span: Span) -> bool:
    """Whether the strata of a comparison are hours, and not days."""
    return span[1] - span[0] <= MAX_HOURLY


def unit_buckets(span: Span) -> int:
    """Return the number of strata in a unit of the standard error."""
    return 1 if not is_hourly(span) or span[1] - span[0] < HOURLY_UNITS else HOURS_A_DAY


def stratum_edges(span: Span, now: Span, zone: ZoneInfo) -> Ints:
    """Return the edges of the strata of a period that is compared with ``now``, or of that itself."""
    return bucket_edges(NO_TIMES, HOUR_S if is_hourly(now) else None, zone, span)


def of_all(table: pd.DataFrame) -> pd.DataFrame:
    """Return strata of all devices together, watched as long as every other: visits are compared as counted."""
    summed = table.groupby(level="bucket").sum()
    return summed.assign(watched_s=1.0)


def _visits(total: Row, former: Row, change: Change) -> Figure:
    low, high = (float(total[name]) for name in DOUBTFUL_COLUMNS)
    visits, before = float(total["visits"]), float(former["visits"])
    relative = visits / before - 1 if before > 0 else NAN
    return Figure(visits, before, relative, _trend_of(change), visits - low, visits + high)


def _share(row: Row) -> Figure:
    """Return the figure of a row of `collector.analysis.correction.compare`."""
    trends: dict[str, Trend] = {"more": "more", "less": "less"}
    known = not np.isnan(row["difference"])
    trend = trends.get(row["change"], "random") if known else "unknown"
    return Figure(
        float(row["corrected_other"]), float(row["corrected_one"]), float(row["difference"]), trend,
        float(row["low_other"]), float(row["high_other"]),
    )  # fmt: skip


def _unknown(total: Row) -> float:
    """Return the fraction of visits that were not classified."""
    return float(total[UNKNOWN] / total["visits"]) if UNKNOWN in total and total["visits"] > 0 else NAN


def _fraction(value: float, before: float, trend: Trend) -> Figure:
    return Figure(value, before, value - before, "unknown" if np.isnan(value - before) else trend)


def _trend_of(change: Change) -> Trend:
    if np.isnan(change.value):
        return "unknown"
    if not change.clear:
        return "random"
    return "more" if change.value > 0 else "less"
