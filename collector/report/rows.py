"""The rows of a report's tables as texts and measures, for the template."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from collector.analysis.ranked_sites import RankedSite
from collector.analysis.summarise import WEEKDAYS
from collector.exports.palette import GREY, colours
from collector.exports.sparkline import sparkline_svg
from collector.language.language import Language
from collector.reading.reader import rates_of_label
from collector.report.contents import Contents
from collector.sentences.figures import arrow, corrected_share, share_with_interval, visits_with_doubt
from contract.labels import UNKNOWN

LIGHT, DARK = (240, 245, 252), (12, 62, 128)
"""Colours of no visit and of the most visits in the heat map, (red, green, blue)."""
WHITE_FROM = 0.5
"""Part of the scale from which the text is white."""
CHANGE_WORDS = {"more": "▲", "less": "▼"}


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A site in the table of sites. Without data all texts but name and devices are empty."""

    name: str
    visits: str
    change: str
    trend: str
    spark: str
    """SVG."""
    share: str
    share_change: str
    share_trend: str
    unknown: str
    coverage: str
    online: str
    away: bool
    """Whether a device is not online."""


@dataclass(frozen=True, slots=True)
class MixRow:
    """An expression in the table of the mix."""

    name: str
    colour: str
    visits: str
    share: str
    """Corrected share with its interval, or the counted share."""
    bar: float
    """Share as percent of the longest bar, 0 to 100; the ends of the interval follow, likewise."""
    low: float
    high: float
    change: str
    trend: str


@dataclass(frozen=True, slots=True)
class HeatCell:
    """An hour of the week."""

    text: str
    background: str
    """CSS colour; empty where cameras hardly watched."""
    ink: str


def site_rows(sites: Iterable[RankedSite], language: Language) -> list[SiteRow]:
    """Return the rows of the table of sites."""
    return [_site_row(site, language) for site in sites]


def mix_rows(contents: Contents, language: Language) -> list[MixRow]:
    """Return the rows of the table of expressions; ``unknown`` comes last and has no share."""
    mix, changes = contents.mix, contents.changes
    shown = mix["corrected"].fillna(mix["share"])
    longest = float(np.nanmax([*mix["high"], *shown, 0.0])) or 1.0
    rows = []
    for label, colour in colours(map(str, mix.index)).items():
        values: Any = mix.loc[label]
        share = float(shown[label])
        low, high = ((values[name] if values["low"] == values["low"] else share) for name in ("low", "high"))
        bar, first, last = (_part(value, longest) for value in (share, low, high))
        change, trend = _change(changes.loc[label], language) if label in changes.index else ("", "")
        rows.append(
            MixRow(
                language.label(label), colour, language.number(values["visits"]), corrected_share(values, language),
                bar, first, last, change, trend,
            )
        )  # fmt: skip
    if not np.isnan(contents.unknown):
        rows.append(MixRow(language.label(UNKNOWN), GREY, language.number(contents.unknown), "", 0.0, 0.0, 0.0, "", ""))
    return rows


def heat_rows(contents: Contents, language: Language) -> list[tuple[str, list[HeatCell]]]:
    """Return weekday and hours of each row of the heat map, cropped to the hours to draw."""
    rates = rates_of_label(contents.rates, "visits")[list(contents.hours)]
    top = float(np.nan_to_num(rates.to_numpy(np.float64)).max(initial=0.0)) or 1.0
    return [
        (language.weekday(number), [_heat_cell(float(rate), top, language) for rate in rates.iloc[number]])
        for number in range(len(WEEKDAYS))
    ]


def _site_row(site: RankedSite, language: Language) -> SiteRow:
    online = language.gettext("{online} of {devices}", online=site.online, devices=site.devices)
    away = site.online < site.devices
    found = site.headline
    if found is None:
        return SiteRow(site.name, "", "", "", "", "", "", "", "", "", online, away)
    visits, share = found.visits, found.share
    known, share_known = not np.isnan(visits.change), not np.isnan(share.change)
    return SiteRow(
        name=site.name,
        visits=visits_with_doubt(visits.value, visits.low, visits.high, language),
        change=f"{arrow(visits)} {language.signed_percent(visits.change)}" if known else "-",
        trend=visits.trend,
        spark=sparkline_svg(site.visits_over_time),
        share=share_with_interval(share.value, share.low, share.high, language),
        share_change=f"{arrow(share)} {language.points(share.change)}" if share_known else "",
        share_trend=share.trend,
        unknown=language.percent(found.unknown.value),
        coverage=language.percent(found.coverage.value),
        online=online,
        away=away,
    )


def _change(values: Any, language: Language) -> tuple[str, str]:
    """Return the change of a share and its trend, from a row of `collector.analysis.correction.compare`."""
    if np.isnan(values["difference"]):
        return "", ""
    symbol = CHANGE_WORDS.get(values["change"], "●")
    trend = str(values["change"]) if values["change"] in CHANGE_WORDS else "random"
    return f"{symbol} {language.points(values['difference'])}", trend


def _part(value: float, longest: float) -> float:
    return 0.0 if np.isnan(value) else round(100 * value / longest, 2)


def _heat_cell(rate: float, top: float, language: Language) -> HeatCell:
    if np.isnan(rate):
        return HeatCell("", "", "")
    part = rate / top
    red, green, blue = (round(light + (dark - light) * part) for light, dark in zip(LIGHT, DARK, strict=True))
    text = language.number(rate, 1 if top < 10 else 0)
    return HeatCell(text, f"rgb({red}, {green}, {blue})", "#ffffff" if part >= WHITE_FROM else "#1d2430")
