"""What the page shows for a selection, computed from the files of a store, without a broker or a receiver."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from collector.analysis import correction
from collector.analysis.correction import Matrices, compare, conflicts, confusions
from collector.analysis.query import MAX_DAILY_SHARES, Reader, fixed_rng, hourly_rates, shares_by_period
from collector.analysis.summarise import by_site, by_time, label_columns, step_for, step_name
from collector.devices.device import Device
from collector.devices.registry import read_devices
from collector.page import device_totals, figures, shares, tables
from collector.page.descriptions import describe_counts, describe_heatmap, describe_shares
from collector.page.downloads import FORMATS, file_content
from collector.page.selection import ALL_SITES, InvalidSelection, Selection, resolve
from collector.recount.files import read_recounts
from collector.store import load
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.web.shared_result import SharedResults
from contract.labels import UNKNOWN

LIVE_SPAN = timedelta(hours=1)
DAY = timedelta(days=1)
CHECK_EVERY_S = 5.0
"""Shortest time between two looks for new data, as often as a page asks."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart, the same as a sentence and as a table."""

    figure: go.Figure
    description: str
    table: Any


@dataclass(frozen=True, slots=True)
class Overview:
    """Charts and tables of the selected period."""

    trend: Chart
    shares: Chart
    heatmap: Chart
    totals: Any
    sites: Any
    labels: tuple[str, ...]
    """Labels that can be selected."""


