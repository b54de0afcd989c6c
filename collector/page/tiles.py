"""The four figures of the first screen as tiles: the value, the change, and whether it is clear."""

from typing import Any

import numpy as np
from dash import html

from collector.analysis.headline import Figure, Headline, Trend
from collector.page.parts import text_button
from collector.page.selection import Selection
from collector.page.tables import format_number, format_share
from collector.store.intervals import Floats

TREND_WORDS: dict[Trend, str] = {
    "more": "clear change",
    "less": "clear change",
    "random": "may be random",
    "unknown": "too little data to say more",
    "measured": "measured, not a sample",
}
MINUS = "\N{MINUS SIGN}"
HALF_A_POINT = 0.005
EQUAL_TIME_FROM = 0.015
"""The change at equal watched time is shown where it differs so much from the change as counted."""


def tiles(found: Headline, selection: Selection) -> list[Any]:
    """Return the tiles, and what the changes are compared with."""
    label = found.label or "expression"
    return [
        html.Div(
            [
                _tile("visits", "Visits", _visits(found.visits), _change_of_visits(found)),
                _tile("share", f"Share of {label}", _with_interval(found.share), _points(found.share)),
                _tile("unknown", "Not recognised (unknown)", percent(found.unknown.value), _points(found.unknown)),
                _tile("coverage", "Time watched (coverage)", percent(found.coverage.value), _points(found.coverage)),
            ],
            className="tiles",
        ),
        html.P(compared_with(selection), className="soft", id="compared-with"),
    ]


def compared_with(selection: Selection) -> str:
    """Say which period is shown, what it is compared with, and by which rule."""
    reference = selection.reference()
    if selection.controls.against == "site":
        other = f"with {reference.names} in the same period"
    else:
        other = f"with {reference.when}" + (" (the same weekdays)" if selection.controls.against == "weekdays" else "")
    return (
        f"{selection.names}: {selection.when} ({selection.zone}), compared {other}. “Clear change” means that"
        " random variation alone would show such a change once in a hundred times."
    )


def percent(value: float) -> str:
    """Format ``0.256`` as ``"26 %"``, and NaN as a dash. Small values keep a digit: ``"0.4 %"``."""
    if np.isnan(value):
        return "-"
    if 0 < value < 0.0095:
        return f"{value:.1%}".replace("%", " %")
    return format_share(value)


def signed_percent(change: float) -> str:
    """Format a relative change: ``0.123`` is ``"+12 %"``; NaN is nothing."""
    if np.isnan(change):
        return ""
    rounded = round(100 * change)
    return f"{rounded:+d} %".replace("-", MINUS) if rounded else "0 %"


def points(change: float) -> str:
    """Format a difference of shares: ``-0.052`` is ``-5.2 points`` with a minus sign; NaN is nothing."""
    return "" if np.isnan(change) else f"{100 * change:+.1f}".replace("-", MINUS) + " points"


def arrow(figure: Figure) -> str:
    """Return a triangle for the direction of a clear change, a circle for none."""
    if figure.trend in ("more", "less"):
        return "▲" if figure.trend == "more" else "▼"
    if figure.trend == "measured" and abs(figure.change) >= HALF_A_POINT:
        return "▲" if figure.change > 0 else "▼"
    return "●"


def share_with_interval(figure: Figure) -> str:
    """Format a share with its 90 % interval: ``"28 % (27 to 29)"``."""
    if np.isnan(figure.low):
        return percent(figure.value)
    return f"{percent(figure.value)} ({100 * figure.low:.0f} to {100 * figure.high:.0f})"


def _tile(name: str, title: str, value: Any, change: list[Any]) -> html.Div:
    button = text_button("How was this found?", receipt=name)
    return html.Div(
        [html.H2(title), html.P(value, className="value", id=f"tile-{name}"), html.P(change), button], className="tile"
    )


def _visits(figure: Figure) -> list[Any]:
    low, high = format_number(figure.low), format_number(figure.high)
    text = format_number(figure.value) or "-"
    return [text] if low == high else [text, html.Small(f" {low} to {high}")]


def _with_interval(figure: Figure) -> list[Any]:
    if np.isnan(figure.value):
        return [html.Small("not known: no device reports the error rates of its model")]
    return [percent(figure.value), html.Small(f" {100 * figure.low:.0f} to {100 * figure.high:.0f} %")]


def _change_of_visits(found: Headline) -> list[Any]:
    figure = found.visits
    if np.isnan(figure.change):
        return ["nothing to compare with"]
    texts = [html.Strong(f"{arrow(figure)} {signed_percent(figure.change)}"), f" from {format_number(figure.before)}"]
    equal = found.at_equal_time.value
    if not np.isnan(equal) and abs(equal - figure.change) >= EQUAL_TIME_FROM:
        texts.append(f"; {signed_percent(equal)} at equal watched time")
    return [*texts, html.Br(), TREND_WORDS[figure.trend]]


def _points(figure: Figure) -> list[Any]:
    if np.isnan(figure.change):
        return ["nothing to compare with"]
    value = html.Strong(f"{arrow(figure)} {points(figure.change)}")
    return [value, f" from {percent(figure.before)}", html.Br(), TREND_WORDS[figure.trend]]


def sparkline(values: Floats) -> str:
    """Return a line of values as an SVG data address; a gap breaks the line. It begins at zero."""
    known = values[~np.isnan(values)]
    top = float(known.max()) if len(known) and known.max() > 0 else 1.0
    width, height, edge = 120, 28, 2
    x = np.linspace(edge, width - edge, max(len(values), 2))
    parts, pen = [], "M"
    for at, value in enumerate(values):
        if np.isnan(value):
            pen = "M"
            continue
        parts.append(f"{pen}{x[at]:.1f} {height - edge - (height - 2 * edge) * value / top:.1f}")
        pen = "L"
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}'>"
        f"<path d='{''.join(parts)}' fill='none' stroke='#5B8DD9' stroke-width='2' stroke-linecap='round'/></svg>"
    )
    return "data:image/svg+xml," + svg.replace("#", "%23").replace("<", "%3C").replace(">", "%3E")
