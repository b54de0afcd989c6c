"""The four figures of the first screen as tiles: the value, the change, and whether it is clear."""

from typing import Any

from dash import html

from collector.analysis.headline import Headline
from collector.language.language import Language
from collector.page.controls.parts import text_button
from collector.page.controls.selection import Selection
from collector.sentences.figures import FigureWords, figure_words
from collector.sentences.period import compared_with


def tiles(found: Headline, selection: Selection, language: Language) -> list[Any]:
    """Return the tiles, and what the changes are compared with."""
    return [
        html.Div([_tile(words, language) for words in figure_words(found, language)], className="tiles"),
        html.P(compared_with(selection, language), className="soft", id="compared-with"),
    ]


def _tile(words: FigureWords, language: Language) -> html.Div:
    button = text_button(language.gettext("How was this found?"), receipt=words.name)
    value: list[Any] = [words.value] if words.value else []
    if words.interval:
        value.append(html.Small(f" {words.interval}"))
    change: list[Any] = [words.before]
    if words.change:
        change = [html.Strong(words.change), f" {words.before}", html.Br(), words.significance]
    return html.Div(
        [html.H2(words.title), html.P(value, className="value", id=f"tile-{words.name}"), html.P(change), button],
        className="tile",
    )
