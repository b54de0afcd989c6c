"""How charts write numbers and dates: the locale of a language in the form that plotly.js reads."""

from typing import Any

from babel.dates import get_day_names, get_month_names

from collector.language.language import Language

FIELDS = {"d": "%-d", "M": "%-m", "MM": "%m", "MMM": "%b", "LLL": "%b", "MMMM": "%B", "LLLL": "%B", "y": "%Y"}
"""Field of a date in a locale (Unicode CLDR): the same for D3, which plotly.js formats with."""
SHAPES = {"dayMonth": "MMMd", "dayMonthYear": "yMMMd", "month": "yMMM"}
"""Format of plotly.js: skeleton of CLDR."""


def chart_locale(language: Language) -> dict[str, Any]:
    """Return the part of a chart's ``config`` that sets its locale: names of days and months, order, decimal sign."""
    locale = language.locale
    symbols = locale.number_symbols["latn"]
    texts = {
        "days": [get_day_names("wide", "stand-alone", locale)[day] for day in (6, *range(6))],
        "shortDays": [get_day_names("abbreviated", "stand-alone", locale)[day] for day in (6, *range(6))],
        "months": list(get_month_names("wide", locale=locale).values()),
        "shortMonths": list(get_month_names("abbreviated", locale=locale).values()),
        "decimal": symbols["decimal"],
        "thousands": symbols["group"],
    }
    dates = {name: locale.datetime_skeletons[skeleton].format % FIELDS for name, skeleton in SHAPES.items()}
    name = str(locale).replace("_", "-")
    return {"locale": name, "locales": {name: {"dictionary": {}, "format": texts | dates}}}
