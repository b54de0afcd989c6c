"""What the page shows for a selection, computed from the files of a store, without a broker or a receiver."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from collector.analysis import correction
from collector.analysis.bootstrap import fixed_rng
from collector.analysis.confusion import Matrices
from collector.analysis.correction import compare
from collector.analysis.intervals import visits_without_time, with_known_time
from collector.analysis.label_sets import with_label_set
from collector.analysis.summarise import by_time, device_count
from collector.devices.state import shown_state
from collector.page.controls.chosen import choose, choose_fleet
from collector.page.controls.selection import InvalidSelection, Selection, file_stem, resolve
from collector.page.sections import device_totals, figures, shares, tables
from collector.page.sections.downloads import FORMATS, file_content
from collector.page.sections.fleet import MAX_DEVICES, fleet_table
from collector.reading.attention import concerns_of
from collector.reading.reader import (
    MAX_DAILY_SHARES,
    Reader,
    hourly_rates,
    opening_hours,
    shares_by_period,
)
from collector.recount.files import read_recounts
from collector.sentences.charts import describe_comparison, describe_counts, describe_heat, describe_shares
from collector.sentences.figures import names_of_sites
from collector.sentences.period import reference_name, shown
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
class Cells:
    """Cells of one label set: of devices, or sums of all."""

    frame: pd.DataFrame
    matrices: Matrices
    devices: int
    """Number of devices whose clock was set."""


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
        language, gettext = selection.language, selection.language.gettext
        time = language.clock(now.astimezone(selection.zone), "medium")
        clock = gettext("As of {time} {zone}", time=time, zone=selection.zone)
        if last.since is None:
            return _no_chart(gettext("No data has arrived for the last hour.")), clock
        sites = names_of_sites(selection.sites, language)
        what = gettext("{sites}, the last hour", sites=sites)
        if last.is_longer:
            since = language.clock(last.since.astimezone(selection.zone))
            what = gettext("{sites}, counts since {time}", sites=sites, time=since)
        text = describe_counts(last.table, what, language)
        figure = figures.live_figure(last.table, last.step_s, language)
        return Chart(figure, text, tables.counts_table(last.table, text, language)), clock

    def comparison(self, controls: Mapping[str, Any]) -> Chart:
        """Compare the shares of the selection with those of its reference."""
        try:
            selection = resolve(controls, self.now())
        except InvalidSelection as error:
            return _no_chart(str(error))
        language = selection.language
        both = self._compared(selection)
        if both.empty:
            return _no_chart(language.gettext("No data to compare."))
        one = reference_name(selection, language)
        names = (language.gettext("earlier period"), language.gettext("this period"))
        text = describe_comparison(both, (one, names[1]), language)
        if selection.controls.against == "site":
            names = (one, names_of_sites(selection.sites, language))
            text = describe_comparison(both, names, language)
        figure = shares.comparison_figure(both, names, language)
        return Chart(figure, text, shares.comparison_table(both, names, language))

    def download(self, controls: Mapping[str, Any], kind: str) -> tuple[str, bytes]:
        """Return name and content of a file with the selected period. Raises InvalidSelection."""
        if kind not in FORMATS:
            raise InvalidSelection(f"The format must be one of {', '.join(FORMATS)}.")  # no button sends another
        selection = resolve(controls, self.now())
        shown = self._cells(selection)
        over = shares_by_period(shown.frame, selection.zone, selection.span, shown.matrices)
        since, until = (f"{moment.astimezone(selection.zone):%Y%m%d}" for moment in selection.span)
        name = f"{file_stem(selection.sites, f'{since}-{until}')}.{kind}"
        table = by_time(shown.frame, selection.step_s, selection.zone, selection.span, shown.devices)
        return name, file_content(table, over, kind)

    def overview(self, controls: Mapping[str, Any]) -> Overview:
        """Return the charts of the selected period."""
        try:
            selection = resolve(controls, self.now())
        except InvalidSelection as error:
            nothing = _no_chart(str(error))
            return Overview(nothing, nothing, None)
        return overview(self._cells(selection), selection)

    def heatmap(self, controls: Mapping[str, Any], label: Any) -> tuple[Chart, tuple[str, ...]]:
        """Return visits by weekday and hour, of one label, or of all visits if there is none; and the labels."""
        try:
            selection = resolve(controls, self.now())
        except InvalidSelection as error:
            return _no_chart(str(error)), ()
        cells = self._cells(selection)
        return _heatmap(cells, selection, str(label)), tuple(load.labels(cells.frame))

    def groups(self) -> list[str]:
        """Return the groups of the fleet, in alphabetical order."""
        return sorted(set(self.reader.groups().values()))

    def device_table(self, controls: Mapping[str, Any], group: Any = "") -> Any:
        """Return the fleet of the selected sites, each device's state, totals and recounts, and what was left out.

        With a group, only its devices are listed.
        """
        now = self.now()
        try:
            selection = resolve(controls, now)
        except InvalidSelection as error:
            return str(error)
        devices = [each for each in self.reader.devices() if not selection.sites or each.site in selection.sites]
        groups = self.reader.groups()
        if group:
            devices = [each for each in devices if groups.get((each.site, each.device)) == group]
        devices.sort(key=lambda device: shown_state(device, now) == "online")  # what needs a person comes first
        conflicting = self.reader.conflicting()
        recounts = [
            each
            for each in read_recounts(self.reader.root)
            if self.reader.permits(each.site) and (not selection.sites or each.site in selection.sites)
        ]
        language, live = selection.language, self.reader.live
        found = concerns_of(devices, live, conflicting, now, language)
        listed = devices[:MAX_DEVICES]
        return [
            fleet_table(devices, found, now, language, groups),
            tables.devices_table(listed, live, now, language, conflicting),
            *device_totals.tracks_tables(listed, language),
            *([tables.more_devices(len(devices) - MAX_DEVICES, language)] if len(devices) > MAX_DEVICES else []),
            *device_totals.recounts_tables(recounts, selection.zone, language),
            *tables.notices(self.reader.damages(), language),
        ]

    def sites(self) -> list[dict[str, str]]:
        """Return the sites to select from: each that has rows or a device."""
        return [{"label": name, "value": name} for name in self.reader.sites()]

    def _cells(self, selection: Selection) -> Cells:
        """Return the cells of a selection, of its label set."""
        set_name = selection.controls.set or None
        fleet = None if selection.sites else self.reader.fleet(selection.span, selection.zone, set_name, hourly=False)
        if fleet is not None:
            return Cells(fleet[0].frame, fleet[0].matrices, fleet[0].timed_devices)
        frame = self.reader.cells(selection.span, selection.zone, selection.sites)
        frame = with_label_set(frame, set_name)[0]
        return Cells(frame, self.reader.matrices(), device_count(with_known_time(frame)))

    def _compared(self, selection: Selection) -> pd.DataFrame:
        """Return the shares of a selection and of its reference."""
        fleet = choose_fleet(self.reader, selection)
        if fleet is not None:
            now, before, _ = fleet
            return compare(before.frame, now.frame, {**before.matrices, **now.matrices}, fixed_rng())
        chosen = choose(self.reader, selection)
        return compare(chosen.before.frame, chosen.now.frame, chosen.matrices, fixed_rng())


def overview(cells: Cells, selection: Selection) -> Overview:
    """Return the charts of cells of one label set."""
    frame, matrices = cells.frame, cells.matrices
    language, of = selection.language, shown(selection, selection.language)
    table = by_time(frame, selection.step_s, selection.zone, selection.span, cells.devices)
    mix = correction.shares(frame, matrices, fixed_rng())
    visits = frame[load.labels(frame)].sum()  # includes windows of a clock that was never set
    text = describe_counts(table, of, language, mix, visits_without_time(frame))
    figure = figures.trend_figure(table, selection.step_s, language)
    trend = Chart(figure, text, tables.counts_table(table, text, language))
    if not visits.sum() > 0:
        return Overview(trend, _no_chart(language.gettext("No visits: {shown}.", shown=of)), None)
    doubtful_low, doubtful_high = frame[list(DOUBTFUL_COLUMNS)].sum()
    unknown = float(visits[UNKNOWN]) if UNKNOWN in visits else None
    totals = shares.totals_table(mix, unknown, (doubtful_low, doubtful_high), language)
    if not table["visits"].sum() > 0:
        nothing = language.gettext("No visits whose time is known: {shown}.", shown=of)
        return Overview(trend, _no_chart(nothing), totals)
    return Overview(trend, _shares(frame, selection, matrices), totals)


def _heatmap(cells: Cells, selection: Selection, label: str) -> Chart:
    frame, language = cells.frame, selection.language
    rates = hourly_rates(frame, selection.zone, selection.span, cells.devices)
    hours = opening_hours(frame, selection.zone, selection.span)
    label = label if label in rates.columns.get_level_values(0) else "visits"
    of = language.gettext("Shown: {shown}.", shown=shown(selection, language))
    text = f"{describe_heat(rates, label, hours, language)} {of}"
    figure = figures.heatmap(rates, label, hours, language)
    return Chart(figure, text, tables.heatmap_table(rates, label, hours, text, language))


def _shares(frame: pd.DataFrame, selection: Selection, matrices: Matrices) -> Chart:
    language = selection.language
    over = shares_by_period(frame, selection.zone, selection.span, matrices)
    known = set(over.index.get_level_values("label"))
    labels = [label for label in selection.controls.labels if label in known] or list(shares.most_frequent(over))
    is_monthly = selection.span[1] - selection.span[0] > MAX_DAILY_SHARES
    text = describe_shares(labels, is_monthly, correction.left_out(frame, matrices), language)
    figure = shares.shares_figure(over, labels, is_monthly, language)
    return Chart(figure, text, shares.shares_table(over, text, language))


def _no_chart(why: str) -> Chart:
    return Chart(figures.text_figure(why), why, why)
