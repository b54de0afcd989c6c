"""Read the tables that the page and the HTTP API show from a store."""

from collections.abc import Callable, Collection, Mapping
from copy import copy
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.bootstrap import fixed_rng
from collector.analysis.confusion import Confusion, DeviceClassifier, Matrices, conflicts
from collector.analysis.correction import shares_over
from collector.analysis.fleet_period import FleetPeriod, fleet_period, midnights
from collector.analysis.intervals import Span, Step, prorated, with_known_time
from collector.analysis.known_matrices import KnownMatrices
from collector.analysis.label_sets import LabelSet, with_label_map
from collector.analysis.summarise import HOUR_S, WEEKDAYS, by_time, device_count, label_columns
from collector.devices.device import Device
from collector.devices.groups import Groups
from collector.devices.registry import KnownDevices
from collector.live.last_hour import LastHour
from collector.live.windows import LiveWindows
from collector.rollups.cells import QUARTER_S, cell_s_for
from collector.rollups.fleet import Range
from collector.rollups.rollup import Rollups
from collector.store.damage import Damage, DamageLog
from collector.store.load import labels, load
from collector.store.source_files import StoredSites

HOURS = tuple(range(24))
MIN_RATE_S = 1800.0
"""Shortest watched time of which a rate per hour is given, seconds."""
MAX_DAILY_SHARES = timedelta(days=62)
"""Longer spans have one share a month: each point costs some milliseconds."""
OPEN_FRACTION = 0.005
"""An hour of the day with a smaller fraction of all visits is taken to be closed."""
MAX_DRAWN_LABELS = 33
"""Labels of one model and ``unknown``. No chart can show more apart; the page shows the most frequent, downloads have
all."""


class Reader:
    """Windows and cells of a store, read from its files; the last day is kept up to date in memory. Safe for any number
    of threads.

    Labels have the names of ``label_map``, in tables and in confusion matrices.
    """

    permitted: frozenset[str] | None = None
    """The sites that it reads; None for all."""

    def __init__(
        self,
        root: Path,
        now: Callable[[], datetime],
        label_map: Mapping[str, str] | None = None,
        groups: Groups | None = None,
    ) -> None:
        self.root = root
        self._groups = groups or Groups()
        self._label_map = label_map or {}
        self._damages = DamageLog()
        self._rollups = {cell_s: Rollups(root, cell_s, now, self._damages.note) for cell_s in (HOUR_S, QUARTER_S)}
        self._devices, self._stored_sites = KnownDevices(root), StoredSites(root)
        self._matrices = KnownMatrices(self._devices, self._label_map)
        self.live = LiveWindows(root, now, self._label_map, self._damages.note)

    def only(self, permitted: frozenset[str] | None) -> "Reader":
        """Return a reader of these sites, or of all if None. It shares what this one keeps in memory."""
        reader = copy(self)
        reader.permitted = permitted
        return reader

    def permits(self, site: str) -> bool:
        """Whether a site may be read."""
        return self.permitted is None or site in self.permitted

    def windows(self, span: Span, sites: Collection[str] = ()) -> pd.DataFrame:
        """Return the windows of some sites, or of all, that began in ``[since, until)``, as `load` does."""
        chosen = self._chosen(sites)
        frame = load(self.root, *span, _only(chosen), self._damages.note)
        return with_label_map(_of_sites(frame, chosen), self._label_map)

    def cells(self, span: Span, zone: ZoneInfo, sites: Collection[str] = ()) -> pd.DataFrame:
        """Return the same windows as cells (`collector.rollups.cells`) that fit the hours and days of the zone."""
        chosen = self._chosen(sites)
        frame = self._rollups[cell_s_for(zone, *span)].cells(*span, _only(chosen))
        return with_label_map(_of_sites(frame, chosen), self._label_map)

    def fleet(
        self, span: Span, zone: ZoneInfo, set_name: str | None, *, hourly: bool, prorate: bool = False, site: str = ""
    ) -> tuple[FleetPeriod, list[LabelSet]] | None:
        """Return a label set of all sites, or of one, and all sets, the chosen one first; see `fleet_period`.

        None if some sites may not be read, or the sums cannot be kept: then read `cells`. Devices are summed by hour,
        or by day of the zone. ``prorate`` is as `prorated`.
        """
        if self.permitted is not None:
            return None
        groups = self._matrices.groups()
        adjust = (lambda cells: prorated(cells, span)) if prorate else None
        asked = Range(*span, None if hourly else midnights(zone, span), adjust)
        rollups = self._rollups[cell_s_for(zone, *span)]
        sums = rollups.fleet_of(site, asked, groups.groups) if site else rollups.fleet(asked, groups.groups)
        return None if sums is None else fleet_period(sums, span, groups.matrices, self._label_map, set_name)

    def last_hour(self, zone: ZoneInfo, sites: Collection[str] = (), set_name: str | None = None) -> LastHour:
        """Return the last hour of some sites, or of all, of a label set (`collector.live.last_hour`)."""
        return self.live.last_hour(zone, self._chosen(sites), set_name)

    def devices(self) -> tuple[Device, ...]:
        """Return the last known state of all devices."""
        if self.permitted is None:
            return self._devices.all()
        return tuple(device for device in self._devices.all() if self.permits(device.site))

    def groups(self) -> dict[tuple[str, str], str]:
        """Return the groups of devices, by site and device. Devices that no fleet has are absent."""
        return {key: group for key, group in self._groups.read().items() if self.permits(key[0])}

    def matrices(self) -> dict[DeviceClassifier, Confusion]:
        """Return the confusion matrices that the devices report. They must not be changed."""
        if self.permitted is None:
            return self._matrices.all()
        return {key: matrix for key, matrix in self._matrices.all().items() if self.permits(key[0])}

    def conflicting(self) -> set[tuple[str, str]]:
        """Return site and name of the devices whose matrix differs from that of others with the same classifier."""
        found = self._matrices.conflicts() if self.permitted is None else conflicts(self.matrices())
        return {(site, name) for site, name, _ in found}

    def sites(self) -> list[str]:
        """Return the sites that have rows or a device, in alphabetical order."""
        found = {*self._stored_sites.all(), *(device.site for device in self.devices())}
        return sorted(site for site in found if self.permits(site))

    def damages(self) -> tuple[Damage, ...]:
        """Return what was left out of the tables so far, and the files that were damaged."""
        rollups = (damage for each in self._rollups.values() for damage in each.damages())
        found = (*self._damages.all(), *rollups, *self._devices.damages())
        return tuple(damage for damage in found if self._shows(damage))

    def _chosen(self, sites: Collection[str]) -> Collection[str] | None:
        """Return which of some sites are read, or of all if there are none; None if all of the store's are."""
        if self.permitted is None:
            return sites or None
        return self.permitted.intersection(sites) if sites else self.permitted

    def _shows(self, damage: Damage) -> bool:
        """Whether a damage is one of a site that may be read."""
        parts = Path(damage.file).parts
        return self.permitted is None or any(f"site={site}" in parts for site in self.permitted)


