"""The store and a choice -> what the page shows of it. From files only: it needs no broker and no receiver."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pandas as pd
import plotly.graph_objects as go

from collector.analysis import correction
from collector.analysis.correction import Matrices, compare, conflicts, confusions
from collector.analysis.query import DAYS_UP_TO, Reader, chance, counted, hours_of_week, share_steps
from collector.analysis.summarise import by_site, by_time, gaps, step_for, step_name
from collector.devices.device import Device
from collector.devices.registry import read_devices
from collector.exports.tables import visits_range
from collector.page import figures, shares, tables
from collector.page.choice import ALL, Choice, NotAChoice, choose
from collector.page.files import KINDS, as_file
from collector.store import load
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.web.shared_result import Shared
from contract.labels import UNKNOWN

V = TypeVar("V")
LIVE = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Shown:
    """One chart, the same in words and as a table."""

    figure: go.Figure
    words: str
    table: Any


FRESH_FOR_S = 5.0
"""As often as the page asks what is new; until then all who ask for the same see the same."""
VIEWS = 64
"""Views that are kept for whoever asks for them next."""


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows of a store; ``now`` says the time. Equal views that are asked for at the same time, and while
    nothing new has come, are made once.
    """

    reader: Reader
    now: Callable[[], datetime]
    _shared: Shared[Any] = field(default_factory=lambda: Shared(VIEWS))

    def fresh(self) -> str:
        """Changes when a row or a word of a device has come, and each minute, for a gap grows too."""
        return str(self._shared.get(("fresh", int(time.monotonic() // FRESH_FOR_S)), self._fresh))

    def _once(self, name: str, asked: Mapping[str, Any], more: Any, make: Callable[[], V]) -> V:
        """What a view makes of the controls' values, made once while nothing new has come."""
        values = hashlib.sha256(repr((sorted(asked.items()), more)).encode("utf-8", "replace")).digest()
        made: V = self._shared.get((name, self.fresh(), values), make)
        return made

    def _fresh(self) -> str:
        now = self.now()
        root, days = self.reader.root, {(now - age).date() for age in (timedelta(0), timedelta(days=1))}
        patterns = ["devices*.json", *(f"date={day}/site=*/*.csv" for day in days)]
        stats = [path.stat() for pattern in patterns for path in root.glob(pattern)]
        latest = max((stat.st_mtime_ns for stat in stats), default=0)
        return f"{latest}-{sum(stat.st_size for stat in stats)}-{int(now.timestamp() // 60)}"

    def live(self, asked: Mapping[str, Any]) -> tuple[Shown, str]:
        """The last hour, and the time it was made."""
        return self._once("live", asked, None, lambda: self._live(asked))

    def _live(self, asked: Mapping[str, Any]) -> tuple[Shown, str]:
        now = self.now()
        try:
            choice = choose(asked, now)
            day = self.reader.windows((now - DAY, now), choice.site)  # held back for k, a window may be hours long
        except NotAChoice as error:
            return _nothing(str(error)), ""
        clock = f"As of {now.astimezone(choice.zone):%H:%M:%S} {choice.zone}"
        frame = day[day["end"] > now - LIVE]
        if frame.empty:
            return _nothing("No window of the last day ended in the last hour."), clock
        step_s = step_for(frame, (frame["start"].min(), now))
        table = by_time(frame, step_s, choice.zone, (frame["start"].min(), now))
        ends = table.index + pd.to_timedelta(table["seconds"], unit="s")
        whole = table[(table.index >= now - LIVE) & (ends <= now)]  # what has begun earlier or goes on would seem a dip
        first, when = frame["start"].min(), "the last hour"
        if not len(whole) and first < now - LIVE:
            when = f"in windows from {first.tz_convert(choice.zone):%H:%M} on"
        table = whole if len(whole) else table
        words = in_words(table, f"{choice.site or 'all sites'}, {when}")
        return Shown(figures.live(table, step_name(step_s)), words, tables.over_time(table, words)), clock

    def compared(self, asked: Mapping[str, Any], against: str, other: str) -> Shown:
        """The range chosen beside the one before it, or beside another site."""
        return self._once("compared", asked, (against, other), lambda: self._compared(asked, against, other))

    def _compared(self, asked: Mapping[str, Any], against: str, other: str) -> Shown:
        now = self.now()
        try:
            choice = choose(asked, now)
            beside = choice.before() if against == "before" else choice.at(choose({"site": other}, now).site)
            one, two = (self.reader.cells(each.span, each.zone, each.site) for each in (beside, choice))
        except NotAChoice as error:
            return _nothing(str(error))
        both = compare(one, two, confusions(read_devices(self.reader.root)), chance())
        if both.empty:
            return _nothing("No data to compare.")
        if against == "before":
            names = (f"the range before, from {beside.span[0].astimezone(choice.zone):%-d %B %Y}", "this range")
        else:
            names = (beside.site or "all sites", choice.site or "all sites")
        words = shares.compared_in_words(both, names)
        return Shown(shares.compared(both, names), words, shares.comparison_table(both, names))

    def download(self, asked: Mapping[str, Any], kind: str) -> tuple[str, bytes]:
        """Name and bytes of a file with the range chosen: over time, and shares; NotAChoice."""
        if kind not in KINDS:
            raise NotAChoice(f"a file of {', '.join(KINDS)}")
        choice = choose(asked, self.now())
        frame = self.reader.cells(choice.span, choice.zone, choice.site)
        matrices = confusions(read_devices(self.reader.root))
        over = share_steps(frame, choice.zone, choice.span, matrices)
        since, until = (f"{moment.astimezone(choice.zone):%Y%m%d}" for moment in choice.span)
        name = f"facetally-{choice.site or 'all'}-{since}-{until}.{kind}"
        return name, as_file(by_time(frame, choice.step_s, choice.zone, choice.span), over, kind)

    def overview(self, asked: Mapping[str, Any], heat_of: Any) -> "Overview":
        """All that shows the range chosen; ``heat_of`` is a label, or all visits if it is none."""
        return self._once("overview", asked, heat_of, lambda: self._overview(asked, str(heat_of)))

    def _overview(self, asked: Mapping[str, Any], heat_of: str) -> "Overview":
        now = self.now()
        try:
            choice = choose(asked, now)
            frame = self.reader.cells(choice.span, choice.zone, choice.site)
            matrices = confusions(read_devices(self.reader.root))
            return overview(frame, choice, heat_of, matrices, self.site_table(frame, choice, now))
        except NotAChoice as error:
            nothing = _nothing(str(error))
            return Overview(nothing, nothing, nothing, None, None, ())

    def site_table(self, frame: pd.DataFrame, choice: Choice, now: datetime) -> Any:
        """One row a site."""
        return tables.sites(by_site(frame, choice.span), self.devices(choice), now)

    def devices(self, choice: Choice) -> list[Device]:
        """The devices of the site chosen."""
        return [device for device in read_devices(self.reader.root) if choice.site in (None, device.site)]

    def device_table(self, asked: Mapping[str, Any]) -> Any:
        """One row a device."""
        return self._once("devices", asked, None, lambda: self._device_table(asked))

    def _device_table(self, asked: Mapping[str, Any]) -> Any:
        now = self.now()
        try:
            choice = choose(asked, now)
            day = self.reader.windows((now - DAY, now), choice.site)
            odd = {(site, name) for site, name, _ in conflicts(confusions(read_devices(self.reader.root)))}
            return [tables.devices(self.devices(choice), day, now, odd), *self.notices()]
        except NotAChoice as error:
            return str(error)

    def notices(self) -> list[Any]:
        """What was left out of what is shown, and why; nothing if that is nothing."""
        return tables.notices(self.reader.damages())

    def sites(self) -> list[dict[str, str]]:
        """What can be chosen: all, and each site that has rows or a device."""
        names = sorted({*load.sites(self.reader.root), *(device.site for device in read_devices(self.reader.root))})
        return [{"label": "all sites", "value": ALL}, *({"label": name, "value": name} for name in names)]


@dataclass(frozen=True, slots=True)
class Overview:
    """The range chosen: over time, shares, by hour of the week, in total and by site; the labels that there are."""

    trend: Shown
    shares: Shown
    heat: Shown
    totals: Any
    sites: Any
    labels: tuple[str, ...]


def overview(frame: pd.DataFrame, choice: Choice, heat_of: str, matrices: Matrices, site_table: Any) -> Overview:
    """Cells and a choice -> the range chosen."""
    table = by_time(frame, choice.step_s, choice.zone, choice.span)
    names = tuple(counted(table))
    words = in_words(table, str(choice))
    trend = Shown(figures.trend(table, step_name(choice.step_s)), words, tables.over_time(table, words))
    rates = hours_of_week(frame, choice.zone, choice.span)
    label = heat_of if heat_of in rates.columns.get_level_values(0) else "visits"
    says = heat_in_words(rates, label, choice)
    heat = Shown(figures.heat(rates, label), says, tables.hours(rates, label, says))
    visits = frame[load.labels(frame)].sum()  # of windows without a place in time, too
    if not visits.sum() > 0:
        return Overview(trend, _nothing(f"No visit: {choice}."), heat, None, site_table, names)
    whole = correction.shares(frame, matrices, chance())
    low, high = frame[list(DOUBTFUL_COLUMNS)].sum()
    totals = shares.totals(whole, float(visits[UNKNOWN]) if UNKNOWN in visits else None, (low, high))
    if not table["visits"].sum() > 0:
        nowhen = _nothing(f"No visit whose time is known: {choice}.")
        return Overview(trend, nowhen, heat, totals, site_table, names)
    return Overview(trend, _shares(frame, choice, matrices), heat, totals, site_table, names)


def _shares(frame: pd.DataFrame, choice: Choice, matrices: Matrices) -> Shown:
    over = share_steps(frame, choice.zone, choice.span, matrices)
    there = set(over.index.get_level_values("label"))
    chosen = [label for label in choice.labels if label in there] or shares.often(over)
    per = "month" if choice.span[1] - choice.span[0] > DAYS_UP_TO else "day"
    missing = correction.left_out(frame, matrices)
    not_corrected = f" {tables.number(missing)} visits are of models whose confusions are unknown." if missing else ""
    words = f"Shares of {', '.join(chosen)} among visits with a verdict, corrected, each {per}, with 90 % intervals."
    return Shown(shares.over_time(over, chosen, per), words + not_corrected, shares.table_over_time(over, words))


def in_words(table: pd.DataFrame, of: str) -> str:
    """Say in words what a chart of a table of `collector.analysis.summarise.by_time` shows."""
    if not (table["windows"] > 0).any():
        return f"No data: {of}."
    visits, low, high = table[["visits", *DOUBTFUL_COLUMNS]].sum()
    doubts = visits_range(visits, low, high, tables.number)
    names = counted(table)
    most = str(table[names].sum().idxmax())
    watched = (table["coverage"] * table["seconds"]).sum() / table["seconds"].sum()
    empty = len(gaps(table))
    without = "no gap" if not empty else f"{empty} gap{'s'[: empty > 1]} without data"
    leading = f", most often {most} ({tables.share(table[most].sum() / visits)})" if visits else ""
    said = f"{tables.number(visits)} visits{doubts}{leading}"
    return f"{said}; watched {tables.share(watched)} of the time, {without}: {of}."


def heat_in_words(rates: pd.DataFrame, label: str, choice: Choice) -> str:
    """A table of `collector.analysis.query.hours_of_week` -> when most came."""
    what = "visits" if label == "visits" else f"visits of {label}"
    cells = rates[label].stack()
    if cells.dropna().empty:
        return f"No data: {choice}."
    day, hour = cells.idxmax()
    most = tables.number(cells.max(), 1)
    return f"Most {what} in an hour watched by one camera: {most}, on a {day} from {hour:02}:00: {choice}."


def _nothing(why: str) -> Shown:
    return Shown(figures.message(why), why, why)
