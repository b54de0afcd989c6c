"""Sentences below the charts of a report."""

from typing import cast

import pandas as pd

from collector.analysis.correction import HALF_A_VISIT
from collector.language.language import Language
from collector.report.contents import Contents
from collector.sentences.charts import not_drawn
from collector.sentences.figures import visits_with_doubt


def describe_days(contents: Contents, language: Language) -> str:
    """Say how many visits the days have, which has most, and how many are without data."""
    days, visits = contents.days, contents.headline.visits
    if not (days["windows"] > 0).any():
        return language.gettext("No data arrived in this period.")
    number = visits_with_doubt(visits.value, visits.low, visits.high, language)
    text = language.gettext("{visits} visits", visits=number)
    if days["visits"].sum() > 0:
        best = cast(pd.Timestamp, days["visits"].idxmax())
        most = language.number(float(days["visits"].max()))
        text += ", " + language.gettext(
            "most on {weekday} {date} ({visits})",
            weekday=language.weekday(best.day_of_week), date=language.date(best.date()), visits=most,
        )  # fmt: skip
    empty = int((days["windows"] == 0).sum())
    if empty:
        without = language.ngettext("{number} day is without data", "{number} days are without data", empty)
        text += f"; {without}"
    if contents.receipt.without_time >= HALF_A_VISIT:
        text += f"; {not_drawn(contents.receipt.without_time, language)}"
    return f"{text}. " + language.gettext(
        "A grey area means that no data arrived. The strip below shows how much of the time cameras watched."
    )


def describe_mix(language: Language) -> str:
    """Say what the shares are of."""
    return language.gettext(
        "Visits as counted; shares of the recognised visits, corrected, with 90 % intervals; changes against the"
        " compared period."
    )
