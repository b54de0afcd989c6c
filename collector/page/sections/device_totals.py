"""HTML tables of what became of each device's tracks, and of the counts by hand."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from dash import html

from collector.devices.device import Device
from collector.language.language import Language
from collector.page.sections.tables import MAX_ROWS, html_table
from collector.recount.recount import Recount
from collector.sentences.devices import OUTCOMES, outcome_name, recount_result


def tracks_tables(devices: Sequence[Device], language: Language) -> list[Any]:
    """Return a table of the last full hour of each device that reports it; nothing if none does."""
    reported = [(each, each.health.tracks_ended) for each in devices if each.health and each.health.tracks_ended]
    if not reported:
        return []
    present = {outcome for _, ended in reported for outcome in ended}
    outcomes = [*(name for name in OUTCOMES if name in present), *sorted(present - OUTCOMES.keys())]
    body = [
        _row(device.site, device.device, *(language.number(ended[name]) if name in ended else "" for name in outcomes))
        for device, ended in reported
    ]
    heads = (*_sender(language), *(outcome_name(name, language) for name in outcomes))
    caption = language.gettext(
        "What became of the tracks of the last full hour. Numbers below the device's k are not reported."
    )
    return [html_table(caption, heads, body, number_columns=len(outcomes))]


def recounts_tables(recounts: Sequence[Recount], zone: ZoneInfo, language: Language) -> list[Any]:
    """Return a table of the latest counts by hand; nothing if there is none."""
    if not recounts:
        return []
    body = [
        _row(each.site, each.device, _time(each, zone, language), recount_result(each, language))
        for each in recounts[::-1][:MAX_ROWS]
    ]
    caption = language.gettext("Counts by hand, compared with the device (95 % interval).")
    heads = (*_sender(language), language.gettext("time"), language.gettext("result"))
    return [html_table(caption, heads, body, number_columns=0)]


def _sender(language: Language) -> tuple[str, str]:
    return language.gettext("site"), language.gettext("device")


def _time(each: Recount, zone: ZoneInfo, language: Language) -> str:
    first, last = each.start.astimezone(zone), each.end.astimezone(zone)
    return language.gettext("{first} to {last}", first=language.short_moment(first), last=language.clock(last))


def _row(site: str, device: str, *cells: str) -> html.Tr:
    return html.Tr([html.Td(site), html.Th(device, scope="row"), *(html.Td(text) for text in cells)])
