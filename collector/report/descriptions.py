"""Sentences below the charts of a report."""

from typing import cast

import numpy as np
import pandas as pd

from collector.analysis.query import MIN_RATE_S, rates_of_label
from collector.language.language import Language
from collector.report.contents import Contents
from collector.sentences.figures import visits_with_doubt

HALF_A_VISIT = 0.5


def describe_days(contents: Contents, language: Language) -> str:
    """Say how many visits the days have, which has most, and how many are without data."""
    days, visits = contents.days, contents.headline.visits
    if not (days["windows"] > 0).any():
        return language.gettext("No data arrived in this period.")
    number = visits_with_doubt(visits.value, visits.value - visits.low, visits.high - visits.value, language)
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
    if contents.without_time >= HALF_A_VISIT:
        untimed = language.number(contents.without_time)
        text += "; " + language.gettext("{visits} more have no known time and are not drawn", visits=untimed)
    return f"{text}. " + language.gettext(
        "A grey area means that no data arrived. The strip below shows how much of the time cameras watched."
    )


def describe_heat(contents: Contents, language: Language) -> str:
    """Say when most visits were, and which hours are shown."""
    hours = contents.hours
    cells = rates_of_label(contents.rates, "visits")[list(hours)]
    values = cells.to_numpy(np.float64)
    if np.isnan(values).all():
        return language.gettext(
            "Cameras watched no hour of the week for {minutes} minutes.", minutes=round(MIN_RATE_S / 60)
        )
    day, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
    return language.gettext(
        "Visits per hour watched by one camera. Busiest: {weekday} from {hour}:00 with {rate}. Hours {first} to {last}"
        " are shown: almost no visit was in others.",
        weekday=language.weekday(int(day)), hour=f"{hours[int(column)]:02}",
        rate=language.number(float(np.nanmax(values)), 1), first=f"{hours[0]:02}", last=f"{hours[-1] + 1:02}",
    )  # fmt: skip


def describe_mix(language: Language) -> str:
    """Say what the shares are of."""
    return language.gettext(
        "Visits as counted; shares of the recognised visits, corrected, with 90 % intervals; changes against the"
        " compared period."
    )


def explanations(language: Language) -> list[str]:
    """Return what the numbers mean and how far they can be trusted."""
    return [
        language.gettext(
            "An apparent expression is a model's guess from a face. It does not say what a person feels. The model"
            " confuses some expressions with others. How often it does was measured, and the shares are corrected for"
            " it. About ninety of a hundred 90 % intervals contain the true share."
        ),
        language.gettext(
            "A visit is not a person. A person who comes back, or is lost from view and seen again, counts as two"
            " visits. A range such as 41 (38 to 45) appears where the device could not always tell one visit from two."
        ),
        language.gettext(
            "Changes of visits are judged camera by camera at equal watched time, with days as the units, so that a"
            " camera that was off for a day does not look like fewer visitors."
        ),
    ]
