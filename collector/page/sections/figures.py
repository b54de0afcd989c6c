"""Figures of visits over time and by hour of the week; the style sheet adapts their colours to dark mode."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from collector.analysis.summarise import HOUR_S, WEEKDAYS, gaps
from collector.exports.palette import colours
from collector.language.catalogue import mark
from collector.language.language import Language
from collector.reading.reader import most_frequent_labels, rates_of_label
from collector.sentences.charts import visit_texts, visits_per_step

NO_DATA = "rgba(128, 128, 128, 0.18)"
WATCHED = "#7A8CA5"
DEGRADED = "#B0562B"
TRANSPARENT = "rgba(0, 0, 0, 0)"
GRID = "rgba(128, 128, 128, 0.25)"
PERCENT_AXIS = {"ticksuffix": "\N{NO-BREAK SPACE}%", "rangemode": "tozero", "gridcolor": GRID}
"""Axis of shares in percent."""
ALL_VISITS, CLEAR_VIEW, POOR_VIEW = mark("all visits"), mark("watched, clear view"), mark("watched, poor view")
"""Names of the traces that are not labels."""
TITLE_SIZE = 11
"""Size of the titles of two axes above one another, pixels: the lower panel has room for some ten letters."""
MAX_GAPS = 200
"""Gaps drawn as bands. Where there are more, the lower panel still shows them."""


def live_figure(table: pd.DataFrame, step_s: int | None, language: Language) -> go.Figure:
    """Draw one line per expression, broken at gaps, from a table of `collector.analysis.summarise.by_time`."""
    figure = _two_panels(visits_per_step(step_s, language), language)
    x = _wall_clock(table)[:-1]
    for label, colour in colours(most_frequent_labels(table)).items():
        figure.add_scatter(
            x=x, y=table[label], name=language.label(label), mode="lines+markers", connectgaps=False,
            line={"color": colour, "width": 2}, marker={"size": 4}, row=1, col=1,
        )  # fmt: skip
    hidden = _all_visits(table, language)
    figure.add_scatter(**hidden, x=x, mode="markers", marker={"color": TRANSPARENT}, row=1, col=1)
    return _with_coverage(figure, table, language)


def trend_figure(table: pd.DataFrame, step_s: int | None, language: Language) -> go.Figure:
    """Draw stacked bars of expressions, grey at gaps, from a table of `collector.analysis.summarise.by_time`."""
    figure = _two_panels(visits_per_step(step_s, language), language)
    for label, colour in colours(most_frequent_labels(table)).items():
        bars = {"color": colour, "line": {"width": 0}}
        figure.add_bar(**_bar_positions(table), y=table[label], name=language.label(label), marker=bars, row=1, col=1)
    hidden = _all_visits(table, language)
    figure.add_bar(**_bar_positions(table), **hidden, marker={"color": TRANSPARENT}, row=1, col=1)
    return _with_coverage(figure, table, language)


def heatmap(rates: pd.DataFrame, label: str, hours: range, language: Language) -> go.Figure:
    """Draw weekdays by some hours, from a table of `collector.reading.reader.hourly_rates`.

    A cell that cameras hardly watched has no colour. The colour map is Cividis, readable with any colour vision.
    """
    values = rates_of_label(rates, label)[list(hours)]
    hover = language.gettext(
        "{weekday} {hour}:00: {rate} visits per hour and camera", weekday="%{y}", hour="%{x}", rate="%{z:.1f}"
    )
    title = visits_per_step(HOUR_S, language).replace(" ", "<br>", 1)
    figure = go.Figure(
        go.Heatmap(
            z=values.to_numpy(), x=[f"{hour:02}" for hour in hours],
            y=[language.weekday(day, "abbreviated") for day in range(len(WEEKDAYS))],
            colorscale="Cividis", zmin=0, xgap=1, ygap=1, hoverongaps=False, hovertemplate=f"{hover}<extra></extra>",
            colorbar={"title": {"text": title}, "thickness": 12},
        )
    )  # fmt: skip
    figure.update_layout(**common_layout())
    figure.update_yaxes(range=[6.5, -0.5], showgrid=False, fixedrange=True)
    figure.update_xaxes(showgrid=False, fixedrange=True, type="category", dtick=2)
    return figure


def text_figure(text: str) -> go.Figure:
    """Return a figure that shows a text instead of a chart."""
    figure = go.Figure()
    figure.update_layout(**common_layout())
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    figure.add_annotation(text=text, showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5)
    return figure


def translucent(colour: str, alpha: float) -> str:
    """Convert ``#rrggbb`` to ``rgba(...)`` with this opacity."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def common_layout() -> dict[str, Any]:
    """Return the layout that all figures share. The background is transparent, so that the page's shows through."""
    return {
        "template": "none", "paper_bgcolor": TRANSPARENT, "plot_bgcolor": TRANSPARENT,
        "margin": {"l": 56, "r": 12, "t": 12, "b": 36}, "uirevision": "kept",
        "font": {"family": "system-ui, sans-serif", "size": 13},
    }  # fmt: skip