@dataclass(frozen=True, slots=True)
class View:
    """Views of a store at the time that ``now`` returns."""

    reader: Reader
    now: Callable[[], datetime]
    _checks: SharedResults[str] = field(default_factory=lambda: SharedResults(1))

    def fresh(self) -> str:
        """Return a text that changes when new data has arrived, and each minute, because gaps grow."""
        return self._checks.get(int(time.monotonic() // CHECK_EVERY_S), self._check)

    def _check(self) -> str:
        now = self.now()
        root, days = self.reader.root, {(now - age).date() for age in (timedelta(0), DAY)}
        patterns = ["devices*.json", "_recount/recounts.csv", *(f"date={day}/site=*/counts-*" for day in days)]
        stats = [path.stat() for pattern in patterns for path in root.glob(pattern)]
        latest = max((stat.st_mtime_ns for stat in stats), default=0)
        return f"{latest}-{sum(stat.st_size for stat in stats)}-{int(now.timestamp() // 60)}"

    def live(self, controls: Mapping[str, Any]) -> tuple[Chart, str]:
        """Return the last hour, and the time of the view."""
        now = self.now()
        try:
            selection = resolve(controls, now)
        except InvalidSelection as error:
            return _no_chart(str(error)), ""
        windows = self.reader.windows((now - DAY, now), selection.site)  # held back for k, a window may be hours long
        clock = f"As of {now.astimezone(selection.zone):%H:%M:%S} {selection.zone}"
        frame = windows[windows["end"] > now - LIVE_SPAN]
        if frame.empty:
            return _no_chart("No data has arrived for the last hour."), clock
        first = frame["start"].min()
        step_s = step_for(frame, (first, now))
        table = by_time(frame, step_s, selection.zone, (first, now))
        ends = table.index + pd.to_timedelta(table["seconds"], unit="s")
        whole = table[(table.index >= now - LIVE_SPAN) & (ends <= now)]  # a partial bucket would look like a dip
        when = "the last hour"
        if not len(whole) and first < now - LIVE_SPAN:
            when = f"counts since {first.tz_convert(selection.zone):%H:%M}"
        table = whole if len(whole) else table
        text = describe_counts(table, f"{selection.site or 'all sites'}, {when}")
        return Chart(figures.live_figure(table, step_name(step_s)), text, tables.counts_table(table, text)), clock

    def comparison(self, controls: Mapping[str, Any], against: str, other: str) -> Chart:
        """Compare the selected period with the previous one (``against`` is ``"before"``), or with another site."""
        now = self.now()
        try:
            selection = resolve(controls, now)
            reference = (
                selection.previous() if against == "before" else selection.at(resolve({"site": other}, now).site)
            )
        except InvalidSelection as error:
            return _no_chart(str(error))
        one, two = (self.reader.cells(each.span, each.zone, each.site) for each in (reference, selection))
        both = compare(one, two, confusions(read_devices(self.reader.root)), fixed_rng())
        if both.empty:
            return _no_chart("No data to compare.")
        if against == "before":
            begin = reference.span[0].astimezone(selection.zone)
            names = (f"the previous period (from {begin:%-d %B %Y})", "this period")
        else:
            names = (reference.site or "all sites", selection.site or "all sites")
        text = shares.describe_comparison(both, names)
        return Chart(shares.comparison_figure(both, names), text, shares.comparison_table(both, names))

    def download(self, controls: Mapping[str, Any], kind: str) -> tuple[str, bytes]:
        """Return name and content of a file with the selected period. Raises InvalidSelection."""
        if kind not in FORMATS:
            raise InvalidSelection(f"The format must be one of {', '.join(FORMATS)}.")
        selection = resolve(controls, self.now())
        frame = self.reader.cells(selection.span, selection.zone, selection.site)
        over = shares_by_period(frame, selection.zone, selection.span, confusions(read_devices(self.reader.root)))
        since, until = (f"{moment.astimezone(selection.zone):%Y%m%d}" for moment in selection.span)
        name = f"facetally-{selection.site or 'all'}-{since}-{until}.{kind}"
        return name, file_content(by_time(frame, selection.step_s, selection.zone, selection.span), over, kind)

    def overview(self, controls: Mapping[str, Any], heatmap_label: Any) -> Overview:
        """Return all views of the selected period; the heatmap is of one label, or of all visits if there is none."""
        now = self.now()
        try:
            selection = resolve(controls, now)
        except InvalidSelection as error:
            nothing = _no_chart(str(error))
            return Overview(nothing, nothing, nothing, None, None, ())
        frame = self.reader.cells(selection.span, selection.zone, selection.site)
        devices = read_devices(self.reader.root)
        sites = tables.sites_table(by_site(frame, selection.span), _of_site(devices, selection), now)
        return overview(frame, selection, str(heatmap_label), confusions(devices), sites)

    def device_table(self, controls: Mapping[str, Any]) -> Any:
        """Return one row per device of the selected site, its totals and recounts, and what was left out."""
        now = self.now()
        try:
            selection = resolve(controls, now)
        except InvalidSelection as error:
            return str(error)
        windows = self.reader.windows((now - DAY, now), selection.site)
        devices = read_devices(self.reader.root)
        conflicting = {(site, name) for site, name, _ in conflicts(confusions(devices))}
        shown = _of_site(devices, selection)
        recounts = [each for each in read_recounts(self.reader.root) if selection.site in (None, each.site)]
        return [
            tables.devices_table(shown, windows, now, conflicting),
            *device_totals.tracks_tables(shown),
            *device_totals.recounts_tables(recounts, selection.zone),
            *self.notices(),
        ]

    def notices(self) -> list[Any]:
        """Return what was left out of the views and why, empty if nothing was."""
        return tables.notices(self.reader.damages())

    def sites(self) -> list[dict[str, str]]:
        """Return the sites to select from: all of them, and each that has rows or a device."""
        names = sorted({*load.sites(self.reader.root), *(device.site for device in read_devices(self.reader.root))})
        return [{"label": "all sites", "value": ALL_SITES}, *({"label": name, "value": name} for name in names)]


def overview(frame: pd.DataFrame, selection: Selection, heatmap_label: str, matrices: Matrices, sites: Any) -> Overview:
    """Return the views of a table of cells."""
    table = by_time(frame, selection.step_s, selection.zone, selection.span)
    names = tuple(label_columns(table))
    text = describe_counts(table, str(selection))
    trend = Chart(figures.trend_figure(table, step_name(selection.step_s)), text, tables.counts_table(table, text))
    heatmap = _heatmap(frame, selection, heatmap_label)
    visits = frame[load.labels(frame)].sum()  # includes windows of a clock that was never set
    if not visits.sum() > 0:
        return Overview(trend, _no_chart(f"No visits in {selection}."), heatmap, None, sites, names)
    doubtful_low, doubtful_high = frame[list(DOUBTFUL_COLUMNS)].sum()
    totals = shares.totals_table(
        correction.shares(frame, matrices, fixed_rng()),
        float(visits[UNKNOWN]) if UNKNOWN in visits else None,
        (doubtful_low, doubtful_high),
    )
    if not table["visits"].sum() > 0:
        no_time = _no_chart(f"No visits whose time is known in {selection}.")
        return Overview(trend, no_time, heatmap, totals, sites, names)
    return Overview(trend, _shares(frame, selection, matrices), heatmap, totals, sites, names)


def _heatmap(frame: pd.DataFrame, selection: Selection, label: str) -> Chart:
    rates = hourly_rates(frame, selection.zone, selection.span)
    label = label if label in rates.columns.get_level_values(0) else "visits"
    text = describe_heatmap(rates, label, selection)
    return Chart(figures.heatmap(rates, label), text, tables.heatmap_table(rates, label, text))


def _shares(frame: pd.DataFrame, selection: Selection, matrices: Matrices) -> Chart:
    over = shares_by_period(frame, selection.zone, selection.span, matrices)
    known = set(over.index.get_level_values("label"))
    labels = [label for label in selection.labels if label in known] or list(shares.most_frequent(over))
    per = "month" if selection.span[1] - selection.span[0] > MAX_DAILY_SHARES else "day"
    text = describe_shares(labels, per, correction.left_out(frame, matrices))
    return Chart(shares.shares_figure(over, labels, per), text, shares.shares_table(over, text))


def _of_site(devices: tuple[Device, ...], selection: Selection) -> list[Device]:
    return [device for device in devices if selection.site in (None, device.site)]


def _no_chart(why: str) -> Chart:
    return Chart(figures.text_figure(why), why, why)
