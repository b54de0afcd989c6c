"""Read the tables that the page and the HTTP API show from a store."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.correction import Matrices, shares_over
from collector.analysis.intervals import Span, Step, with_known_time
from collector.analysis.summarise import HOUR_S, WEEKDAYS, by_time, device_count, label_columns
from collector.devices.registry_file import damages as device_damages
from collector.store.cells import QUARTER_S, cell_s_for
from collector.store.damage import Damage, DamageLog
from collector.store.load import load
from collector.store.rollup import Rollups

HOURS = tuple(range(24))
MAX_DAILY_SHARES = timedelta(days=62)
"""Longer spans have one share a month: each point costs some milliseconds."""
MAX_DRAWN_LABELS = 33
"""Labels of one model and ``unknown``. No chart can show more apart; the page shows the most frequent, downloads have
all."""


class Reader:
    """Windows and cells of a store, read from its files. Safe for any number of threads."""

    def __init__(self, root: Path, now: Callable[[], datetime]) -> None:
        self.root = root
        self._damages = DamageLog()
        self._rollups = {cell_s: Rollups(root, cell_s, now, self._damages.note) for cell_s in (HOUR_S, QUARTER_S)}

    def windows(self, span: Span, site: str | None = None) -> pd.DataFrame:
        """Return the windows that began in ``[since, until)``, as `collector.store.load.load` does."""
        return load(self.root, *span, site, self._damages.note)

    def cells(self, span: Span, zone: ZoneInfo, site: str | None = None) -> pd.DataFrame:
        """Return the same windows as cells (`collector.store.cells`) that fit the hours and days of the zone."""
        return self._rollups[cell_s_for(zone, *span)].cells(*span, site)

    def damages(self) -> tuple[Damage, ...]:
        """Return what was left out of the tables so far, and the files that were damaged."""
        rollups = (damage for each in self._rollups.values() for damage in each.damages())
        return (*self._damages.all(), *rollups, *device_damages(self.root))


def shares_by_period(frame: pd.DataFrame, zone: ZoneInfo, span: Span, matrices: Matrices) -> pd.DataFrame:
    """Return `collector.analysis.correction.shares_over` by day, or by month if the span exceeds `MAX_DAILY_SHARES`."""
    step: Step = None if span[1] - span[0] <= MAX_DAILY_SHARES else "month"
    return shares_over(frame, step, zone, span, matrices, fixed_rng())


def fixed_rng() -> np.random.Generator:
    """Return a generator with a fixed seed, so that nothing on the page changes while no window arrives."""
    return np.random.default_rng(0)


def most_frequent_labels(table: pd.DataFrame) -> list[str]:
    """Return the labels to draw of a table of `collector.analysis.summarise`: at most `MAX_DRAWN_LABELS`, in order."""
    names = label_columns(table)
    if len(names) <= MAX_DRAWN_LABELS:
        return names
    most = set(table[names].sum().nlargest(MAX_DRAWN_LABELS).index)
    return [name for name in names if name in most]


def hourly_rates(frame: pd.DataFrame, zone: ZoneInfo, span: Span) -> pd.DataFrame:
    """Return visits per watched hour of one camera, by weekday and hour of the zone.

    Seven rows of weekdays, columns ``(label or "visits", hour)``. A value is the mean over all such hours in the span,
    NaN where no camera watched. An hour that occurs twice when clocks go back counts as two.
    """
    table = by_time(frame, HOUR_S, zone, span)
    starts = pd.DatetimeIndex(table.index)
    watched_hours = (table["coverage"] * table["seconds"] / HOUR_S).to_numpy() * device_count(with_known_time(frame))
    names = ["visits", *label_columns(table)]
    when, week = (
        pd.MultiIndex.from_arrays([starts.day_of_week, starts.hour]),
        pd.MultiIndex.from_product([range(7), HOURS]),
    )
    visits = table[names].fillna(0.0).set_axis(when).groupby(level=[0, 1]).sum().reindex(week)
    watched = pd.Series(np.nan_to_num(watched_hours), when).groupby(level=[0, 1]).sum().reindex(week)
    rates = visits.div(watched.where(watched > 0), axis=0).unstack()
    return pd.DataFrame(rates).set_axis(pd.Index(WEEKDAYS, name="weekday"))


def rates_of_label(rates: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return weekdays by the 24 hours, (7, 24), of one label of `hourly_rates`."""
    return pd.DataFrame(rates[label], columns=list(HOURS))
