"""The banner at the top of the page: what needs a person, for all sites. It is never hidden and never scrolls."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from dash import html

from collector.devices.attention import Concern
from collector.language.language import Language
from collector.sentences.attention import ConcernGroup, attention_summary, concern_groups
from collector.sentences.damages import damage_texts
from collector.store.damage import Damage

MAX_UNREADABLE = 3
"""Folders and files of the store that are named; the section of the fleet names all."""


def banner(found: Sequence[Concern], devices: int, damages: Sequence[Damage], language: Language) -> Any:
    """Return what needs a person, one line per kind; every device is named, and what cannot be read of the store."""
    unreadable = [each for each in damages if each.is_unreadable]
    summary = attention_summary(found, devices, language)
    if not found and not unreadable:
        return html.P(summary, className="calm")
    lines = [_line(group) for group in concern_groups(found, language)]
    if unreadable:
        texts = "; ".join(damage_texts(unreadable, MAX_UNREADABLE, language))
        head = language.gettext("The store cannot be read")
        lines.insert(0, html.Li([html.Strong(f"{head}: "), texts], className="urgent"))
    heading = summary if found else language.gettext("The store needs attention")
    return [html.H2(heading), html.Ul(lines)]


def _line(group: ConcernGroup) -> html.Li:
    """Return one kind of concern with its devices, each a link to its site."""
    parts: list[Any] = [html.Strong(f"{group.title}: ")]
    for number, each in enumerate(group.concerns):
        parts += [", "] if number else []
        parts.append(html.A(f"{each.site} / {each.device}", href="?" + urlencode({"site": each.site})))
        parts += [f" ({each.detail})"] if each.detail else []
    return html.Li(parts, className="urgent" if group.urgent else "")
