"""The four figures of the first screen in words: value, change, and whether the change is clear."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from collector.analysis.headline import Figure, Headline, Trend
from collector.language.catalogue import mark
from collector.language.language import Language

TREND_WORDS: dict[Trend, str] = {
    "more": mark("clear change"),
    "less": mark("clear change"),
    "random": mark("may be random"),
    "unknown": mark("too little data to say more"),
    "measured": mark("measured, not a sample"),
}
HALF_A_POINT = 0.005
EQUAL_TIME_FROM = 0.015
"""The change at equal watched time is shown where it differs so much from the change as counted."""


@dataclass(frozen=True, slots=True)
class FigureWords:
    """One figure in words. Empty texts are not shown."""

    name: str
    """``visits``, ``share``, ``unknown`` or ``coverage``."""
    title: str
    value: str
    interval: str
    """Ends of its interval or doubt range."""
    change: str
    """Arrow and change; empty if there is nothing to compare with."""
    before: str
    """What it was before, or that it cannot be compared."""
    significance: str
    """Whether the change is clear; empty without a change."""
    trend: Trend


def figure_words(found: Headline, language: Language) -> tuple[FigureWords, ...]:
    """Return the figures of the first screen, in order."""
    percent, gettext = language.percent, language.gettext
    label = expression(found.label, language)
    visits = FigureWords(
        "visits", gettext("Visits"), language.number(found.visits.value) or "-", _doubt(found.visits, language),
        *_change_of_visits(found, language), found.visits.trend,
    )  # fmt: skip
    share = FigureWords(
        "share", gettext("Share of {label}", label=label), *_share(found.share, language),
        *_points(found.share, language), found.share.trend,
    )  # fmt: skip
    unknown = FigureWords(
        "unknown", gettext("Not recognised (unknown)"), percent(found.unknown.value), "",
        *_points(found.unknown, language), found.unknown.trend,
    )  # fmt: skip
    coverage = FigureWords(
        "coverage", gettext("Time watched (coverage)"), percent(found.coverage.value), "",
        *_points(found.coverage, language), found.coverage.trend,
    )  # fmt: skip
    return visits, share, unknown, coverage


def expression(label: str | None, language: Language) -> str:
    """Return the name of a label, or the word for a label that is not known yet."""
    return language.gettext("expression") if label is None else language.label(label)


def clear_change(language: Language) -> str:
    """Say what is called a clear change."""
    return language.gettext(
        "“Clear change” means that random variation alone would show such a change once in a hundred times."
    )


def arrow(figure: Figure) -> str:
    """Return a triangle for the direction of a clear change, a circle for none."""
    if figure.trend in ("more", "less"):
        return "▲" if figure.trend == "more" else "▼"
    if figure.trend == "measured" and abs(figure.change) >= HALF_A_POINT:
        return "▲" if figure.change > 0 else "▼"
    return "●"


def visits_with_doubt(value: float, low: float, high: float, language: Language) -> str:
    """Format visits with the ends of their doubt range: ``41, 38, 45`` is ``41 (38 to 45)``, ``41, 41, 41`` is ``41``.

    NaN is nothing.
    """
    text, first, last = (language.number(each) for each in (value, low, high))
    if first == last:
        return text
    return unbroken(language.gettext("{value} ({low} to {high})", value=text, low=first, high=last))


def unbroken(text: str) -> str:
    """Return a text in which no line ends within parentheses: their spaces are no-break spaces."""
    return re.sub(r"\([^()]*\)", lambda part: part[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def share_with_interval(value: float, low: float, high: float, language: Language) -> str:
    """Format a share with its 90 % interval: ``28 % (27 to 29)``; without one if its ends are NaN."""
    text = language.percent(value)
    if np.isnan(low):
        return text
    first, last = (language.number(100 * each) for each in (low, high))
    return unbroken(language.gettext("{value} ({low} to {high})", value=text, low=first, high=last))


def corrected_share(values: Any, language: Language, suffix: str = "") -> str:
    """Format a row of `collector.analysis.correction.shares`: the corrected share with its interval, or the counted
    one.

    ``suffix`` is that of a column of `collector.analysis.correction.compare`. NaN is nothing.
    """
    counted, corrected, low, high = (values[name + suffix] for name in ("share", "corrected", "low", "high"))
    if not np.isnan(low):
        return share_with_interval(corrected, low, high, language)
    return "" if np.isnan(counted) else language.gettext("{share}, not corrected", share=language.percent(counted))


def names_of_sites(sites: tuple[str, ...], language: Language) -> str:
    """Name the sites of a selection."""
    return ", ".join(sites) or language.gettext("all sites")


def _doubt(figure: Figure, language: Language) -> str:
    low, high = language.number(figure.low), language.number(figure.high)
    return "" if low == high else language.gettext("{low} to {high}", low=low, high=high)


def _share(figure: Figure, language: Language) -> tuple[str, str]:
    if np.isnan(figure.value):
        return "", language.gettext("not known: no device reports the error rates of its model")
    low, high = language.number(100 * figure.low), language.percent(figure.high)
    return language.percent(figure.value), language.gettext("{low} to {high}", low=low, high=high)


def _change_of_visits(found: Headline, language: Language) -> tuple[str, str, str]:
    figure = found.visits
    if np.isnan(figure.change):
        return "", language.gettext("nothing to compare with"), ""
    before = language.gettext("from {before}", before=language.number(figure.before))
    equal = found.at_equal_time.value
    if not np.isnan(equal) and abs(equal - figure.change) >= EQUAL_TIME_FROM:
        before += "; " + language.gettext("{change} at equal watched time", change=language.signed_percent(equal))
    change = f"{arrow(figure)} {language.signed_percent(figure.change)}"
    return change, before, language.gettext(TREND_WORDS[figure.trend])


def _points(figure: Figure, language: Language) -> tuple[str, str, str]:
    if np.isnan(figure.change):
        return "", language.gettext("nothing to compare with"), ""
    before = language.gettext("from {before}", before=language.percent(figure.before))
    return f"{arrow(figure)} {language.points(figure.change)}", before, language.gettext(TREND_WORDS[figure.trend])
