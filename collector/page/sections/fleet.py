"""The table of the fleet: devices that need a person first, then what each runs."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from dash import html

from collector.devices.attention import TITLES, Concern
from collector.devices.device import Device
from collector.language.catalogue import mark
from collector.language.language import Language
from collector.page.sections.tables import html_table
from collector.reading.attention import by_device
from collector.sentences.attention import attention_summary
from collector.sentences.devices import age

MAX_DEVICES = 200
"""Devices that are listed, those that need a person first: a browser needs a second for a thousand rows. A site has
fewer."""
HASH_DIGITS = 8
"""Digits shown of the hash of a configuration."""
HEADS = (
    mark("site"), mark("device"), mark("needs attention"), mark("release"), mark("configuration"), mark("classifier"),
    mark("certificate ends"), mark("up"), mark("last message"),
)  # fmt: skip


def fleet_table(
    devices: Iterable[Device],
    found: Sequence[Concern],
    now: datetime,
    language: Language,
    groups: Mapping[tuple[str, str], str],
) -> html.Table:
    """Return one row per device. ``found`` is what needs a person, the most urgent first.

    ``groups`` are those of the devices, by site and device. Without any, the column is left out.
    """
    concerned = by_device(found)
    known = {_key(device): device for device in devices}
    ordered = [known[key] for key in concerned if key in known]
    ordered += [known[key] for key in sorted(known.keys() - concerned.keys())]
    heads = (*HEADS, mark("group")) if groups else HEADS
    body = [_row(device, concerned.get(_key(device), ()), now, language) for device in ordered[:MAX_DEVICES]]
    for device, row in zip(ordered, body if groups else (), strict=False):
        row.children.append(html.Td(groups.get(_key(device), "")))
    if not body:
        body = [html.Tr(html.Td(language.gettext("No device has sent anything yet."), colSpan=len(heads)))]
    summary = attention_summary(found, len(ordered), language).removesuffix(".")
    configuration = language.gettext(
        "Configuration: first digits of the hash of the file; devices with the same digits have the same file."
    )
    caption = f"{summary}. {configuration}"
    return html_table(caption, [language.gettext(head) for head in heads], body, number_columns=0)


def _key(device: Device) -> tuple[str, str]:
    return device.site, device.device


def _row(device: Device, found: Sequence[Concern], now: datetime, language: Language) -> html.Tr:
    health, model = device.health, device.model
    reasons = [language.gettext(TITLES[each.kind]) + (f" ({each.detail})" if each.detail else "") for each in found]
    hashed = health.configuration_sha256 if health else None
    bundle = f"{model.expression.name}@{model.expression.sha256[:12]}" if model else ""
    ends = language.short_date(health.certificate_ends) if health and health.certificate_ends else ""
    return html.Tr(
        [
            html.Td(device.site),
            html.Th(device.device, scope="row"),
            html.Td("; ".join(reasons), className="warn" if reasons else ""),
            html.Td((health.release if health else None) or ""),
            html.Td((hashed or "")[:HASH_DIGITS], title=hashed or ""),
            html.Td(bundle),
            html.Td(ends),
            html.Td(language.duration(timedelta(seconds=health.uptime_s)) if health else ""),
            html.Td(age(device.seen, now, language)),
        ]
    )
