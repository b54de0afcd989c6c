"""The sections below the first screen: charts, devices, downloads, explanations. They are sent when they are in view.

plotly, which draws the charts, is several times larger than the rest of the page, and is loaded with them.
"""

from typing import Any

from dash import dcc, html

from collector.language.language import Language
from collector.page.controls.parts import named, placeholder, select
from collector.page.sections.chart_locale import chart_locale
from collector.page.sections.downloads import FORMATS
from collector.page.sections.figures import text_figure
from collector.sentences.explanations import explanations

TALL, LOW = "24rem", "20rem"


def sections(language: Language) -> list[Any]:
    """Return the sections, in order."""
    gettext = language.gettext
    visits = html.Section(_chart("trend", gettext("Visits over time"), language))
    totals = html.Section([html.H2(gettext("Expression mix")), placeholder("totals", gettext("Visits and shares"))])
    as_of = html.P(id="as-of", className="soft", role="status")
    live = html.Section([*_chart("live", gettext("Last hour"), language), as_of])
    labels = [{"label": gettext("all"), "value": "visits"}]
    title, chart, *rest = _chart("heat", gettext("Busiest hours of the week"), language, LOW)
    heat = html.Section([title, select("heat-of", gettext("Expression"), labels, "visits"), chart, *rest])
    shares = html.Section(_chart("shares", gettext("Share of each expression over time"), language))
    both = gettext("Both as a table, with 90 % intervals")
    comparison = html.Section(_chart("comparison", gettext("Shares compared"), language, LOW, both))
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
    gaps = language.gettext(
        "A grey area or a broken line means that no data arrived. Zero visits while the cameras watched means that"
        " nobody came. The lower strip shows how much of the time the cameras watched. Its brown part is time in which"
        " a device reported a poor view, for example because it was too dark. Counts from a device whose clock was"
        " never set appear in the totals only."
    )
    title = html.H2(language.gettext("How to read this page"))
    return [title, *(html.P(text) for text in [*explanations(language), gaps])]


def _chart(name: str, title: str, language: Language, height: str = TALL, table: str = "") -> list[Any]:
    """Return a title, a chart, its description and its table. Screen readers read the description as the chart's
    name, and the title until the chart is drawn."""
    config: Any = {"displayModeBar": False, "responsive": True, **chart_locale(language)}
    role: dict[str, Any] = {"role": "img", **named(title)}
    graph = dcc.Graph(id=name, style={"height": height}, config=config, figure=text_figure(""))
    return [
        html.H2(title),
        html.Figure([html.Div(graph, id=f"{name}-chart", **role)]),
        html.P(id=f"{name}-words", className="soft"),
        html.Details([html.Summary(table or language.gettext("Show as a table")), placeholder(f"{name}-table", title)]),
    ]
