"""The page before it has data: controls, places for the first screen, and an empty place for the sections below."""

from zoneinfo import available_timezones

from dash import dcc, html
from msgspec.structs import asdict

from collector.page.parts import Options, checklist, date, named, placeholder, radio, select
from collector.page.selection import COMPARISONS, PARAMETERS, PERIODS, ControlValues

REFRESH_S = 5
THEMES = {"system": "System setting", "light": "Light", "dark": "Dark"}
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


def layout(sites: Options, zone: str, *, login: bool = False) -> html.Div:
    """Return the page, with ``zone`` selected; with a button that ends the session if it has a ``login``."""
    values = asdict(ControlValues()) | {"zone": zone}
    defaults = {parameter: values[field] for parameter, field in PARAMETERS.items()}
    return html.Div(
        [
            html.A("Skip to the figures", href="#figures", className="skip"),
            html.Header(
                [
                    _title(),
                    radio("theme", "Colours", THEMES, "system", persistence=True),
                    *([html.Form(html.Button("Log out"), action="/logout", method="post")] if login else []),
                ]
            ),
            html.Main(
                [
                    html.Section(id="banner", role="region", **named("What needs attention")),
                    _controls(sites, zone),
                    html.Div(id="notice"),
                    html.Section(id="figures", tabIndex="-1", **named("Figures of this period")),
                    html.Section(id="receipt-panel", role="region", **named("How a figure was found")),
                    html.Section([html.H2("Sites"), placeholder("ranking", "Sites ranked")]),
                    html.Div(id="below"),
                ]
            ),
            dcc.Interval(id="tick", interval=REFRESH_S * 1000),
            dcc.Store(id="fresh"),
            dcc.Store(id="defaults", data=defaults),
            dcc.Store(id="address"),
            dcc.Store(id="in-view", data=False),
            dcc.Store(id="sort", data=ControlValues().sort),
            dcc.Store(id="receipt", data=""),
            dcc.Download(id="file"),
        ]
    )


def _title() -> html.Div:
    text = "Visits by apparent expression, counted on the devices. Images never leave the devices."
    return html.Div([html.H1("facetally"), html.P(text)])


def _controls(sites: Options, zone: str) -> html.Section:
    zones: Options = [{"label": name, "value": name} for name in sorted(available_timezones())]
    defaults = ControlValues()
    periods = [{"label": text, "value": key} for key, text in PERIODS.items()]
    comparisons = [{"label": text, "value": key} for key, text in COMPARISONS.items()]
    return html.Section(
        [
            html.Details(
                [
                    html.Summary("All sites", id="sites-chosen"),
                    checklist("sites", "Sites (none checked: all)", sites),
                ],
                className="sites",
            ),
            select("days", "Period", periods, defaults.days),
            date("first", "First day"),
            date("last", "Last day"),
            select("against", "Compare with", comparisons, defaults.against),
            select("other", "Other site", [{"label": "all sites", "value": ""}, *sites], "", className="other"),
            html.Details(
                [
                    html.Summary("More choices"),
                    html.Div(
                        [
                            select("label", "Share of", [{"label": "happiness", "value": ""}], ""),
                            radio("by", "Charts per", {"hour": "hour", "day": "day"}, defaults.by),
                            select("set", "Labels", [{"label": "those with the most visits", "value": ""}], ""),
                            select("zone", "Time zone", zones, zone),
                            checklist("labels", "Expressions in the chart of shares (none: the most frequent)", []),
                        ],
                        className="controls",
                    ),
                ],
                className="more",
            ),
        ],
        className="controls",
        **named("What to show"),
    )
