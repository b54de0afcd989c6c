"""Tables of corrected shares -> figures, words and tables with their 90 % intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from dash import html

from collector.analysis.query import MOST_DRAWN
from collector.exports.palette import colours
from collector.page.figures import GRID, faded, frame_of_all
from collector.page.tables import MOST_ROWS, number, row, share, swatch, table, visits

WHISKER = "#8C8C8C"
MOST_LINES = 3
"""Lines drawn if none is chosen: bands of more cover one another."""


def often(over: pd.DataFrame, most: int = MOST_LINES) -> tuple[str, ...]:
    """A table of `collector.analysis.correction.shares_over` -> the labels counted most often, the first of them first."""
    sums = over["visits"].groupby(level="label").sum().sort_values(ascending=False)
    return tuple(str(name) for name in sums.index[:most])


def over_time(over: pd.DataFrame, chosen: Sequence[str], per: str) -> go.Figure:
    """A table of `collector.analysis.correction.shares_over` -> a line an expression in its band, broken where nobody knows."""
    figure = go.Figure()
    palette = colours(list(dict.fromkeys(over.index.get_level_values("label"))))
    for label in chosen:
        part = over.xs(label, level="label")
        x = pd.DatetimeIndex(part.index).tz_localize(None)
        for run in _runs(part["low"].notna().to_numpy()):
            band = np.concatenate([part["low"].to_numpy()[run], part["high"].to_numpy()[run][::-1]])
            figure.add_scatter(
                x=[*x[run], *x[run][::-1]], y=band, fill="toself", fillcolor=faded(palette[label], 0.22),
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
    figure.update_layout(**frame_of_all(), hovermode="x unified", legend=legend, showlegend=True)
    figure.update_yaxes(title=f"share, each {per}", tickformat=".0%", rangemode="tozero", gridcolor=GRID)
    figure.update_xaxes(showgrid=False)
    return figure


def compared(both: pd.DataFrame, names: tuple[str, str]) -> go.Figure:
    """A table of `collector.analysis.correction.compare` -> two dots an expression with their intervals; full where it changed."""
    figure = go.Figure()
    palette = colours([str(name) for name in both.index])
    places = np.arange(len(both), dtype=float)
    for which, name, beside, symbol in (("one", names[0], -0.16, "circle-open"), ("other", names[1], 0.16, "circle")):
        best, low, high = (both[f"{key}_{which}"] for key in ("corrected", "low", "high"))
        figure.add_scatter(
            x=best, y=places + beside, name=name, mode="markers",
            marker={"symbol": symbol, "size": 9, "color": list(palette.values()), "line": {"width": 2}},
            error_x={
                "type": "data", "symmetric": False, "color": WHISKER, "array": high - best, "arrayminus": best - low,
            },
            hovertemplate="%{x:.1%}",
        )  # fmt: skip
    figure.update_layout(**frame_of_all(), legend={"orientation": "h", "y": -0.12, "x": 0}, showlegend=True)
    figure.update_layout(margin={"l": 84})
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", gridcolor=GRID)
    figure.update_yaxes(
        tickvals=places,
        ticktext=[str(name) for name in both.index],
        range=[len(both) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    return figure


def compared_in_words(both: pd.DataFrame, names: tuple[str, str]) -> str:
    """A table of `collector.analysis.correction.compare` -> what changed, in a sentence."""
    changed = [f"{change} {label}" for label, change in both["change"].items() if change != "no clear change"]
    if not changed:
        return f"No clear change in any share between {names[0]} and {names[1]}."
    rest = "" if len(changed) == len(both) else "; no clear change in the others"
    return f"In {names[1]}, beside {names[0]}: {', '.join(changed)}{rest}."


def comparison_table(both: pd.DataFrame, names: tuple[str, str]) -> html.Table:
    """A table of `collector.analysis.correction.compare` -> one row an expression."""
    heads = ("expression", f"{names[0]}: visits", "share", f"{names[1]}: visits", "share", "change")
    body = [
        row(
            swatch(str(label), colour),
            number(values["visits_one"]),
            interval(values, "_one"),
            number(values["visits_other"]),
            interval(values, "_other"),
            str(values["change"]),
        )
        for (label, values), colour in zip(both.iterrows(), colours(map(str, both.index)).values(), strict=True)
    ]
    return table("Corrected shares, with 90 % intervals", heads, body, numbers=5)


def totals(all_of_it: pd.DataFrame, unknown: float | None, doubtful: tuple[float, float]) -> html.Table:
    """A table of `collector.analysis.correction.shares` -> visits as counted, and shares as corrected. Of all visits so many are
    ``doubtful``, down and up.
    """
    body = [
        row(swatch(str(label), colour), number(values["visits"]), interval(values))
        for (label, values), colour in zip(
            all_of_it.iterrows(), colours(map(str, all_of_it.index)).values(), strict=True
        )
    ]
    if unknown is not None:
        body.append(row(swatch("unknown", colours(["unknown"])["unknown"]), number(unknown), ""))
    body.append(row("all", visits(float(all_of_it["visits"].sum()) + (unknown or 0.0), *doubtful), ""))
    return table("Visits as counted, shares corrected", ("expression", "visits", "share (90 %)"), body, numbers=2)


def table_over_time(over: pd.DataFrame, caption: str) -> html.Table:
    """A table of `collector.analysis.correction.shares_over`, the latest first."""
    shown = set(often(over, MOST_DRAWN))
    names = [name for name in dict.fromkeys(over.index.get_level_values("label")) if name in shown]
    starts = list(dict.fromkeys(over.index.get_level_values("start")))[::-1][:MOST_ROWS]
    body = [row(f"{start:%Y-%m-%d}", *(interval(over.loc[(start, name)]) for name in names)) for start in starts]
    return table(caption, ("from", *names), body, numbers=len(names))


def interval(values: Any, which: str = "") -> str:
    """``"29 % (28 to 31)"``; what was counted, and that it is so, where nothing is known of the model."""
    if pd.isna(values[f"low{which}"]):
        counted = share(values[f"share{which}"])
        return f"{counted}, not corrected" if counted else ""
    low, high = (f"{100 * values[key + which]:.0f}" for key in ("low", "high"))
    return f"{share(values[f'corrected{which}'])} ({low} to {high})"


def _runs(known: np.ndarray[Any, np.dtype[np.bool_]]) -> list[slice]:
    """Where values follow on one another without a gap."""
    changes = np.flatnonzero(np.diff(np.concatenate(([0], known.astype(np.int8), [0]))))
    return [slice(first, past) for first, past in zip(changes[::2], changes[1::2], strict=True)]
