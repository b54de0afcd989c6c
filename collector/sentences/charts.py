"""What a chart shows, in words, for readers and screen readers. Page and report share some of them."""

import numpy as np
import pandas as pd

from collector.analysis.correction import HALF_A_VISIT
from collector.analysis.summarise import HOUR_S, gaps, label_columns
from collector.language.catalogue import mark
from collector.language.language import Language
from collector.reading.reader import MIN_RATE_S, rates_of_label
from collector.sentences.figures import corrected_share, visits_with_doubt
from collector.store.columns import DOUBTFUL_COLUMNS, VISITS

MINUTE_S = 60
CHANGES = {"more": mark("more"), "less": mark("less"), "no clear change": mark("no clear change")}
"""Words for the column ``change`` of `collector.analysis.correction.compare`."""


def visits_per_step(step_s: int | None, language: Language) -> str:
    """Name the unit of a chart over time: ``visits per 10 minutes``; None is a day."""
    if step_s is None:
        return language.gettext("visits per day")
    if step_s % HOUR_S == 0:
        return language.ngettext("visits per hour", "visits per {number} hours", step_s // HOUR_S)
    if step_s % MINUTE_S == 0:
        return language.ngettext("visits per minute", "visits per {number} minutes", step_s // MINUTE_S)
    return language.ngettext("visits per second", "visits per {number} seconds", step_s)


def visit_texts(table: pd.DataFrame, language: Language) -> list[str]:
    """Format the visits of each row of a table of `collector.analysis.summarise`, with their doubt range."""
    figures = table[[VISITS, *DOUBTFUL_COLUMNS]].to_numpy(np.float64)
    return [visits_with_doubt(value, value - down, value + up, language) for value, down, up in figures]


def describe_counts(
    table: pd.DataFrame, shown: str, language: Language, mix: pd.DataFrame | None = None, without_time: float = 0.0
) -> str:
    """Describe a table of `collector.analysis.summarise.by_time`; ``shown`` says what it is of.

    ``mix`` has the corrected shares of the whole table, from `collector.analysis.correction.shares`; ``without_time``
    is the number of visits that are not in the table, because their time is not known.
    """
    gettext = language.gettext
    if not (table["windows"] > 0).any():
        return gettext("No data for {shown}.", shown=shown)
    (visits,) = visit_texts(table[[VISITS, *DOUBTFUL_COLUMNS]].sum().to_frame().T, language)
    parts = [_visits(table, visits, mix, language)]
    if without_time >= HALF_A_VISIT:
        parts.append(not_drawn(without_time, language) + ".")
    watched = language.percent((table["coverage"] * table["seconds"]).sum() / table["seconds"].sum())
    number = len(gaps(table))
    parts.append(
        language.ngettext(
            "Cameras watched {share} of the time, {number} gap without data.",
            "Cameras watched {share} of the time, {number} gaps without data.",
            number, share=watched,
        ) if number else gettext("Cameras watched {share} of the time, without a gap.", share=watched)
    )  # fmt: skip
    return " ".join([*parts, gettext("Shown: {shown}.", shown=shown)])


def not_drawn(visits: float, language: Language) -> str:
    """Say how many visits are not in a chart over time."""
    return language.gettext("{visits} more have no known time and are not drawn", visits=language.number(visits))


def describe_heat(rates: pd.DataFrame, label: str, hours: range, language: Language) -> str:
    """Say when most visits were, and which hours are shown, from a table of `collector.reading.reader.hourly_rates`.

    ``label`` is that of the visits, or ``visits`` for all.
    """
    values = rates_of_label(rates, label)[list(hours)].to_numpy(np.float64)
    if np.isnan(values).all():
        minutes = round(MIN_RATE_S / MINUTE_S)
        return language.gettext("Cameras watched no hour of the week for {minutes} minutes.", minutes=minutes)
    text = language.gettext("Visits per hour watched by one camera.")
    if label != VISITS:
        text = language.gettext("Visits of {label} per hour watched by one camera.", label=language.label(label))
    day, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
    busiest = language.gettext(
        "Busiest: {weekday} from {hour}:00 with {rate}. Hours {first} to {last} are shown: almost no visit was in"
        " others.",
        weekday=language.weekday(int(day)), hour=f"{hours[int(column)]:02}",
        rate=language.number(float(np.nanmax(values)), 1), first=f"{hours[0]:02}", last=f"{hours[-1] + 1:02}",
    )  # fmt: skip
    return f"{text} {busiest}"


def describe_shares(labels: list[str], is_monthly: bool, uncorrected: float, language: Language) -> str:
    """Say what the chart of shares shows, and how many visits it leaves out."""
    names = language.labels(tuple(labels))
    text = language.gettext(
        "Share of {labels} among the recognised visits per day, corrected, with 90 % intervals.", labels=names
    )
    if is_monthly:
        text = language.gettext(
            "Share of {labels} among the recognised visits per month, corrected, with 90 % intervals.", labels=names
        )
    return text if not uncorrected else f"{text} {left_out(uncorrected, language)}"


def left_out(visits: float, language: Language) -> str:
    """Say how many visits have no corrected share."""
    return language.gettext(
        "{visits} visits are left out: no device reports the matrix of their model.", visits=language.number(visits)
    )


def describe_comparison(both: pd.DataFrame, names: tuple[str, str], language: Language) -> str:
    """Say in one sentence what changed, from `collector.analysis.correction.compare`."""
    changed = []
    for label, change in both["change"].items():
        if change in ("more", "less"):
            text = {"more": mark("more {label}"), "less": mark("less {label}")}[change]
            changed.append(language.gettext(text, label=language.label(str(label))))
    values = {"one": names[0], "other": names[1], "changes": ", ".join(changed)}
    if not changed:
        return language.gettext("No clear change in any share between {one} and {other}.", **values)
    if len(changed) == len(both):
        return language.gettext("{other}, compared with {one}: {changes}.", **values)
    return language.gettext("{other}, compared with {one}: {changes}; no clear change in the others.", **values)


def _visits(table: pd.DataFrame, visits: str, mix: pd.DataFrame | None, language: Language) -> str:
    """Say how many visits there were, and name the most frequent label with its share as in the table of totals."""
    if not table[VISITS].sum() > 0:
        return language.gettext("{visits} visits", visits=visits) + "."
    most = str(table[label_columns(table)].sum().idxmax())
    label = language.label(most)
    if mix is None or most not in mix.index:
        return language.gettext("{visits} visits, most often {label}.", visits=visits, label=label)
    return language.gettext(
        "{visits} visits, most often {label} ({share} of the recognised visits).",
        visits=visits, label=label, share=corrected_share(mix.loc[most], language),
    )  # fmt: skip
