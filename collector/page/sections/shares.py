"""Figures and tables of corrected shares with their 90 % intervals."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from dash import html

from collector.analysis.correction import COUNT_DIGITS
from collector.exports.palette import colours
from collector.language.language import Language
from collector.page.sections.figures import PERCENT_AXIS, common_layout, translucent
from collector.page.sections.tables import MAX_ROWS, html_table, row, swatches
from collector.reading.reader import MAX_DRAWN_LABELS
from collector.sentences.charts import CHANGES
from collector.sentences.figures import corrected_share, visits_with_doubt
from contract.labels import UNKNOWN

WHISKER = "#8C8C8C"
DEFAULT_LINES = 3
"""Labels drawn if none is selected: more bands would cover one another."""


def most_frequent(over: pd.DataFrame, limit: int = DEFAULT_LINES) -> tuple[str, ...]:
    """Return the labels with the most visits in `collector.analysis.correction.shares_over`, most frequent first.

    Equal ones are in alphabetical order: their sums may differ in the last bits.
    """
    sums = over["visits"].groupby(level="label").sum().round(COUNT_DIGITS).sort_values(ascending=False, kind="stable")
    return tuple(str(name) for name in sums.index[:limit])


def shares_figure(over: pd.DataFrame, labels: Sequence[str], is_monthly: bool, language: Language) -> go.Figure:
    """Draw a line and a band per label in percent, broken at gaps, from `collector.analysis.correction.shares_over`."""
    figure = go.Figure()
    palette = colours(list(dict.fromkeys(over.index.get_level_values("label"))))
    for label in labels:
        part = pd.DataFrame(over.xs(label, level="label"))
        x = pd.DatetimeIndex(part.index).tz_localize(None)
        share, low, high = (100 * part[name].to_numpy() for name in ("corrected", "low", "high"))
        for run in _runs(~np.isnan(low)):
            figure.add_scatter(
                x=[*x[run], *x[run][::-1]], y=np.concatenate([low[run], high[run][::-1]]), fill="toself",
                fillcolor=translucent(palette[label], 0.22), line={"width": 0}, mode="lines", hoverinfo="skip",
                showlegend=False,
            )  # fmt: skip
        figure.add_scatter(
            x=x, y=share, name=language.label(label), mode="lines+markers", connectgaps=False,
            line={"color": palette[label], "width": 2}, marker={"size": 5},
            error_y=_whiskers(share, low, high) | {"thickness": 1, "width": 3}, **_hover(part, "", language),
        )  # fmt: skip
    legend = {"orientation": "h", "y": -0.14, "x": 0}
    figure.update_layout(**common_layout(), hovermode="x unified", legend=legend, showlegend=True)
    title = language.gettext("share per month") if is_monthly else language.gettext("share per day")
    figure.update_yaxes(title=title, **PERCENT_AXIS)
    figure.update_xaxes(showgrid=False)
    return figure


def comparison_figure(both: pd.DataFrame, names: tuple[str, str], language: Language) -> go.Figure:
    """Draw two dots with their intervals per label in percent, from `collector.analysis.correction.compare`."""
    figure = go.Figure()
    palette = colours([str(name) for name in both.index])
    positions = np.arange(len(both), dtype=float)
    for which, name, shift, symbol in (("_one", names[0], -0.16, "circle-open"), ("_other", names[1], 0.16, "circle")):
        share, low, high = (100 * both[key + which].to_numpy() for key in ("corrected", "low", "high"))
        figure.add_scatter(
            x=share, y=positions + shift, name=name, mode="markers",
            marker={"symbol": symbol, "size": 9, "color": list(palette.values()), "line": {"width": 2}},
            error_x=_whiskers(share, low, high) | {"color": WHISKER}, **_hover(both, which, language),
        )  # fmt: skip
    figure.update_layout(**common_layout(), legend={"orientation": "h", "y": -0.12, "x": 0}, showlegend=True)
    figure.update_xaxes(**PERCENT_AXIS)
    figure.update_yaxes(
        tickvals=positions,
        ticktext=[language.label(str(name)) for name in both.index],
        range=[len(both) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    return figure


def comparison_table(both: pd.DataFrame, names: tuple[str, str], language: Language) -> html.Table:
    """Return one row per label, from `collector.analysis.correction.compare`."""
    gettext, share = language.gettext, language.gettext("share")
    visits = [gettext("{period}: visits", period=name) for name in names]
    heads = (gettext("expression"), visits[0], share, visits[1], share, gettext("change"))
    body = [
        row(
            swatch,
            language.number(values["visits_one"]),
            corrected_share(values, language, "_one"),
            language.number(values["visits_other"]),
            corrected_share(values, language, "_other"),
            gettext(CHANGES[values["change"]]),
        )
        for swatch, values in _with_swatches(both, language)
    ]
    return html_table(gettext("Corrected shares with 90 % intervals"), heads, body, number_columns=5)


def totals_table(
    shares: pd.DataFrame, unknown: float | None, doubtful: tuple[float, float], language: Language
) -> html.Table:
    """Return visits as counted and corrected shares, from `collector.analysis.correction.shares`.

    ``unknown`` is the number of visits that were not classified, ``doubtful`` the doubtful visits, down and up.
    """
    gettext = language.gettext
    body = [
        row(swatch, language.number(values["visits"]), corrected_share(values, language))
        for swatch, values in _with_swatches(shares, language)
    ]
    if unknown is not None:
        body.append(row(swatches([UNKNOWN], language)[UNKNOWN], language.number(unknown), ""))
    visits = float(shares["visits"].sum()) + (unknown or 0.0)
    text = visits_with_doubt(visits, visits - doubtful[0], visits + doubtful[1], language)
    body.append(row(gettext("all"), text, ""))
    caption = gettext("Visits as counted, corrected shares with 90 % intervals")
    heads = (gettext("expression"), gettext("visits"), gettext("share"))
    return html_table(caption, heads, body, number_columns=2)


def shares_table(over: pd.DataFrame, caption: str, language: Language) -> html.Table:
    """Return one row per bucket, the latest first, from `collector.analysis.correction.shares_over`."""
    shown = set(most_frequent(over, MAX_DRAWN_LABELS))
    names = [name for name in dict.fromkeys(over.index.get_level_values("label")) if name in shown]
    starts = list(dict.fromkeys(over.index.get_level_values("start")))[::-1][:MAX_ROWS]
    body = [
        row(language.short_date(start), *(corrected_share(over.loc[(start, name)], language) for name in names))
        for start in starts
    ]
    heads = (language.gettext("start"), *map(language.label, names))
    return html_table(caption, heads, body, number_columns=len(names))


def _with_swatches(table: pd.DataFrame, language: Language) -> Iterable[tuple[list[Any], Any]]:
    """Return each row of a table of labels with the label and its colour."""
    values = (row for _, row in table.iterrows())
    return zip(swatches(map(str, table.index), language).values(), values, strict=True)


def _hover(table: pd.DataFrame, suffix: str, language: Language) -> dict[str, Any]:
    """Return the hover texts of a line: each share with its interval."""
    texts = [corrected_share(values, language, suffix) for _, values in table.iterrows()]
    return {"customdata": texts, "hovertemplate": "%{customdata}"}


def _whiskers(share: Any, low: Any, high: Any) -> dict[str, Any]:
    return {"type": "data", "symmetric": False, "array": high - share, "arrayminus": share - low}


def _runs(known: np.ndarray[Any, np.dtype[np.bool_]]) -> list[slice]:
    """Return the runs of True."""
    changes = np.flatnonzero(np.diff(np.concatenate(([0], known.astype(np.int8), [0]))))
    return [slice(first, past) for first, past in zip(changes[::2], changes[1::2], strict=True)]
