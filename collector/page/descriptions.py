"""Sentences that say what a chart shows, for readers and screen readers."""

from typing import cast

import pandas as pd

from collector.analysis.query import MIN_RATE_S, rates_of_label
from collector.analysis.summarise import gaps, label_columns
from collector.page.selection import Selection
from collector.page.shares import format_interval
from collector.page.tables import VISITS, format_number, format_share, name_visits

HALF_A_VISIT = 0.5


def describe_counts(table: pd.DataFrame, shown: str, mix: pd.DataFrame | None = None, without_time: float = 0.0) -> str:
    """Describe a table of `collector.analysis.summarise.by_time`; ``shown`` says what it is of.

    ``mix`` has the corrected shares of the whole table, from `collector.analysis.correction.shares`; ``without_time``
    is the number of visits that are not in the table, because their time is not known.
    """
    if not (table["windows"] > 0).any():
        return f"No data for {shown}."
    visits, low, high = table[VISITS].sum()
    watched = (table["coverage"] * table["seconds"]).sum() / table["seconds"].sum()
    number = len(gaps(table))
    without_data = "no gap" if not number else f"{number} gap{'s'[: number > 1]} without data"
    text = f"{name_visits(visits, low, high)}{_leading(table, mix) if visits else ''}."
    if without_time >= HALF_A_VISIT:
        text += f" {format_number(without_time)} more have no known time and are not drawn."
    return f"{text} Cameras watched {format_share(watched)} of the time, {without_data}. Shown: {shown}."


def _leading(table: pd.DataFrame, mix: pd.DataFrame | None) -> str:
    """Name the most frequent label, with its corrected share as in the table of totals."""
    most = str(table[label_columns(table)].sum().idxmax())
    if mix is None or most not in mix.index:
        return f", most often {most}"
    return f", most often {most} ({format_interval(mix.loc[most])} of the recognised visits)"


def describe_heatmap(rates: pd.DataFrame, label: str, hours: range, selection: Selection) -> str:
    """Say when most visits were, from a table of `collector.analysis.query.hourly_rates`."""
    visits = "visits" if label == "visits" else f"visits of {label}"
    cells = rates_of_label(rates, label)[list(hours)].stack()
    if cells.dropna().empty:
        return f"Cameras watched no hour of the week for {MIN_RATE_S / 60:.0f} minutes in {selection}."
    day, hour = cast(tuple[str, int], cells.idxmax())
    most = format_number(float(cells.to_numpy().max()), 1)
    return (
        f"Busiest: {day} from {hour:02}:00, {most} {visits} per hour watched by one camera. Hours {hours[0]:02} to"
        f" {hours[-1] + 1:02} are shown: almost no visit was in others. Shown: {selection}."
    )


def describe_shares(labels: list[str], per: str, uncorrected: float) -> str:
    """Say what the chart of shares shows, and how many visits it leaves out."""
    text = f"Share of {', '.join(labels)} among classified visits per {per}, corrected, with 90 % intervals."
    if not uncorrected:
        return text
    return f"{text} {format_number(uncorrected)} visits are left out: the error rates of their model are unknown."
