"""The receipt of a figure on the page: how it was found, what may be missing, and the query that gives it again."""

from typing import Any

from dash import html

from collector.analysis.headline import Headline
from collector.analysis.label_sets import LabelSet
from collector.analysis.receipt import Receipt
from collector.language.language import Language
from collector.page.controls.api_address import api_address
from collector.page.controls.parts import text_button
from collector.page.controls.selection import Selection
from collector.sentences.figures import expression
from collector.sentences.period import shown
from collector.sentences.receipt import TITLES, Entry, figure_entries, receipt_entries


def receipt_panel(
    figure: str, found: Receipt, headline: Headline, selection: Selection, sets: list[LabelSet], language: Language
) -> html.Div:
    """Return the receipt of one of the figures of the first screen."""
    gettext = language.gettext
    link = api_address(selection, figure, sets[0] if sets else None)
    entries = [
        *figure_entries(figure, headline, selection, language),
        Entry(gettext("Of"), (shown(selection, language),)),
        *receipt_entries(found, headline, sets, language, correction=figure == "share"),
    ]
    rows = [each for entry in entries for each in (html.Dt(entry.name), html.Dd(_value(entry)))]
    same = gettext("The same figure from the HTTP API")
    query = [html.Dt(same), html.Dd(html.A(link, href=link, id="receipt-query"))]
    title = gettext(
        "How was this found: {figure}", figure=gettext(TITLES[figure], label=expression(headline.label, language))
    )
    head = html.Div([html.H2(title), text_button(gettext("Close"), receipt="")], className="head")
    return html.Div([head, html.Dl([*rows, *query])], className="receipt")


def _value(entry: Entry) -> Any:
    return entry.texts[0] if len(entry.texts) == 1 else html.Ul([html.Li(text) for text in entry.texts])
