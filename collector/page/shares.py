"""Figures, descriptions and tables of corrected shares with their 90 % intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from dash import html

from collector.analysis.query import MAX_DRAWN_LABELS
from collector.exports.palette import colours
from collector.page.figures import GRID, common_layout, translucent
from collector.page.tables import MAX_ROWS, format_number, format_share, format_visits, html_table, row, swatch

WHISKER = "#8C8C8C"
DEFAULT_LINES = 3
"""Labels drawn if none is selected: more bands would cover one another."""


def most_frequent(over: pd.DataFrame, limit: int = DEFAULT_LINES) -> tuple[str, ...]:
    """Return the labels with the most visits in `collector.analysis.correction.shares_over`, most frequent first."""
    sums = over["visits"].groupby(level="label").sum().sort_values(ascending=False)
    return tuple(str(name) for name in sums.index[:limit])


def shares_figure(over: pd.DataFrame, labels: Sequence[str], per: str) -> go.Figure:
    """Draw a line and a band per label, broken at gaps, from `collector.analysis.correction.shares_over`."""
    figure = go.Figure()
    palette = colours(list(dict.fromkeys(over.index.get_level_values("label"))))
    for label in labels:
        part = over.xs(label, level="label")
        x = pd.DatetimeIndex(part.index).tz_localize(None)
        for run in _runs(part["low"].notna().to_numpy()):
            band = np.concatenate([part["low"].to_numpy()[run], part["high"].to_numpy()[run][::-1]])
            figure.add_scatter(
                x=[*x[run], *x[run][::-1]], y=band, fill="toself", fillcolor=translucent(palette[label], 0.22),
                line={"width": 0}, mode="lines", hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        figure.add_scatter(
            x=x, y=part["corrected"], name=label, mode="lines+markers", connectgaps=False,
            line={"color": palette[label], "width": 2}, marker={"size": 5},
            error_y={
                "type": "data", "symmetric": False, "thickness": 1, "width": 3,
                "array": part["high"] - part["corrected"], "arrayminus": part["corrected"] - part["low"],
            },
            customdata=np.column_stack([part["low"], part["high"]]),
            hovertemplate="%{y:.0%} (%{customdata[0]:.0%} to %{customdata[1]:.0%})",
        )  # fmt: skip
    legend = {"orientation": "h", "y": -0.14, "x": 0}
    figure.update_layout(**common_layout(), hovermode="x unified", legend=legend, showlegend=True)
    figure.update_yaxes(title=f"share per {per}", tickformat=".0%", rangemode="tozero", gridcolor=GRID)
    figure.update_xaxes(showgrid=False)
    return figure


def comparison_figure(both: pd.DataFrame, names: tuple[str, str]) -> go.Figure:
    """Draw two dots with their intervals per label, from `collector.analysis.correction.compare`."""
    figure = go.Figure()
    palette = colours([str(name) for name in both.index])
    positions = np.arange(len(both), dtype=float)
    for which, name, shift, symbol in (("one", names[0], -0.16, "circle-open"), ("other", names[1], 0.16, "circle")):
        corrected, low, high = (both[f"{key}_{which}"] for key in ("corrected", "low", "high"))
        figure.add_scatter(
            x=corrected, y=positions + shift, name=name, mode="markers",
            marker={"symbol": symbol, "size": 9, "color": list(palette.values()), "line": {"width": 2}},
            error_x={
                "type": "data", "symmetric": False, "color": WHISKER,
                "array": high - corrected, "arrayminus": corrected - low,
            },
            customdata=np.column_stack([low, high]),
            hovertemplate="%{x:.1%} (%{customdata[0]:.1%} to %{customdata[1]:.1%})",
        )  # fmt: skip
    figure.update_layout(**common_layout(), legend={"orientation": "h", "y": -0.12, "x": 0}, showlegend=True)
    figure.update_layout(margin={"l": 84})
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", gridcolor=GRID)
    figure.update_yaxes(
        tickvals=positions,
        ticktext=[str(name) for name in both.index],
        range=[len(both) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    return figure


def describe_comparison(both: pd.DataFrame, names: tuple[str, str]) -> str:
    """Say in one sentence what changed, from `collector.analysis.correction.compare`."""
    changed = [f"{change} {label}" for label, change in both["change"].items() if change != "no clear change"]
    if not changed:
        return f"No clear change in any share between {names[0]} and {names[1]}."
    rest = "" if len(changed) == len(both) else "; no clear change in the others"
    return f"In {names[1]}, compared with {names[0]}: {', '.join(changed)}{rest}."


def comparison_table(both: pd.DataFrame, names: tuple[str, str]) -> html.Table:
    """Return one row per label, from `collector.analysis.correction.compare`."""
    heads = ("expression", f"{names[0]}: visits", "share", f"{names[1]}: visits", "share", "change")
    body = [
        row(
            swatch(str(label), colour),
            format_number(values["visits_one"]),
            format_interval(values, "_one"),
            format_number(values["visits_other"]),
            format_interval(values, "_other"),
            str(values["change"]),
        )
        for (label, values), colour in zip(both.iterrows(), colours(map(str, both.index)).values(), strict=True)
    ]
    return html_table("Corrected shares with 90 % intervals", heads, body, number_columns=5)


def totals_table(shares: pd.DataFrame, unknown: float | None, doubtful: tuple[float, float]) -> html.Table:
    """Return visits as counted and corrected shares, from `collector.analysis.correction.shares`.

    ``unknown`` is the number of visits that were not classified, ``doubtful`` the doubtful visits, down and up.
    """
    body = [
        row(swatch(str(label), colour), format_number(values["visits"]), format_interval(values))
        for (label, values), colour in zip(shares.iterrows(), colours(map(str, shares.index)).values(), strict=True)
    ]
    if unknown is not None:
        body.append(row(swatch("unknown", colours(["unknown"])["unknown"]), format_number(unknown), ""))
    body.append(row("all", format_visits(float(shares["visits"].sum()) + (unknown or 0.0), *doubtful), ""))
    caption = "Visits as counted, corrected shares with 90 % intervals"
    return html_table(caption, ("expression", "visits", "share"), body, number_columns=2)


def shares_table(over: pd.DataFrame, caption: str) -> html.Table:
    """Return one row per bucket, the latest first, from `collector.analysis.correction.shares_over`."""
    shown = set(most_frequent(over, MAX_DRAWN_LABELS))
    names = [name for name in dict.fromkeys(over.index.get_level_values("label")) if name in shown]
    starts = list(dict.fromkeys(over.index.get_level_values("start")))[::-1][:MAX_ROWS]
    body = [row(f"{start:%Y-%m-%d}", *(format_interval(over.loc[(start, name)]) for name in names)) for start in starts]
    return html_table(caption, ("start", *names), body, number_columns=len(names))


def format_interval(values: Any, suffix: str = "") -> str:
    """Format a corrected share as ``"29 % (28 to 31)"``, or the counted share if there is no correction."""
    if pd.isna(values[f"low{suffix}"]):
        counted = format_share(values[f"share{suffix}"])
        return f"{counted}, not corrected" if counted else ""
    low, high = (f"{100 * values[key + suffix]:.0f}" for key in ("low", "high"))
    return f"{format_share(values[f'corrected{suffix}'])} ({low} to {high})"


def _runs(known: np.ndarray[Any, np.dtype[np.bool_]]) -> list[slice]:
    """Return the runs of True."""
    changes = np.flatnonzero(np.diff(np.concatenate(([0], known.astype(np.int8), [0]))))
    return [slice(first, past) for first, past in zip(changes[::2], changes[1::2], strict=True)]
