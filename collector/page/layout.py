"""Sites and zones that can be chosen -> the page before it is filled: controls, places for charts, explanations."""

from typing import Any
from zoneinfo import available_timezones

import dash_bootstrap_components as dbc
from dash import dcc, html

from collector.page.choice import ALL, RANGES
from collector.page.choice import Asked as Defaults
from collector.page.figures import message
from collector.page.files import KINDS

LIVE_EVERY_S = 5
THEMES = {"system": "as the system", "light": "light", "dark": "dark"}
COMPARED = {"before": "the range before", "site": "another site"}
GRAPH: dict[str, Any] = {"config": {"displayModeBar": False, "responsive": True}, "figure": message("")}
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
    """The whole page; ``zone`` is the one chosen at first."""
    return html.Div(
        [
            html.A("Skip to the charts", href="#charts", className="skip"),
            html.Header([_title(), _theme()]),
            html.Main([_controls(sites, zone), *_charts(sites), html.Section(_reading(), className="soft")]),
            dcc.Interval(id="tick", interval=LIVE_EVERY_S * 1000),
            dcc.Store(id="fresh"),
            dcc.Download(id="file"),
        ]
    )


def _title() -> html.Div:
    what = "Visits by apparent expression, counted on the devices. No pictures leave them."
    return html.Div([html.H1("facetally"), html.P(what)])


def _theme() -> html.Fieldset:
    return _radio("theme", "Colours", THEMES, "system", persistence=True)


def _controls(sites: Options, zone: str) -> html.Section:
    zones: Options = [{"label": name, "value": name} for name in sorted(available_timezones())]
    chosen = Defaults()
    return html.Section(
        [
            _select("site", "Site", sites, ALL),
            _radio("days", "Range", RANGES, chosen.days),
            *(
                html.Div(
                    [
                        html.Label(says, htmlFor=name, className="label"),
                        dbc.Input(id=name, type="date"),
                    ],
                    className="dates",
                )
                for name, says in (("first", "First day"), ("last", "Last day"))
            ),
            _radio("by", "Bars by", {"hour": "hour", "day": "day"}, chosen.by),
            _select("zone", "Time zone", zones, zone),
        ],
        className="controls",
        **_named("What is shown"),
    )


def _charts(sites: Options) -> list[Any]:
    live = html.Section(
        [html.H2("The last hour"), *_chart("live"), html.P(id="as-of", className="soft", role="status")]
    )
    visits = html.Section([html.H2("Visits over time"), *_chart("trend")], id="charts", tabIndex="-1")
    shares = html.Section(
        [
            html.H2("Shares over time"),
            html.Fieldset(
                [
                    html.Legend("Expressions (none chosen: the three most often seen)", className="label"),
                    dbc.Checklist([], [], id="labels", inline=True),
                ]
            ),
            *_chart("shares"),
        ]
    )
    totals = html.Section([html.H2("In this range"), _place("totals", "Visits and shares")])
    heat = html.Section(
        [
            html.H2("Hour by weekday"),
            _select("heat-of", "Visits of", [{"label": "all", "value": "visits"}], "visits"),
            *_chart("heat", LOW),
        ]
    )
    download = html.Section([html.H2("Download what is shown"), *_downloads()])
    state = html.Section([html.H2("Sites and devices"), _place("sites", "Sites"), _place("devices", "Devices")])
    return [
        live,
        html.Div([visits, totals], className="side"),
        shares,
        html.Div([heat, _comparison(sites)], className="half"),
        state,
        download,
    ]


def _comparison(sites: Options) -> html.Section:
    return html.Section(
        [
            html.H2("Compare"),
            html.Div(
                [
                    _radio("against", "This range with", COMPARED, "before"),
                    _select("other", "Other site", sites, ALL, className="other"),
                ],
                className="controls",
            ),
            *_chart("comparison", LOW, "Both, with 90 % intervals"),
        ]
    )


def _downloads() -> list[Any]:
    says = "Visits over time of the site, range and zone chosen above; Excel has the shares and their intervals too."
    return [html.P(says), *(html.Button(name, id=f"as-{kind}", type="button") for kind, name in KINDS.items())]


def _reading() -> list[Any]:
    """How much to believe."""
    return [
        html.H2("How to read this"),
        html.P(
            "An apparent expression is a model's guess from a face, not what anybody feels. The model confuses"
            " expressions, so shares are corrected by how it confused those of faces whose answer is known, and have a"
            " 90 % interval: of a hundred such intervals some ninety hold the true share. Where two overlap, the page"
            " says “no clear change”, because chance and the model's confusions could have made the difference."
        ),
        html.P("A track is not a person. Somebody who looks twice is two visits."),
        html.P(
            "Grey, or a broken line: no window came, so nobody knows. Zero with a share watched: nobody came. The lower"
            " strip is the share of time that cameras were really looked at; the brown part of it is where"
            " a device said it saw badly. Windows of a clock that was never set count in the totals only."
        ),
    ]


def _chart(name: str, height: str = TALL, table: str = "As a table") -> list[Any]:
    """A chart, what it says in words, and the same as a table. The words are the chart's name for those who hear it."""
    return [
        html.Figure([html.Div(dcc.Graph(id=name, style={"height": height}, **GRAPH), id=f"{name}-chart", role="img")]),
        html.P(id=f"{name}-words", className="soft"),
        html.Details([html.Summary(table), _place(f"{name}-table", table)]),
    ]


def _place(name: str, says: str) -> html.Div:
    """Where a table goes: wide ones are scrolled within, by keyboard too."""
    return html.Div(id=name, className="scroll", tabIndex="0", role="region", **_named(says))


def _named(says: str) -> dict[str, Any]:
    """What a screen reader calls a part of the page."""
    return {"aria-label": says}


def _radio(name: str, says: str, options: dict[str, str], value: str, **more: Any) -> html.Fieldset:
    choices = [{"label": text, "value": key} for key, text in options.items()]
    radio = dbc.RadioItems(choices, value, id=name, inline=True, **more)
    return html.Fieldset([html.Legend(says, className="label"), radio])


def _select(name: str, says: str, options: Options, value: str, **more: Any) -> html.Div:
    return html.Div([html.Label(says, htmlFor=name, className="label"), dbc.Select(options, value, id=name)], **more)
