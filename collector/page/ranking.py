"""The sites as a ranked table that can be sorted: visits, change, sparkline, share, unknown, coverage, devices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from dash import html

from collector.analysis.headline import Headline
from collector.devices.device import Device
from collector.devices.state import shown_state
from collector.page.parts import text_button
from collector.page.selection import Selection, address
from collector.page.tables import format_visits
from collector.page.tiles import arrow, percent, points, share_with_interval, signed_percent, sparkline
from collector.store.intervals import Floats

DOWN = "-down"
HEADS = {
    "site": "site", "visits": "visits", "change": "change", "": "visits over time", "share": "share of {label}",
    "unknown": "unknown", "coverage": "watched",
}  # fmt: skip
"""Sort key: head. The sparkline cannot be sorted by."""


@dataclass(frozen=True, slots=True)
class RankedSite:
    """A row of the table."""

    name: str
    headline: Headline | None
    """None for a site without data in the period."""
    visits_over_time: Floats
    online: int
    devices: int


def ranked(
    headlines: Mapping[str, Headline], over_time: Mapping[str, Floats], devices: Iterable[Device], now: datetime
) -> list[RankedSite]:
    """Return the sites that have data in the period or a device."""
    states: dict[str, list[str]] = {}
    for device in devices:
        states.setdefault(device.site, []).append(shown_state(device, now))
    return [
        RankedSite(
            name, headlines.get(name), over_time.get(name, np.array([])),
            states.get(name, []).count("online"), len(states.get(name, [])),
        )
        for name in sorted({*states, *headlines})
    ]  # fmt: skip


def ranking(sites: Iterable[RankedSite], selection: Selection, label: str | None) -> html.Table:
    """Return the table, sorted as selected; sites without data come last."""
    key, down = selection.controls.sort.removesuffix(DOWN), selection.controls.sort.endswith(DOWN)
    rows = sorted(sites, key=lambda site: _sort_key(site, key), reverse=down)
    rows = [row for row in rows if row.headline] + [row for row in rows if not row.headline]
    body = [_row(site, selection) for site in rows]
    if not body:
        body = [html.Tr(html.Td("No site has sent anything yet.", colSpan=len(HEADS) + 1))]
    heads = [_head(name, text.format(label=label or "expression"), key, down) for name, text in HEADS.items()]
    head = html.Tr([*heads, html.Th("devices", scope="col", className="number wide")])
    return html.Table([html.Caption("Sites in this period. Select a head to sort, a name to see one site."),
                       html.Thead(head), html.Tbody(body)], className="ranking")  # fmt: skip


def _sort_key(site: RankedSite, key: str) -> tuple[float, str]:
    found = site.headline
    if key == "site" or found is None:
        return 0.0, site.name
    values = {
        "visits": found.visits.value, "change": found.visits.change, "share": found.share.value,
        "unknown": found.unknown.value, "coverage": found.coverage.value,
    }  # fmt: skip
    return float(np.nan_to_num(values[key], nan=-np.inf)), site.name


def _head(name: str, text: str, key: str, down: bool) -> html.Th:
    """Return a head with a button that sorts, in the other direction if it is sorted by already."""
    kind = {"site": "", "": "wide", "unknown": "number wide", "coverage": "number wide"}.get(name, "number")
    if not name:
        return html.Th(text, scope="col", className=kind)
    ascending = (key == name and down) or (name == "site" and key != name)
    button = text_button(text, sort=name + ("" if ascending else DOWN))
    state: dict[str, Any] = {"aria-sort": "descending" if down else "ascending"} if key == name else {}
    return html.Th(
        [button, {True: " ▼", False: " ▲"}[down] if key == name else ""], scope="col", className=kind, **state
    )


def _row(site: RankedSite, selection: Selection) -> html.Tr:
    link = html.A(site.name, href=address(selection.controls, sites=(site.name,), receipt=""))
    online = html.Td(
        f"{site.online} of {site.devices}", className="number wide" + " warn" * (site.online < site.devices)
    )
    found = site.headline
    if found is None:
        return html.Tr([html.Th(link, scope="row"), html.Td("no data", colSpan=len(HEADS) - 1), online])
    visits, share = found.visits, found.share
    text = format_visits(visits.value, visits.value - visits.low, visits.high - visits.value)
    receipt = address(selection.controls, sites=(site.name,), receipt="visits")
    share_receipt = address(selection.controls, sites=(site.name,), receipt="share")
    change: list[Any] = [
        html.Span(f"{arrow(visits)} {signed_percent(visits.change)}", className=f"change {visits.trend}")
    ]
    if np.isnan(visits.change):
        change = ["-"]
    moved = f"{arrow(share)} {points(share.change)}" if not np.isnan(share.change) else ""
    return html.Tr(
        [
            html.Th(link, scope="row"),
            html.Td(html.A(text, href=receipt, title="How was this found?"), className="number"),
            html.Td(change, className="number"),
            html.Td(html.Img(src=sparkline(site.visits_over_time), alt="", className="spark"), className="wide"),
            html.Td([html.A(share_with_interval(share), href=share_receipt, title="How was this found?"), " ",
                     html.Span(moved, className=f"change {share.trend} wide")], className="number"),
            html.Td(percent(found.unknown.value), className="number wide"),
            html.Td(percent(found.coverage.value), className="number wide"),
            online,
        ]
    )  # fmt: skip
