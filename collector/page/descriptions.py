"""Sentences that say what a chart shows, for readers and screen readers."""

import pandas as pd

from collector.analysis.summarise import gaps, label_columns
from collector.page.selection import Selection
from collector.page.tables import VISITS, format_number, format_share, name_visits


def describe_counts(table: pd.DataFrame, shown: str) -> str:
    """Describe a table of `collector.analysis.summarise.by_time`; ``shown`` says what it is of."""
    if not (table["windows"] > 0).any():
        return f"No data for {shown}."
    visits, low, high = table[VISITS].sum()
    most = str(table[label_columns(table)].sum().idxmax())
    watched = (table["coverage"] * table["seconds"]).sum() / table["seconds"].sum()
    number = len(gaps(table))
    without_data = "no gap" if not number else f"{number} gap{'s'[: number > 1]} without data"
    leading = f", most often {most} ({format_share(table[most].sum() / visits)})" if visits else ""
    counted = name_visits(visits, low, high)
    return f"{counted}{leading}. Cameras watched {format_share(watched)} of the time, {without_data}. Shown: {shown}."


def describe_heatmap(rates: pd.DataFrame, label: str, selection: Selection) -> str:
    """Say when most visits were, from a table of `collector.analysis.query.hourly_rates`."""
    visits = "visits" if label == "visits" else f"visits of {label}"
    cells = rates[label].stack()
    if cells.dropna().empty:
        return f"No data for {selection}."
    day, hour = cells.idxmax()
    most = format_number(cells.max(), 1)
    return f"Busiest: {day} from {hour:02}:00, {most} {visits} per hour watched by one camera. Shown: {selection}."


def describe_shares(labels: list[str], per: str, uncorrected: float) -> str:
    """Say what the chart of shares shows, and how many visits it leaves out."""
    text = f"Share of {', '.join(labels)} among classified visits per {per}, corrected, with 90 % intervals."
    if not uncorrected:
        return text
    return f"{text} {format_number(uncorrected)} visits are left out: the error rates of their model are unknown."
