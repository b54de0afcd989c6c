"""The page before it has data: controls, places for the first screen, and an empty place for the sections below."""

from functools import cache
from typing import Any
from zoneinfo import available_timezones

from dash import dcc, html
from msgspec.structs import asdict

from collector.language.catalogue import codes, mark
from collector.language.language import Language, language
from collector.page.controls.parts import Options, checklist, date, named, placeholder, radio, select
from collector.page.controls.selection import COMPARISONS, PARAMETERS, PERIODS, ControlValues

REFRESH_S = 5
THEMES = {"system": mark("System setting"), "light": mark("Light"), "dark": mark("Dark")}
HTML = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
{%favicon%}
{%css%}
</head>
<body>
{%app_entry%}
<footer>
{%config%}
{%scripts%}
{%renderer%}
</footer>
</body>
</html>
"""


def layout(sites: Options, zone: str, words: Language, *, login: bool = False) -> html.Div:
    """Return the page in a language, with ``zone`` selected; with a button that ends the session if it has a
    ``login``."""
    gettext = words.gettext
    values = asdict(ControlValues()) | {"zone": zone, "lang": words.code}
    defaults = {parameter: values[field] for parameter, field in PARAMETERS.items()}
    return html.Div(
        [
            html.A(gettext("Skip to the figures"), href="#figures", className="skip"),
            _header(words, login),
            html.Main(
                [
                    html.Section(id="banner", role="region", **named(gettext("What needs attention"))),
                    _controls(sites, zone, words),
                    html.Div(id="notice"),
                    html.Section(id="figures", tabIndex="-1", **named(gettext("Figures of this period"))),
                    html.Section(id="receipt-panel", role="region", **named(gettext("How a figure was found"))),
                    html.Section([html.H2(gettext("Sites")), placeholder("ranking", gettext("Sites ranked"))]),
                    html.Div(id="below"),
                ]
            ),
            dcc.Interval(id="tick", interval=REFRESH_S * 1000),
            dcc.Store(id="fresh"),
            dcc.Store(id="defaults", data=defaults),
            dcc.Store(id="words", data={"all": gettext("All sites"), "many": gettext("{number} sites", number="#")}),
            dcc.Store(id="address"),
            dcc.Store(id="in-view", data=False),
            dcc.Store(id="sort", data=ControlValues().sort),
            dcc.Store(id="receipt", data=""),
            dcc.Download(id="file"),
        ]
    )


@cache
def _zone_names() -> tuple[str, ...]:
    """Return the names of all time zones; finding them reads hundreds of files."""
    return tuple(sorted(available_timezones()))


def _header(words: Language, login: bool) -> html.Header:
    text = words.gettext("Visits by apparent expression, counted on the devices. Images never leave the devices.")
    themes = {key: words.gettext(name) for key, name in THEMES.items()}
    languages: Options = [{"label": language(code).name, "value": code} for code in codes()]
    return html.Header(
        [
            html.Div([html.H1("facetally"), html.P(text)]),
            select("lang", words.gettext("Language"), languages, words.code, className="screen-only"),
            radio("theme", words.gettext("Colours"), themes, "system", persistence=True),
            *([html.Form(html.Button(words.gettext("Log out")), action="/logout", method="post")] if login else []),
        ]
    )


def _controls(sites: Options, zone: str, words: Language) -> html.Section:
    gettext, defaults = words.gettext, ControlValues()
    periods = [{"label": gettext(text), "value": key} for key, text in PERIODS.items()]
    comparisons = [{"label": gettext(text), "value": key} for key, text in COMPARISONS.items()]
    others = [{"label": gettext("all sites"), "value": ""}, *sites]
    return html.Section(
        [
            html.Details(
                [
                    html.Summary(gettext("All sites"), id="sites-chosen"),
                    checklist("sites", gettext("Sites (none checked: all)"), sites),
                ],
                className="sites",
            ),
            select("days", gettext("Period"), periods, defaults.days),
            date("first", gettext("First day")),
            date("last", gettext("Last day")),
            select("against", gettext("Compare with"), comparisons, defaults.against),
            select("other", gettext("Other site"), others, "", className="other"),
            html.Details(
                [
                    html.Summary(gettext("More choices")),
                    html.Div(_more_controls(zone, words), className="controls"),
                ],
                className="more",
            ),
        ],
        className="controls",
        **named(gettext("What to show")),
    )


def _more_controls(zone: str, words: Language) -> list[Any]:
    gettext = words.gettext
    zones: Options = [{"label": name, "value": name} for name in _zone_names()]
    steps = {"hour": gettext("hour"), "day": gettext("day")}
    return [
        select("label", gettext("Share of"), [{"label": words.label("happiness"), "value": ""}], ""),
        radio("by", gettext("Charts per"), steps, ControlValues().by),
        select("set", gettext("Labels"), [{"label": gettext("those with the most visits"), "value": ""}], ""),
        select("zone", gettext("Time zone"), zones, zone),
        checklist("labels", gettext("Expressions in the chart of shares (none: the most frequent)"), []),
    ]
