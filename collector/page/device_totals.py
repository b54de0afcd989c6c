"""HTML tables of what became of each device's tracks, and of the counts by hand."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from dash import html

from collector.devices.device import Device
from collector.page.tables import MAX_ROWS, html_table
from collector.recount.recount import Recount

NAMES = {
    "counted": "counted",
    "dwell": "stayed in one spot",
    "outside_hours": "outside opening hours",
    "too_short": "too short",
    "low_score": "low scores",
    "fixed_face": "fixed face",
}
"""How an outcome of `contract.message.Health.tracks_ended` is shown; others are shown with spaces."""


def tracks_tables(devices: Sequence[Device]) -> list[Any]:
    """Return a table of the last full hour of each device that reports it; nothing if none does."""
    reported = [(each, each.health.tracks_ended) for each in devices if each.health and each.health.tracks_ended]
    if not reported:
        return []
    present = {outcome for _, ended in reported for outcome in ended}
    outcomes = sorted(present, key=lambda name: (name not in NAMES, list(NAMES).index(name) if name in NAMES else name))
    body = [
        _row(device.site, device.device, *(str(ended[name]) if name in ended else "" for name in outcomes))
        for device, ended in reported
    ]
    heads = ("site", "device", *(NAMES.get(name, name.replace("_", " ")) for name in outcomes))
    caption = "What became of the tracks of the last full hour. Numbers below the device's k are not reported."
    return [html_table(caption, heads, body, number_columns=len(outcomes))]


def recounts_tables(recounts: Sequence[Recount], zone: ZoneInfo) -> list[Any]:
    """Return a table of the latest counts by hand; nothing if there is none."""
    if not recounts:
        return []
    body = [
        _row(
            each.site,
            each.device,
            f"{each.start.astimezone(zone):%Y-%m-%d %H:%M} to {each.end.astimezone(zone):%H:%M}",
            each.describe(),
        )
        for each in recounts[::-1][:MAX_ROWS]
    ]
    caption = "Counts by hand, compared with the device (95 % interval)."
    return [html_table(caption, ("site", "device", "time", "result"), body, number_columns=0)]


def _row(site: str, device: str, *cells: str) -> html.Tr:
    return html.Tr([html.Td(site), html.Th(device, scope="row"), *(html.Td(text) for text in cells)])
