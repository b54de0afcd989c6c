"""The banner at the top of the page: what needs a person, for all sites. It is never hidden and never scrolls."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from dash import html

from collector.devices.attention import TITLES, Concern

URGENT = ("offline", "silent", "blind", "moved", "disk", "twins")


def banner(found: Sequence[Concern], devices: int) -> Any:
    """Return what needs a person, one line per kind; every device is named."""
    if not devices:
        return html.P("No device has sent anything yet.", className="calm")
    if not found:
        plural = "s" if devices > 1 else ""
        return html.P(f"Nothing needs attention: {devices} device{plural} online.", className="calm")
    concerned = len({(each.site, each.device) for each in found})
    noun, verb = "device" if devices == 1 else "devices", "needs" if concerned == 1 else "need"
    lines = [_line(kind, list(members)) for kind, members in groupby(found, key=lambda each: each.kind)]
    return [html.H2(f"{concerned} of {devices} {noun} {verb} attention"), html.Ul(lines)]


def _line(kind: Any, members: list[Concern]) -> html.Li:
    """Return one kind of concern with its devices, each a link to its site."""
    parts: list[Any] = [html.Strong(f"{TITLES[kind]}: ")]
    for number, each in enumerate(members):
        parts += [", "] if number else []
        parts.append(html.A(f"{each.site} / {each.device}", href="?" + urlencode({"site": each.site})))
        parts += [f" ({each.detail})"] if each.detail else []
    return html.Li(parts, className="urgent" if kind in URGENT else "")
