"""What a report holds: the tables and figures of a period, from the functions that the page uses."""

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from collector.analysis.bootstrap import fixed_rng
from collector.analysis.correction import compare, shares
from collector.analysis.headline import Headline, headline_label
from collector.analysis.label_sets import LabelSet
from collector.analysis.ranked_sites import RankedSite, in_order, ranked
from collector.analysis.receipt import Receipt
from collector.analysis.summarise import by_time
from collector.devices.attention import Concern
from collector.language.language import Language
from collector.page.controls.chosen import choose, existing, headline_of, headlines_by_site, over_time, receipt_of
from collector.page.controls.selection import Selection
from collector.reading.attention import current_concerns
from collector.reading.reader import Reader, hourly_rates, opening_hours
from collector.store.damage import Damage
from collector.store.load import labels
from contract.labels import UNKNOWN


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a report."""

    selection: Selection
    created: datetime
    label: str | None
    """Label of the share."""
    headline: Headline
    sites: list[RankedSite]
    """Sites of the selection, the one with the most visits first."""
    days: pd.DataFrame
    """Visits by day, from `collector.analysis.summarise.by_time`."""
    mix: pd.DataFrame
    """Shares of the period, from `collector.analysis.correction.shares`."""
    changes: pd.DataFrame
    """Shares of both periods, from `collector.analysis.correction.compare`."""
    unknown: float
    """Visits that were not classified; NaN where the table has no such column."""
    rates: pd.DataFrame
    """Visits by weekday and hour, from `collector.reading.reader.hourly_rates`."""
    hours: range
    """Hours of the day to draw."""
    concerns: list[Concern]
    """What needs a person when the report is made, at the sites of the report."""
    devices: int
    receipt: Receipt
    sets: list[LabelSet]
    """The label sets of the period, the one of the report first."""
    damages: tuple[Damage, ...]
    """What was left out of the figures."""


def gather(reader: Reader, selection: Selection, now: datetime, language: Language) -> Contents:
    """Read what a report of a selection holds. Raises InvalidSelection for a site that does not exist."""
    existing(reader, selection)
    concerns, all_devices = current_concerns(reader, now, language)
    if selection.sites:
        reader = reader.only(frozenset(selection.sites))  # a report names no file of another site
    chosen = choose(reader, selection)
    frame, matrices = chosen.now.frame, chosen.matrices
    label = headline_label(labels(frame), selection.controls.label)
    by_site = headlines_by_site(chosen, selection, label)
    devices = [each for each in all_devices if not selection.sites or each.site in selection.sites]
    visits = frame[labels(frame)].sum()
    return Contents(
        selection=selection,
        created=now,
        label=label,
        headline=headline_of(chosen, selection, label),
        sites=in_order(ranked(by_site, over_time(chosen.now, selection), devices, now), "visits-down"),
        days=by_time(frame, None, selection.zone, selection.span),
        mix=shares(frame, matrices, fixed_rng()),
        changes=compare(chosen.before.frame, frame, matrices, fixed_rng()),
        unknown=float(visits.get(UNKNOWN, float("nan"))),
        rates=hourly_rates(frame, selection.zone, selection.span),
        hours=opening_hours(frame, selection.zone, selection.span),
        concerns=[each for each in concerns if not selection.sites or each.site in selection.sites],
        devices=len(devices),
        receipt=receipt_of(reader, chosen, selection),
        sets=chosen.sets,
        damages=reader.damages(),
    )
