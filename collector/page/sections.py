"""The sections below the first screen: charts, devices, downloads, explanations. They are sent when they are in view.

plotly, which draws the charts, is several times larger than the rest of the page, and is loaded with them.
"""

from typing import Any

from dash import dcc, html

from collector.language.language import Language
from collector.page.downloads import FORMATS
from collector.page.figures import text_figure
from collector.page.parts import named, placeholder, select

GRAPH: dict[str, Any] = {"config": {"displayModeBar": False, "responsive": True}, "figure": text_figure("")}
TALL, LOW = "24rem", "20rem"


def sections(language: Language) -> list[Any]:
    """Return the sections, in order."""
    gettext = language.gettext
    visits = html.Section([html.H2(gettext("Visits over time")), *_chart("trend", language)])
    totals = html.Section([html.H2(gettext("Expression mix")), placeholder("totals", gettext("Visits and shares"))])
    live = html.Section(
        [html.H2(gettext("Last hour")), *_chart("live", language), html.P(id="as-of", className="soft", role="status")]
    )
    heat = html.Section(
        [
            html.H2(gettext("Busiest hours of the week")),
            select("heat-of", gettext("Expression"), [{"label": gettext("all"), "value": "visits"}], "visits"),
            *_chart("heat", language, LOW),
        ]
    )
    shares = html.Section([html.H2(gettext("Share of each expression over time")), *_chart("shares", language)])
    comparison = html.Section(
        [
            html.H2(gettext("Shares compared")),
            *_chart("comparison", language, LOW, gettext("Both as a table, with 90 % intervals")),
        ]
    )
    group = select("group", gettext("Group"), [{"label": gettext("all"), "value": ""}], "")
    scrolls: dict[str, Any] = {"className": "devices", "tabIndex": "0", "role": "region", **named(gettext("Fleet"))}
    state = html.Section([html.H2(gettext("Fleet")), html.Div(group, id="groups"), html.Div(id="devices", **scrolls)])
    return [
        html.Div([visits, totals], className="side"),
        shares,
        html.Div([heat, comparison], className="half"),
        live,
        state,
        html.Section([html.H2(gettext("Download")), *_downloads(language)], className="screen-only"),
        html.Section(_explanation(language), className="soft"),
    ]


def _downloads(language: Language) -> list[Any]:
    text = language.gettext(
        "Visits over time for the sites, period and time zone selected above. The Excel file also has the shares."
    )
    buttons = [html.Button(name, id=f"as-{kind}", type="button") for kind, name in FORMATS.items()]
    return [html.P(text), *buttons]


def _explanation(language: Language) -> list[Any]:
    """Return what the numbers mean and how far they can be trusted."""
    gettext = language.gettext
    return [
        html.H2(gettext("How to read this page")),
        html.P(
            gettext(
                "An apparent expression is a model's guess from a face. It does not say what a person feels. The"
                " model confuses some expressions with others. How often it does was measured, and the shares are"
                " corrected for it. Each share has a 90 % interval: about ninety of a hundred such intervals contain"
                " the true share. A change is called clear where random variation alone would show it once in a"
                " hundred times. Otherwise it may be due to the small number of visits or to the model's confusions."
            )
        ),
        html.P(
            gettext(
                "A visit is not a person. A person who comes back, or is lost from view and seen again, counts as"
                " two visits. A range such as 41 (38 to 45) appears where the device could not always tell one visit"
                " from two: 41 were counted, and there may have been 38 to 45."
            )
        ),
        html.P(
            gettext(
                "Numbers of visits are compared camera by camera at equal watched time, with days as the units, so"
                " that a camera that was off for a day does not look like fewer visitors. Models with different"
                " labels have no common total: the page shows one label set at a time."
            )
        ),
        html.P(
            gettext(
                "A grey area or a broken line means that no data arrived. Zero visits while the cameras watched"
                " means that nobody came. The lower strip shows how much of the time the cameras watched. Its brown"
                " part is time in which a device reported a poor view, for example because it was too dark. Counts"
                " from a device whose clock was never set appear in the totals only."
            )
        ),
    ]


def _chart(name: str, language: Language, height: str = TALL, table: str = "") -> list[Any]:
    """Return a chart, its description and its table. Screen readers read the description as the chart's name."""
    table = table or language.gettext("Show as a table")
    return [
        html.Figure([html.Div(dcc.Graph(id=name, style={"height": height}, **GRAPH), id=f"{name}-chart", role="img")]),
        html.P(id=f"{name}-words", className="soft"),
        html.Details([html.Summary(table), placeholder(f"{name}-table", table)]),
    ]
