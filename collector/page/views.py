"""What the page shows for a selection, computed from the files of a store, without a broker or a receiver."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from collector.analysis import correction
from collector.analysis.attention import concerns_of
from collector.analysis.confusion import Matrices, conflicts
from collector.analysis.correction import compare
from collector.analysis.label_sets import LabelSet, with_label_set
from collector.analysis.query import (
    MAX_DAILY_SHARES,
    Reader,
    fixed_rng,
    hourly_rates,
    opening_hours,
    shares_by_period,
)
from collector.analysis.summarise import by_time, step_name
from collector.devices.state import shown_state
from collector.page import device_totals, figures, shares, tables
from collector.page.chosen import choose
from collector.page.descriptions import describe_counts, describe_heatmap, describe_shares
from collector.page.downloads import FORMATS, file_content
from collector.page.fleet import MAX_DEVICES, fleet_table
from collector.page.selection import InvalidSelection, Selection, resolve
from collector.recount.files import read_recounts
from collector.store import load
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.web.freshness import Freshness
from contract.labels import UNKNOWN


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
    totals: Any


@dataclass(frozen=True, slots=True)
class View:
    """Views of a store at the time that ``now`` returns."""

    reader: Reader
    now: Callable[[], datetime]
    _freshness: Freshness = field(init=False)

    def __post_init__(self) -> None:
        """Watch the store for new data."""
        object.__setattr__(self, "_freshness", Freshness(self.reader.root, self.reader.live, self.now))

    def fresh(self) -> str:
        """Return a text that changes when new data has arrived, and each minute, because gaps grow."""
        return self._freshness.stamp()

    def live(self, controls: Mapping[str, Any]) -> tuple[Chart, str]:
        """Return the last hour, and the time of the view."""
        now = self.now()
        try:
            selection = resolve(controls, now)
        except InvalidSelection as error:
            return _no_chart(str(error)), ""
        last = self.reader.last_hour(selection.zone, selection.sites, selection.controls.set or None)
        clock = f"As of {now.astimezone(selection.zone):%H:%M:%S} {selection.zone}"
        if last.since is None:
            return _no_chart("No data has arrived for the last hour."), clock
        table, step_s = last.table, last.step_s
        when = f"counts since {last.since.astimezone(selection.zone):%H:%M}" if last.is_longer else "the last hour"
        text = describe_counts(table, f"{selection.names}, {when}")
        return Chart(figures.live_figure(table, step_name(step_s)), text, tables.counts_table(table, text)), clock

    def comparison(self, controls: Mapping[str, Any]) -> Chart:
        """Compare the shares of the selection with those of its reference."""
        try:
            selection = resolve(controls, self.now())
        except InvalidSelection as error:
            return _no_chart(str(error))
        chosen = choose(self.reader, selection)
        both = compare(chosen.before.frame, chosen.now.frame, self.reader.matrices(), fixed_rng())
        if both.empty:
            return _no_chart("No data to compare.")
        reference = selection.reference()
        if selection.controls.against == "site":
            names = (reference.names, selection.names)
        else:
            begin = reference.span[0].astimezone(selection.zone)
            names = (f"the period from {begin:%-d %B %Y}", "this period")
        text = shares.describe_comparison(both, names)
        return Chart(shares.comparison_figure(both, names), text, shares.comparison_table(both, names))

    def download(self, controls: Mapping[str, Any], kind: str) -> tuple[str, bytes]:
        """Return name and content of a file with the selected period. Raises InvalidSelection."""
        if kind not in FORMATS:
            raise InvalidSelection(f"The format must be one of {', '.join(FORMATS)}.")
        selection = resolve(controls, self.now())
        frame = self._cells(selection)[0]
        over = shares_by_period(frame, selection.zone, selection.span, self.reader.matrices())
        since, until = (f"{moment.astimezone(selection.zone):%Y%m%d}" for moment in selection.span)
        name = f"facetally-{'-'.join(selection.sites) or 'all'}-{since}-{until}.{kind}"
        return name, file_content(by_time(frame, selection.step_s, selection.zone, selection.span), over, kind)

    def overview(self, controls: Mapping[str, Any]) -> Overview:
        """Return the charts of the selected period."""
        try:
            selection = resolve(controls, self.now())
        except InvalidSelection as error:
            nothing = _no_chart(str(error))
            return Overview(nothing, nothing, None)
        return overview(self._cells(selection)[0], selection, self.reader.matrices())

    def heatmap(self, controls: Mapping[str, Any], label: Any) -> tuple[Chart, tuple[str, ...]]:
        """Return visits by weekday and hour, of one label, or of all visits if there is none; and the labels."""
        try:
            selection = resolve(controls, self.now())
        except InvalidSelection as error:
            return _no_chart(str(error)), ()
        frame = self._cells(selection)[0]
        return _heatmap(frame, selection, str(label)), tuple(load.labels(frame))

    def device_table(self, controls: Mapping[str, Any]) -> Any:
        """Return the fleet of the selected sites, each device's state, totals and recounts, and what was left out."""
        now = self.now()
        try:
            selection = resolve(controls, now)
        except InvalidSelection as error:
            return str(error)
        devices = [each for each in self.reader.devices() if not selection.sites or each.site in selection.sites]
        devices.sort(key=lambda device: shown_state(device, now) == "online")  # what needs a person comes first
        conflicting = {(site, name) for site, name, _ in conflicts(self.reader.matrices())}
        recounts = [
            each
            for each in read_recounts(self.reader.root)
            if self.reader.permits(each.site) and (not selection.sites or each.site in selection.sites)
        ]
        found = concerns_of(devices, self.reader.live, self.reader.matrices(), now)
        shown = devices[:MAX_DEVICES]
        return [
            fleet_table(devices, found, now),
            tables.devices_table(shown, self.reader.live, now, conflicting),
            *device_totals.tracks_tables(shown),
            *([tables.more_devices(len(devices) - MAX_DEVICES)] if len(devices) > MAX_DEVICES else []),
            *device_totals.recounts_tables(recounts, selection.zone),
            *self.notices(),
        ]

    def notices(self) -> list[Any]:
        """Return what was left out of the views and why, empty if nothing was."""
        return tables.notices(self.reader.damages())

    def sites(self) -> list[dict[str, str]]:
        """Return the sites to select from: each that has rows or a device."""
        return [{"label": name, "value": name} for name in self.reader.sites()]

    def _cells(self, selection: Selection) -> tuple[pd.DataFrame, list[LabelSet]]:
        """Return the cells of a selection, of its label set, and all label sets."""
        frame = self.reader.cells(selection.span, selection.zone, selection.sites)
        return with_label_set(frame, selection.controls.set or None)


