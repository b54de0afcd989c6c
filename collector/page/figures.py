"""Tables of buckets -> figures of the page, in colours that its style sheet may turn dark."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from collector.analysis.query import HOURS, drawn, of_label
from collector.analysis.summarise import WEEKDAYS, gaps
from collector.exports.palette import colours

NO_DATA = "rgba(128, 128, 128, 0.18)"
WATCHED = "#7A8CA5"
DEGRADED = "#B0562B"
GRID = "rgba(128, 128, 128, 0.25)"
MAX_GAPS = 200
"""Bands drawn for gaps; where there are more, the line below still shows them."""


def live(table: pd.DataFrame, per: str) -> go.Figure:
    """A table of `collector.analysis.summarise.by_time` -> one line an expression, broken where nobody watched."""
    figure = _figure(f"visits per {per}")
    for label, colour in colours(drawn(table)).items():
        figure.add_scatter(
            x=_walls(table)[:-1], y=table[label], name=label, mode="lines+markers", connectgaps=False,
            line={"color": colour, "width": 2}, marker={"size": 4}, row=1, col=1,
        )  # fmt: skip
    return _with_coverage(figure, table)


def trend(table: pd.DataFrame, per: str) -> go.Figure:
    """A table of `collector.analysis.summarise.by_time` -> stacked bars of expressions, grey where nobody watched."""
    figure = _figure(f"visits per {per}")
    for label, colour in colours(drawn(table)).items():
        bars = {"color": colour, "line": {"width": 0}}
        figure.add_bar(**_from_start(table), y=table[label], name=label, marker=bars, row=1, col=1)
    return _with_coverage(figure, table)


def heat(rates: pd.DataFrame, label: str) -> go.Figure:
    """A table of `collector.analysis.query.hours_of_week` -> weekdays below one another, hours side by side.

    A cell without colour is one that nobody watched; the colours are those of Cividis, which any colour vision reads.
    """
    values = of_label(rates, label)
    figure = go.Figure(
        go.Heatmap(
            z=values.to_numpy(), x=[f"{hour:02}" for hour in HOURS], y=[day[:3] for day in WEEKDAYS],
            colorscale="Cividis", zmin=0, xgap=1, ygap=1, hoverongaps=False,
            hovertemplate="%{y} %{x}:00: %{z:.1f} an hour watched<extra></extra>",
            colorbar={"title": {"text": "visits<br>an hour"}, "thickness": 12},
        )
    )  # fmt: skip
    figure.update_layout(**frame_of_all())
    figure.update_yaxes(range=[6.5, -0.5], showgrid=False, fixedrange=True)
    figure.update_xaxes(showgrid=False, fixedrange=True, type="category", dtick=3)
    return figure


def message(text: str) -> go.Figure:
    """A figure that says why there is none."""
    figure = go.Figure()
    figure.update_layout(**frame_of_all())
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    figure.add_annotation(text=text, showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5)
    return figure


def faded(colour: str, alpha: float) -> str:
    """``#rrggbb`` -> the same, so much of it."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def frame_of_all() -> dict[str, Any]:
    """What all figures have in common: no paper of their own, so that the page's shows through."""
    return {
        "template": "none", "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 12, "t": 12, "b": 36}, "uirevision": "kept",
        "font": {"family": "system-ui, sans-serif", "size": 13},
    }  # fmt: skip


def _figure(title: str) -> go.Figure:
    """Two panels on one time axis: visits, and below them the share of time that was watched."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.06)
    legend = {"orientation": "h", "y": -0.14, "x": 0, "traceorder": "normal"}
    figure.update_layout(**frame_of_all(), hovermode="x unified", barmode="stack", legend=legend)
    figure.update_yaxes(title=title, rangemode="tozero", gridcolor=GRID, row=1, col=1)
    figure.update_yaxes(
        title="watched", range=[0, 1.02], tickvals=[0, 1], tickformat=".0%", showgrid=False, row=2, col=1
    )
    figure.update_xaxes(showgrid=False)
    return figure


def _with_coverage(figure: go.Figure, table: pd.DataFrame) -> go.Figure:
    """Add the lower panel, and a band over each gap."""
    degraded = table["coverage"] * table["degraded"]
    for name, share, colour in (
        ("watched well", table["coverage"] - degraded, WATCHED),
        ("watched badly", degraded, DEGRADED),
    ):
        bars = {"color": colour, "line": {"width": 0}}
        figure.add_bar(**_from_start(table), y=share, name=name, marker=bars, showlegend=False, row=2, col=1)
    edges, walls = _edges(table), _walls(table)
    for first, last in gaps(table)[:MAX_GAPS]:
        band = {"x0": walls[edges.get_loc(first)], "x1": walls[edges.get_loc(last)], "fillcolor": NO_DATA}
        figure.add_vrect(**band, line_width=0, layer="below", row=1, col=1)
    if len(table):
        figure.update_xaxes(range=[walls[0], walls[-1]])
    return figure


def _from_start(table: pd.DataFrame) -> dict[str, object]:
    """Where a bar stands: from its bucket's start, as wide as the bucket, in milliseconds; not over an hour that a
    change of the clock leaves out.
    """
    walls = _walls(table)
    wide = np.minimum(np.diff(walls) / np.timedelta64(1, "ms"), table["seconds"].to_numpy() * 1000)
    return {"x": walls[:-1], "width": wide, "offset": 0}


def _edges(table: pd.DataFrame) -> pd.DatetimeIndex:
    """The starts of a table's buckets, and the end of the last one."""
    starts = pd.DatetimeIndex(table.index)
    end = starts[-1:] + pd.to_timedelta(table["seconds"][-1:].to_numpy(), unit="s")
    return pd.DatetimeIndex(starts.append(end))


def _walls(table: pd.DataFrame) -> pd.DatetimeIndex:
    """The edges by the clock on the wall, for Plotly knows no zones and would show UTC; in their order, although the
    clock shows some hour twice: of such an hour each passing is drawn half as wide.
    """
    edges = _edges(table)
    walls = edges.tz_localize(None)
    if (walls[1:] > walls[:-1]).all():
        return walls
    return pd.DatetimeIndex([_wall(moment) for moment in edges.to_pydatetime()])


def _wall(moment: datetime) -> datetime:
    """A time with a zone -> where it is drawn. Clocks are put back by an hour at whole hours, by half one at halves."""
    wall = moment.replace(tzinfo=None, fold=0)
    passings = [moment.replace(fold=fold).utcoffset() or timedelta(0) for fold in (0, 1)]
    again = passings[0] - passings[1]
    if again <= timedelta(0):
        return wall
    begin = wall - (wall - datetime.min) % again
    return begin + (wall - begin + moment.fold * again) / 2
