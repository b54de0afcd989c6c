"""The first screen: figures with their changes, sites ranked, what needs a person, and receipts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dash import html

from collector.analysis.fleet_headline import fleet_figures
from collector.analysis.fleet_period import FleetPeriod
from collector.analysis.headline import headline_label
from collector.analysis.label_sets import LabelSet
from collector.analysis.ranked_sites import in_order, ranked
from collector.analysis.receipt import fleet_receipt
from collector.language.language import Language
from collector.page.controls.chosen import (
    choose,
    choose_fleet,
    existing,
    fleet_over_time,
    headline_of,
    headlines_by_site,
    over_time,
    receipt_of,
)
from collector.page.controls.selection import InvalidSelection, Selection, resolve
from collector.page.first_screen.attention import banner
from collector.page.first_screen.ranking import MAX_SITES, ranking
from collector.page.first_screen.receipt_panel import receipt_panel
from collector.page.first_screen.tiles import tiles
from collector.reading.attention import current_concerns
from collector.reading.reader import Reader
from collector.sentences.period import not_included
from collector.store.load import labels
from contract.labels import UNKNOWN

MAX_COUNTED_HOURS = 3_000_000
"""Device hours of all sites whose gaps are counted for a receipt: they are read one by one."""


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

    def banner(self, language: Language) -> Any:
        """Return what needs a person, at all sites."""
        found, devices = current_concerns(self.reader, self.now(), language)
        return banner(found, len(devices), self.reader.damages(), language)

    def figures(self, controls: Mapping[str, Any]) -> Figures:
        """Return tiles and ranked sites."""
        now = self.now()
        try:
            selection = self.resolve(controls)
        except InvalidSelection as error:
            return Figures(html.P(str(error), className="warn"), None, None, (), ())
        language = selection.language
        fleet = choose_fleet(self.reader, selection)
        if fleet is not None:
            return self._of_fleet(*fleet, selection, now)
        chosen = choose(self.reader, selection)
        label = headline_label(labels(chosen.now.frame), selection.controls.label)
        found = headline_of(chosen, selection, label)
        by_site = headlines_by_site(chosen, selection, label)
        devices = [device for device in self.reader.devices() if not selection.sites or device.site in selection.sites]
        rows = in_order(ranked(by_site, over_time(chosen.now, selection), devices, now), selection.controls.sort)
        names = tuple(name for name in labels(chosen.now.frame) if name != UNKNOWN)
        return Figures(
            tiles(found, selection, language), ranking(rows, selection, label, language),
            notice(chosen.sets, language), names, tuple(chosen.sets),
        )  # fmt: skip

    def _of_fleet(
        self, period: FleetPeriod, before: FleetPeriod, sets: list[LabelSet], selection: Selection, now: datetime
    ) -> Figures:
        """Return tiles and ranked sites of all sites."""
        language, controls = selection.language, selection.controls
        label = headline_label(labels(period.frame), controls.label)
        same = controls.against != "site"
        found = fleet_figures(period, before, label, selection.zone, same_cameras=same)
        all_rows = ranked(found.sites, fleet_over_time(period, selection), self.reader.devices(), now)
        rows = in_order(all_rows, controls.sort)
        shares = found.with_intervals(row.name for row in rows[:MAX_SITES])
        listed = [replace(row, headline=shares.get(row.name, row.headline)) for row in rows[:MAX_SITES]]
        rows = [*listed, *rows[MAX_SITES:]]
        names = tuple(name for name in labels(period.frame) if name != UNKNOWN)
        return Figures(
            tiles(found.headline, selection, language), ranking(rows, selection, label, language),
            notice(sets, language), names, tuple(sets),
        )  # fmt: skip

    def receipt(self, controls: Mapping[str, Any]) -> Any:
        """Return the receipt that the controls ask for, None for none."""
        try:
            selection = self.resolve(controls)
        except InvalidSelection:
            return None  # the tiles say what is wrong
        figure = selection.controls.receipt
        if not figure:
            return None
        fleet = choose_fleet(self.reader, selection)
        if fleet is not None and fleet[0].hours_to_read > MAX_COUNTED_HOURS:
            same = selection.controls.against != "site"
            label = headline_label(labels(fleet[0].frame), selection.controls.label)
            figures = fleet_figures(fleet[0], fleet[1], label, selection.zone, same_cameras=same)
            found = fleet_receipt(fleet[0], self.reader.devices())
            return receipt_panel(figure, found, figures.headline, selection, fleet[2], selection.language)
        chosen = choose(self.reader, selection)
        label = headline_label(labels(chosen.now.frame), selection.controls.label)
        found = receipt_of(self.reader, chosen, selection)
        headline = headline_of(chosen, selection, label)
        language = selection.language
        return receipt_panel(figure, found, headline, selection, chosen.sets, language)

    def resolve(self, controls: Mapping[str, Any]) -> Selection:
        """Return the selection of the controls. Raises InvalidSelection, also for a site that does not exist."""
        return existing(self.reader, resolve(controls, self.now()))


def notice(sets: list[LabelSet], language: Language) -> Any:
    """Say which visits are not included because they have other labels."""
    text = not_included(sets, language)
    if not text:
        return None
    advice = language.gettext("Choose another under “More choices”.")
    return html.P(f"{text} {advice}", className="warn")
