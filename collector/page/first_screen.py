"""The first screen: figures with their changes, sites ranked, what needs a person, and receipts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dash import html

from collector.analysis.attention import current_concerns
from collector.analysis.breakdown import break_down
from collector.analysis.headline import Headline, Period, headline, headline_label, site_headlines
from collector.analysis.intervals import prorated
from collector.analysis.label_sets import LabelSet, with_label_set
from collector.analysis.query import Reader
from collector.analysis.receipt import LONGEST_READ, receipt
from collector.page.attention import banner
from collector.page.ranking import ranked, ranking
from collector.page.receipt_panel import receipt_panel
from collector.page.selection import InvalidSelection, Selection, resolve
from collector.page.tables import format_number
from collector.page.tiles import tiles
from collector.store.intervals import Floats
from collector.store.load import labels
from contract.labels import UNKNOWN

DAY = timedelta(days=1)
SPARK_BY_DAY = timedelta(days=3)
SPARK_BY_WEEK = timedelta(days=92)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Cells of a selection and of its reference, of one label set."""

    now: Period
    before: Period
    sets: list[LabelSet]
    """The label sets of the selection, the chosen one first."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The first screen without the banner."""

    tiles: Any
    sites: Any
    notice: Any
    """Why some visits are not included; empty if all are."""
    labels: tuple[str, ...]
    """Labels that can be selected."""
    sets: tuple[LabelSet, ...]


@dataclass(frozen=True, slots=True)
class FirstScreen:
    """The first screen of a store at the time that ``now`` returns."""

    reader: Reader
    now: Callable[[], datetime]

    def banner(self) -> Any:
        """Return what needs a person, at all sites."""
        now = self.now()
        devices = self.reader.devices()
        windows = self.reader.windows((now - DAY, now))
        return banner(current_concerns(devices, windows, self.reader.matrices(), now), len(devices))

    def figures(self, controls: Mapping[str, Any]) -> Figures:
        """Return tiles and ranked sites."""
        now = self.now()
        try:
            selection = self.resolve(controls)
        except InvalidSelection as error:
            return Figures(html.P(str(error), className="warn"), None, None, (), ())
        chosen = choose(self.reader, selection)
        label = headline_label(labels(chosen.now.frame), selection.controls.label)
        found = self._headline(chosen, selection, label)
        same_site = selection.controls.against == "site"
        earlier = chosen.before if not same_site else Period(chosen.now.frame.iloc[:0], chosen.now.span)
        by_site = site_headlines(chosen.now, earlier, self.reader.matrices(), label, selection.zone)
        devices = [device for device in self.reader.devices() if not selection.sites or device.site in selection.sites]
        rows = ranked(by_site, over_time(chosen.now, selection), devices, now)
        names = tuple(name for name in labels(chosen.now.frame) if name != UNKNOWN)
        return Figures(
            tiles(found, selection), ranking(rows, selection, label), notice(chosen.sets), names, tuple(chosen.sets)
        )

    def receipt(self, controls: Mapping[str, Any]) -> Any:
        """Return the receipt that the controls ask for, None for none."""
        try:
            selection = self.resolve(controls)
        except InvalidSelection:
            return None  # the tiles say what is wrong
        figure = selection.controls.receipt
        if not figure:
            return None
        chosen = choose(self.reader, selection)
        label = headline_label(labels(chosen.now.frame), selection.controls.label)
        windows = None
        if selection.span[1] - selection.span[0] <= LONGEST_READ:
            windows = with_label_set(self.reader.windows(selection.span, selection.sites), _name(chosen.sets))[0]
        found = receipt(chosen.now, windows, self.reader.matrices(), self.reader.devices(), selection.zone)
        return receipt_panel(figure, found, self._headline(chosen, selection, label), selection, chosen.sets)

    def resolve(self, controls: Mapping[str, Any]) -> Selection:
        """Return the selection of the controls. Raises InvalidSelection, also for a site that does not exist."""
        selection = resolve(controls, self.now())
        known = self.reader.sites()
        asked = [*selection.sites, *([selection.controls.other] if selection.controls.other else [])]
        missing = [site for site in asked if site not in known]
        if missing:
            raise InvalidSelection(f"There is no site {', '.join(missing)}. Sites: {', '.join(known) or 'none'}.")
        return selection

    def _headline(self, chosen: Chosen, selection: Selection, label: str | None) -> Headline:
        return headline(
            chosen.now, chosen.before, self.reader.matrices(), label, selection.zone,
            same_cameras=selection.controls.against != "site",
        )  # fmt: skip


def choose(reader: Reader, selection: Selection) -> Chosen:
    """Return the cells of a selection and of its reference, of the label set that is selected."""
    reference = selection.reference()
    frame, sets = with_label_set(
        reader.cells(selection.span, selection.zone, selection.sites), selection.controls.set or None
    )
    before, _ = with_label_set(reader.cells(reference.span, reference.zone, reference.sites), _name(sets))
    if reference.span != selection.span:
        before = prorated(before, reference.span)
    return Chosen(Period(frame, selection.span), Period(before, reference.span), sets)


def over_time(period: Period, selection: Selection) -> dict[str, Floats]:
    """Return visits of each site by hour, day or week, for sparklines."""
    length = period.span[1] - period.span[0]
    by = "hour" if length <= SPARK_BY_DAY else "day" if length <= SPARK_BY_WEEK else "week"
    if period.frame.empty:
        return {}
    table = break_down(period.frame, ["site", by], selection.zone, period.span)  # type: ignore[list-item]
    return {str(site): part.to_numpy(float) for site, part in table["visits"].groupby(level="site")}


def notice(sets: list[LabelSet]) -> Any:
    """Say which visits are not included because they have other labels."""
    if len(sets) < 2:
        return None
    others = "; ".join(f"{each} ({format_number(each.visits)} visits)" for each in sets[1:])
    return html.P(
        f"This period has {len(sets)} label sets, which have no common total. Shown: {sets[0]}. Not included: {others}."
        " Choose another under “More choices”.",
        className="warn",
    )


def _name(sets: list[LabelSet]) -> str | None:
    return sets[0].name if sets else None
