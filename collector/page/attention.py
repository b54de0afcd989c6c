"""The banner at the top of the page: what needs a person, for all sites. It is never hidden and never scrolls."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from dash import html

from collector.devices.attention import Concern
from collector.language.language import Language
from collector.sentences.attention import ConcernGroup, attention_summary, concern_groups


def banner(found: Sequence[Concern], devices: int, language: Language) -> Any:
    """Return what needs a person, one line per kind; every device is named."""
    summary = attention_summary(found, devices, language)
    if not found:
        return html.P(summary, className="calm")
    return [html.H2(summary), html.Ul([_line(group) for group in concern_groups(found, language)])]


def _line(group: ConcernGroup) -> html.Li:
    """Return one kind of concern with its devices, each a link to its site."""
    parts: list[Any] = [html.Strong(f"{group.title}: ")]
    for number, each in enumerate(group.concerns):
        parts += [", "] if number else []
        parts.append(html.A(f"{each.site} / {each.device}", href="?" + urlencode({"site": each.site})))
        parts += [f" ({each.detail})"] if each.detail else []
    return html.Li(parts, className="urgent" if group.urgent else "")