def _two_panels(title: str, language: Language) -> go.Figure:
    """Return two panels on one time axis: visits above, the fraction of time watched below."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.08)
    legend = {"orientation": "h", "y": -0.14, "x": 0, "traceorder": "normal"}
    figure.update_layout(**common_layout(), hovermode="x unified", barmode="stack", legend=legend)
    figure.update_yaxes(title=title, rangemode="tozero", gridcolor=GRID, row=1, col=1)
    ends = [language.percent(each) for each in (0, 1)]
    watched = language.gettext("watched")
    figure.update_yaxes(title=watched, range=[0, 1.02], tickvals=[0, 1], ticktext=ends, showgrid=False, row=2, col=1)
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(title_font_size=TITLE_SIZE)
    return figure


def _all_visits(table: pd.DataFrame, language: Language) -> dict[str, Any]:
    """Return an invisible trace at 0 whose hover text is the sum of visits with its doubt range, none in a gap."""
    texts = [language.gettext("{visits} visits", visits=text) if text else "" for text in visit_texts(table, language)]
    return {
        "y": table["visits"] * 0,
        "name": language.gettext(ALL_VISITS),
        "customdata": texts,
        "hovertemplate": "<b>%{customdata}</b><extra></extra>",
        "showlegend": False,
    }


def _with_coverage(figure: go.Figure, table: pd.DataFrame, language: Language) -> go.Figure:
    """Add the lower panel, and a band over each gap."""
    degraded = table["coverage"] * table["degraded"]
    for name, fraction, colour in (
        (CLEAR_VIEW, table["coverage"] - degraded, WATCHED),
        (POOR_VIEW, degraded, DEGRADED),
    ):
        bars = {"color": colour, "line": {"width": 0}}
        position = _bar_positions(table)
        figure.add_bar(
            **position, y=fraction, name=language.gettext(name), marker=bars, showlegend=False,
            customdata=[language.percent(value) for value in fraction], hovertemplate="%{customdata}", row=2, col=1,
        )  # fmt: skip
    edges, walls = _edges(table), _wall_clock(table)
    for first, last in gaps(table)[:MAX_GAPS]:
        band = {"x0": walls[edges.get_loc(first)], "x1": walls[edges.get_loc(last)], "fillcolor": NO_DATA}
        figure.add_vrect(**band, line_width=0, layer="below", row=1, col=1)
    if len(table):
        figure.update_xaxes(range=[walls[0], walls[-1]])
    return figure


def _bar_positions(table: pd.DataFrame) -> dict[str, object]:
    """Return start and width (milliseconds) of each bar. No bar covers the hour that a clock change skips."""
    walls = _wall_clock(table)
    width = np.minimum(np.diff(walls) / np.timedelta64(1, "ms"), table["seconds"].to_numpy() * 1000)
    return {"x": walls[:-1], "width": width, "offset": 0}


def _edges(table: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the starts of the buckets, and the end of the last one."""
    starts = pd.DatetimeIndex(table.index)
    end = starts[-1:] + pd.to_timedelta(table["seconds"][-1:].to_numpy(), unit="s")
    return pd.DatetimeIndex(starts.append(end))


def _wall_clock(table: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the bucket edges as local times without a zone, ascending: Plotly would show UTC.

    An hour that occurs twice, when clocks go back, is drawn as two halves of an hour.
    """
    edges = _edges(table)
    walls = edges.tz_localize(None)
    if (walls[1:] > walls[:-1]).all():
        return walls
    return pd.DatetimeIndex([_wall_position(moment) for moment in edges.to_pydatetime()])


def _wall_position(moment: datetime) -> datetime:
    """Return where a local time is drawn: clocks go back by an hour at full hours, by half an hour at half hours."""
    wall = moment.replace(tzinfo=None, fold=0)
    offsets = [moment.replace(fold=fold).utcoffset() or timedelta(0) for fold in (0, 1)]
    repeated = offsets[0] - offsets[1]
    if repeated <= timedelta(0):
        return wall
    begin = wall - (wall - datetime.min) % repeated
    return begin + (wall - begin + moment.fold * repeated) / 2
