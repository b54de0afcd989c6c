"""The page before it has data: controls, placeholders for charts and tables, explanations."""

from typing import Any
from zoneinfo import available_timezones

import dash_bootstrap_components as dbc
from dash import dcc, html

from collector.page.downloads import FORMATS
from collector.page.figures import text_figure
from collector.page.selection import ALL_SITES, PERIODS, ControlValues

REFRESH_S = 5
THEMES = {"system": "System setting", "light": "Light", "dark": "Dark"}
COMPARE_WITH = {"before": "the previous period", "site": "another site"}
GRAPH: dict[str, Any] = {"config": {"displayModeBar": False, "responsive": True}, "figure": text_figure("")}
TALL, LOW = "24rem", "20rem"
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

Options = list[dict[str, str]]


def layout(sites: Options, zone: str) -> html.Div:
    """Return the whole page, with ``zone`` selected."""
    return html.Div(
        [
            html.A("Skip to the charts", href="#charts", className="skip"),
            html.Header([_title(), _theme()]),
            html.Main([_controls(sites, zone), *_sections(sites), html.Section(_explanation(), className="soft")]),
            dcc.Interval(id="tick", interval=REFRESH_S * 1000),
            dcc.Store(id="fresh"),
            dcc.Download(id="file"),
        ]
    )


def _title() -> html.Div:
    text = "Visits by apparent expression, counted on the devices. Images never leave the devices."
    return html.Div([html.H1("facetally"), html.P(text)])


def _theme() -> html.Fieldset:
    return _radio("theme", "Colours", THEMES, "system", persistence=True)


def _controls(sites: Options, zone: str) -> html.Section:
    zones: Options = [{"label": name, "value": name} for name in sorted(available_timezones())]
    defaults = ControlValues()
    return html.Section(
        [
            _select("site", "Site", sites, ALL_SITES),
            _radio("days", "Period", PERIODS, defaults.days),
            _date("first", "First day"),
            _date("last", "Last day"),
            _radio("by", "Show per", {"hour": "hour", "day": "day"}, defaults.by),
            _select("zone", "Time zone", zones, zone),
        ],
        className="controls",
        **_named("What to show"),
    )


def _sections(sites: Options) -> list[Any]:
    """Return the sections with charts and tables, in order."""
    live = html.Section([html.H2("Last hour"), *_chart("live"), html.P(id="as-of", className="soft", role="status")])
    visits = html.Section([html.H2("Visits over time"), *_chart("trend")], id="charts", tabIndex="-1")
    totals = html.Section([html.H2("Totals for this period"), _placeholder("totals", "Visits and shares")])
    heat = html.Section(
        [
            html.H2("Busiest hours of the week"),
            _select("heat-of", "Expression", [{"label": "all", "value": "visits"}], "visits"),
            *_chart("heat", LOW),
        ]
    )
    state = html.Section(
        [html.H2("Sites and devices"), _placeholder("sites", "Sites"), _placeholder("devices", "Devices")]
    )
    return [
        live,
        html.Div([visits, totals], className="side"),
        _shares(),
        html.Div([heat, _comparison(sites)], className="half"),
        state,
        html.Section([html.H2("Download"), *_downloads()]),
    ]


def _shares() -> html.Section:
    return html.Section(
        [
            html.H2("Share of each expression over time"),
            html.Fieldset(
                [
                    html.Legend("Expressions to show (none selected: the three most frequent)", className="label"),
                    dbc.Checklist([], [], id="labels", inline=True),
                ]
            ),
            *_chart("shares"),
        ]
    )


def _comparison(sites: Options) -> html.Section:
    return html.Section(
        [
            html.H2("Compare"),
            html.Div(
                [
                    _radio("against", "Compare this period with", COMPARE_WITH, "before"),
                    _select("other", "Other site", sites, ALL_SITES, className="other"),
                ],
                className="controls",
            ),
            *_chart("comparison", LOW, "Both as a table, with 90 % intervals"),
        ]
    )


def _downloads() -> list[Any]:
    text = "Visits over time for the site, period and time zone selected above. The Excel file also has the shares."
    buttons = [html.Button(name, id=f"as-{kind}", type="button") for kind, name in FORMATS.items()]
    return [html.P(text), *buttons]


def _explanation() -> list[Any]:
    """Return what the numbers mean and how far they can be trusted."""
    return [
        html.H2("How to read this page"),
        html.P(
            "An apparent expression is a model's guess from a face. It does not say what a person feels. The model"
            " confuses some expressions with others. How often it does was measured, and the shares are corrected for"
            " it. Each share has a 90 % interval: about ninety of a hundred such intervals contain the true share."
            " Where two intervals overlap, the page says “no clear change”: the difference may be due to the small"
            " number of visits or to the model's confusions."
        ),
        html.P(
            "A visit is not a person. A person who comes back, or is lost from view and seen again, counts as two"
            " visits. A range such as 41 (38 to 45) appears where the device could not always tell one visit from two:"
            " 41 were counted, and there may have been 38 to 45."
        ),
        html.P(
            "A grey area or a broken line means that no data arrived. Zero visits while the cameras watched means that"
            " nobody came. The lower strip shows how much of the time the cameras watched. Its brown part is time in"
            " which a device reported a poor view, for example because it was too dark. Counts from a device whose"
            " clock was never set appear in the totals only."
        ),
    ]


def _chart(name: str, height: str = TALL, table: str = "Show as a table") -> list[Any]:
    """Return a chart, its description and its table. Screen readers read the description as the chart's name."""
    return [
        html.Figure([html.Div(dcc.Graph(id=name, style={"height": height}, **GRAPH), id=f"{name}-chart", role="img")]),
        html.P(id=f"{name}-words", className="soft"),
        html.Details([html.Summary(table), _placeholder(f"{name}-table", table)]),
    ]


def _placeholder(name: str, label: str) -> html.Div:
    """Return where a table goes. Wide tables scroll inside it, by keyboard too."""
    return html.Div(id=name, className="scroll", tabIndex="0", role="region", **_named(label))


def _named(label: str) -> dict[str, Any]:
    """Return the name of a part of the page for screen readers."""
    return {"aria-label": label}


def _date(name: str, label: str) -> html.Div:
    field = dbc.Input(id=name, type="date")
    return html.Div([html.Label(label, htmlFor=name, className="label"), field], className="dates")


def _radio(name: str, label: str, options: dict[str, str], value: str, **more: Any) -> html.Fieldset:
    choices = [{"label": text, "value": key} for key, text in options.items()]
    radio = dbc.RadioItems(choices, value, id=name, inline=True, **more)
    return html.Fieldset([html.Legend(label, className="label"), radio])


def _select(name: str, label: str, options: Options, value: str, **more: Any) -> html.Div:
    return html.Div([html.Label(label, htmlFor=name, className="label"), dbc.Select(options, value, id=name)], **more)
