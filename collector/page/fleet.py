"""The table of the fleet: devices that need a person first, then what each runs."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from dash import html

from collector.analysis.attention import by_device
from collector.devices.attention import TITLES, Concern
from collector.devices.device import Device
from collector.language.language import english
from collector.page.tables import format_age, html_table

MAX_DEVICES = 200
"""Devices that are listed, those that need a person first: a browser needs a second for a thousand rows. A site has
fewer."""
HASH_DIGITS = 8
"""Digits shown of the hash of a configuration."""
HEADS = (
    "site", "device", "needs a person", "release", "configuration", "classifier", "certificate ends", "up",
    "last message",
)  # fmt: skip


def fleet_table(devices: Iterable[Device], found: Sequence[Concern], now: datetime) -> html.Table:
    """Return one row per device. ``found`` is what needs a person, the most urgent first."""
    concerned = by_device(found)
    ranks = {key: rank for rank, key in enumerate(concerned)}
    ordered = sorted(devices, key=lambda each: (ranks.get(_key(each), len(ranks)), _key(each)))
    body = [_row(device, concerned.get(_key(device), ()), now) for device in ordered[:MAX_DEVICES]]
    if not body:
        body = [html.Tr(html.Td("No device has sent anything yet.", colSpan=len(HEADS)))]
    caption = (
        f"Fleet: {len(concerned)} of {len(ordered)} devices need a person. Configuration: first digits of the hash of"
        " the file; devices with the same digits have the same file."
    )
    return html_table(caption, HEADS, body, number_columns=0)


def _key(device: Device) -> tuple[str, str]:
    return device.site, device.device


def _row(device: Device, found: Sequence[Concern], now: datetime) -> html.Tr:
    health, model = device.health, device.model
    reasons = [TITLES[each.kind] + (f" ({each.detail})" if each.detail else "") for each in found]
    hashed = health.configuration_sha256 if health else None
    bundle = f"{model.expression.name}@{model.expression.sha256[:12]}" if model else ""
    ends = f"{health.certificate_ends:%Y-%m-%d}" if health and health.certificate_ends else ""
    return html.Tr(
        [
            html.Td(device.site),
            html.Th(device.device, scope="row"),
            html.Td("; ".join(reasons), className="warn" if reasons else ""),
            html.Td((health.release if health else None) or ""),
            html.Td((hashed or "")[:HASH_DIGITS], title=hashed or ""),
            html.Td(bundle),
            html.Td(ends),
            html.Td(english().duration(timedelta(seconds=health.uptime_s)) if health else ""),
            html.Td(format_age(device.seen, now)),
        ]
    )