def overview(frame: pd.DataFrame, selection: Selection, matrices: Matrices) -> Overview:
    """Return the charts of a table of cells of one label set."""
    table = by_time(frame, selection.step_s, selection.zone, selection.span)
    mix = correction.shares(frame, matrices, fixed_rng())
    visits = frame[load.labels(frame)].sum()  # includes windows of a clock that was never set
    without_time = visits.sum() - table["visits"].sum()
    text = describe_counts(table, str(selection), mix, without_time)
    trend = Chart(figures.trend_figure(table, step_name(selection.step_s)), text, tables.counts_table(table, text))
    if not visits.sum() > 0:
        return Overview(trend, _no_chart(f"No visits in {selection}."), None)
    doubtful_low, doubtful_high = frame[list(DOUBTFUL_COLUMNS)].sum()
    unknown = float(visits[UNKNOWN]) if UNKNOWN in visits else None
    totals = shares.totals_table(mix, unknown, (doubtful_low, doubtful_high))
    if not table["visits"].sum() > 0:
        return Overview(trend, _no_chart(f"No visits whose time is known in {selection}."), totals)
    return Overview(trend, _shares(frame, selection, matrices), totals)


def _heatmap(frame: pd.DataFrame, selection: Selection, label: str) -> Chart:
    rates = hourly_rates(frame, selection.zone, selection.span)
    hours = opening_hours(frame, selection.zone, selection.span)
    label = label if label in rates.columns.get_level_values(0) else "visits"
    text = describe_heatmap(rates, label, hours, selection)
    return Chart(figures.heatmap(rates, label, hours), text, tables.heatmap_table(rates, label, hours, text))


def _shares(frame: pd.DataFrame, selection: Selection, matrices: Matrices) -> Chart:
    over = shares_by_period(frame, selection.zone, selection.span, matrices)
    known = set(over.index.get_level_values("label"))
    labels = [label for label in selection.controls.labels if label in known] or list(shares.most_frequent(over))
    per = "month" if selection.span[1] - selection.span[0] > MAX_DAILY_SHARES else "day"
    text = describe_shares(labels, per, correction.left_out(frame, matrices))
    return Chart(shares.shares_figure(over, labels, per), text, shares.shares_table(over, text))


def _no_chart(why: str) -> Chart:
    return Chart(figures.text_figure(why), why, why)