def shares_by_period(frame: pd.DataFrame, zone: ZoneInfo, span: Span, matrices: Matrices) -> pd.DataFrame:
    """Return `collector.analysis.correction.shares_over` by day, or by month if the span exceeds `MAX_DAILY_SHARES`."""
    step: Step = None if span[1] - span[0] <= MAX_DAILY_SHARES else "month"
    return shares_over(frame, step, zone, span, matrices, fixed_rng())


def _only(sites: Collection[str] | None) -> str | None:
    """Return the only site of a collection, if it has one: then less need be read."""
    return next(iter(sites)) if sites is not None and len(sites) == 1 else None


def _of_sites(frame: pd.DataFrame, sites: Collection[str] | None) -> pd.DataFrame:
    """Return the rows of some sites, without labels that only other sites have; the whole table if ``sites`` is None.

    The table of one site holds no rows of others.
    """
    if sites is None:
        return frame
    own = frame if len(sites) == 1 else frame[frame["site"].isin(sites)].reset_index(drop=True)
    foreign = [name for name in labels(own) if own[name].isna().all()]
    return own.drop(columns=foreign) if foreign else own


def most_frequent_labels(table: pd.DataFrame) -> list[str]:
    """Return the labels to draw of a table of `collector.analysis.summarise`: at most `MAX_DRAWN_LABELS`, in order."""
    names = label_columns(table)
    if len(names) <= MAX_DRAWN_LABELS:
        return names
    most = set(table[names].sum().nlargest(MAX_DRAWN_LABELS).index)
    return [name for name in names if name in most]


def hourly_rates(frame: pd.DataFrame, zone: ZoneInfo, span: Span, devices: int | None = None) -> pd.DataFrame:
    """Return visits per watched hour of one camera, by weekday and hour of the zone.

    Seven rows of weekdays, columns ``(label or "visits", hour)``. A value is the mean over all such hours in the span,
    NaN where cameras watched for less than `MIN_RATE_S` in all: ten visits in one watched minute are no 600 an hour. An
    hour that occurs twice when clocks go back counts as two. ``devices`` is as for `by_time`.
    """
    number = device_count(with_known_time(frame)) if devices is None else devices
    table = by_time(frame, HOUR_S, zone, span, number)
    starts = pd.DatetimeIndex(table.index)
    watched_hours = (table["coverage"] * table["seconds"] / HOUR_S).to_numpy() * number
    names = ["visits", *label_columns(table)]
    when, week = (
        pd.MultiIndex.from_arrays([starts.day_of_week, starts.hour]),
        pd.MultiIndex.from_product([range(7), HOURS]),
    )
    visits = table[names].fillna(0.0).set_axis(when).groupby(level=[0, 1]).sum().reindex(week)
    watched = pd.Series(np.nan_to_num(watched_hours), when).groupby(level=[0, 1]).sum().reindex(week)
    rates = visits.div(watched.where(watched >= MIN_RATE_S / HOUR_S), axis=0).unstack()
    return pd.DataFrame(rates).set_axis(pd.Index(WEEKDAYS, name="weekday"))


def opening_hours(frame: pd.DataFrame, zone: ZoneInfo, span: Span) -> range:
    """Return the hours of the day to draw: the shortest range that holds all hours with `OPEN_FRACTION` of the visits.

    Without visits these are the hours that cameras watched, and without those all hours.
    """
    table = by_time(frame, HOUR_S, zone, span)
    hour = pd.DatetimeIndex(table.index).hour.to_numpy()
    for values in (table["visits"], table["coverage"] * table["seconds"]):
        totals = np.bincount(hour, weights=np.nan_to_num(values.to_numpy(np.float64)), minlength=len(HOURS))
        busy = np.flatnonzero(totals > OPEN_FRACTION * totals.sum())
        if len(busy):
            return range(int(busy[0]), int(busy[-1]) + 1)
    return range(len(HOURS))


def rates_of_label(rates: pd.DataFrame, label: str) -> pd.DataFrame:
    """Return weekdays by the 24 hours, (7, 24), of one label of `hourly_rates`."""
    return pd.DataFrame(rates[label], columns=list(HOURS))
