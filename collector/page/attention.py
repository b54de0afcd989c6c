"""The banner at the top of the page: what needs a person, for all sites. It is never hidden and never scrolls."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

import pandas as pd
from dash import html

from collector.devices.attention import TITLES, Concern, LastWindow

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


def last_windows(windows: pd.DataFrame) -> dict[tuple[str, str], LastWindow]:
    """Return the last window of each device, from a table of `collector.store.load.load`."""
    latest = windows.sort_values("end").drop_duplicates(["site", "device"], keep="last")
    return {
        (site, device): LastWindow(end.to_pydatetime(), tuple(degraded.split("|")) if degraded else ())
        for site, device, end, degraded in zip(
            latest["site"], latest["device"], latest["end"], latest["degraded"], strict=True
        )
    }


def _line(kind: Any, members: list[Concern]) -> html.Li:
    """Return one kind of concern with its devices, each a link to its site."""
    parts: list[Any] = [html.Strong(f"{TITLES[kind]}: ")]
    for number, each in enumerate(members):
        parts += [", "] if number else []
        parts.append(html.A(f"{each.site} / {each.device}", href="?" + urlencode({"site": each.site})))
        parts += [f" ({each.detail})"] if each.detail else []
    return html.Li(parts, className="urgent" if kind in URGENT else "")
