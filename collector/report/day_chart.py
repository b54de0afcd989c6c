"""Visits per day as an SVG drawing: stacked bars of expressions, a grey band where no data arrived, time watched below.

The drawing has texts, so that readers can search and copy them. Names are escaped.
"""

from dataclasses import dataclass
from html import escape
from math import floor, log10

import numpy as np
import pandas as pd

from collector.exports.palette import colours
from collector.language.language import Language
from collector.reading.reader import most_frequent_labels

WIDTH, LEFT, RIGHT = 720.0, 76.0, 4.0
TOP, HEIGHT = 14.0, 170.0
"""Upper edge and height of the bars."""
WATCHED_TOP, WATCHED_HEIGHT = 208.0, 14.0
"""Upper edge and height of the strip that shows the time watched."""
FULL = 226.0
GAP_SHARE = 0.18
"""Part of a day's width that is left between two bars."""
MAX_DATES = 16
NAMED_DAYS = 10
"""Up to so many days have their weekday beside the date."""
INK, SOFT, GRID, WATCHED, NO_DATA = "#1d2430", "#566171", "#d9dee5", "#7A8CA5", "#ECEEF1"
TICKS = 4


@dataclass(frozen=True, slots=True)
class _Day:
    """Where a day is drawn."""

    left: float
    width: float


def day_chart(days: pd.DataFrame, language: Language, description: str) -> str:
    """Return the drawing of a table of `collector.analysis.summarise.by_time` by day, as SVG."""
    top = max(float(np.nan_to_num(days["visits"].to_numpy(np.float64)).max(initial=0.0)), 1.0)
    step = tick_step(top)
    scale = HEIGHT / (step * np.ceil(top / step))
    width = (WIDTH - LEFT - RIGHT) / max(len(days), 1)
    every = -(-len(days) // MAX_DATES)
    parts = _grid(step, scale, language)
    palette = colours(most_frequent_labels(days))
    for at, start in enumerate(pd.DatetimeIndex(days.index)):
        row = days.iloc[at]
        day = _Day(LEFT + at * width, width)
        parts += _bar(day, row, palette, scale, language)
        if len(days) <= MAX_DATES and row["windows"] > 0:
            y = TOP + HEIGHT - float(row["visits"]) * scale
            parts.append(_text(day.left + width / 2, y - 3, language.number(row["visits"])))
        if at % every == 0:
            parts.append(_text(day.left + width / 2, TOP + HEIGHT + 13, _name_of_day(start, len(days), language)))
    text = language.gettext("watched")
    parts.append(_text(LEFT - 5, WATCHED_TOP + WATCHED_HEIGHT - 3, text, "end"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {FULL:.0f}" role="img"'
        f' aria-label="{escape(description)}" class="chart">{"".join(parts)}</svg>'
    )


def tick_step(top: float) -> float:
    """Return the distance of the lines of a scale up to ``top``: 1, 2 or 5 times a power of ten, at least 1."""
    rough = max(top / TICKS, 1.0)
    power = 10.0 ** floor(log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough)


def _grid(step: float, scale: float, language: Language) -> list[str]:
    """Return the lines of the scale, and their numbers."""
    parts = []
    for number in range(round(HEIGHT / scale / step) + 1):
        y = TOP + HEIGHT - number * step * scale
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}" stroke-width="1"/>')
        parts.append(_text(LEFT - 5, y + 4, language.number(number * step), "end"))
    return parts


def _bar(day: _Day, row: "pd.Series[float]", palette: dict[str, str], scale: float, language: Language) -> list[str]:
    """Return a day: its bars one on the other, the time watched below; or a band without data."""
    if not row["windows"] > 0:
        height = WATCHED_TOP + WATCHED_HEIGHT - TOP
        return [_box(day.left, TOP, day.width, height, NO_DATA, language.gettext("no data"))]
    edge = day.width * GAP_SHARE / 2
    left, width = day.left + edge, day.width - 2 * edge
    y, parts = TOP + HEIGHT, []
    for label, colour in palette.items():
        visits = float(np.nan_to_num(row[label]))
        if visits > 0:
            y -= visits * scale
            title = f"{language.label(label)}: {language.number(visits)}"
            parts.append(_box(left, y, width, visits * scale, colour, title))
    covered = min(float(row["coverage"]), 1.0) * width
    parts.append(_box(left, WATCHED_TOP, width, WATCHED_HEIGHT, GRID, language.percent(row["coverage"])))
    parts.append(_box(left, WATCHED_TOP, covered, WATCHED_HEIGHT, WATCHED, language.percent(row["coverage"])))
    return parts


def _name_of_day(start: pd.Timestamp, days: int, language: Language) -> str:
    """Name a day by weekday and date in a week or two, else by its date."""
    number = language.day_and_month(start.date())
    return f"{language.weekday(start.day_of_week, 'abbreviated')} {number}" if days <= NAMED_DAYS else number


def _box(x: float, y: float, width: float, height: float, colour: str, title: str) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {where} fill="{colour}"><title>{escape(title)}</title></rect>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    colour = SOFT if anchor == "end" else INK
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11" fill="{colour}">{escape(text)}</text>'
