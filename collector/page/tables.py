"""HTML tables of counts, sites and devices, and how numbers are formatted in them.

Each chart has a table with the same content, for keyboards and screen readers.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import pandas as pd
from dash import html

from collector.analysis.query import most_frequent_labels, rates_of_label
from collector.analysis.summarise import WEEKDAYS
from collector.devices.device import Device
from collector.devices.state import shown_state
from collector.exports.tables import doubt_range
from collector.live.windows import LiveWindows
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.store.damage import Damage

VISITS = ["visits", *DOUBTFUL_COLUMNS]
"""Columns of a summary for `format_visits`."""
MAX_ROWS = 31
"""Rows shown of a longer table, the last ones: a browser needs a second for a thousand cells. Downloads have all."""


def html_table(caption: str, heads: Sequence[str], body: Sequence[html.Tr], number_columns: int) -> html.Table:
    """Return a table with a caption; the last ``number_columns`` columns are aligned as numbers."""
    kinds = [""] * (len(heads) - number_columns) + ["number"] * number_columns
    head = html.Tr([html.Th(name, scope="col", className=kind) for name, kind in zip(heads, kinds, strict=True)])
    return html.Table([html.Caption(caption), html.Thead(head), html.Tbody(list(body))])


def row(name: Any, *cells: str) -> html.Tr:
    """Return a row with a header cell and number cells."""
    return html.Tr([html.Th(name, scope="row"), *(html.Td(text, className="number") for text in cells)])


def counts_table(counts: pd.DataFrame, caption: str) -> list[Any]:
    """Return visits and coverage per bucket, the latest first, from `collector.analysis.summarise.by_time`."""
    names = most_frequent_labels(counts)
    latest = counts[::-1][:MAX_ROWS]
    body = [
        row(
            f"{start:%Y-%m-%d %H:%M}",
            *(format_number(value) for value in values),
            format_visits(visits, low, high),
            "no data" if windows == 0 else format_share(coverage),
            "" if windows == 0 else format_share(degraded),
        )
        for start, values, (visits, low, high), windows, coverage, degraded in zip(
            latest.index,
            latest[names].to_numpy(),
            latest[VISITS].to_numpy(),
            latest["windows"],
            latest["coverage"],
            latest["degraded"],
            strict=True,
        )
    ]
    heads = ("start", *names, "all visits", "watched", "of that, poor view")
    table = html_table(caption, heads, body, number_columns=len(heads) - 1)
    if len(counts) <= MAX_ROWS:
        return [table]
    return [table, html.P(f"The last {MAX_ROWS} of {len(counts)} rows. Download the file for all of them.")]


def heatmap_table(rates: pd.DataFrame, label: str, hours: range, caption: str) -> html.Table:
    """Return weekdays by some hours for one label, from `collector.analysis.query.hourly_rates`."""
    values = rates_of_label(rates, label)[list(hours)]
    body = [
        row(day, *(format_number(value, 1) for value in rates_of_day))
        for day, rates_of_day in zip(WEEKDAYS, values.to_numpy(), strict=True)
    ]
    return html_table(caption, ("weekday", *(f"{hour:02}" for hour in hours)), body, number_columns=len(hours))


def devices_table(
    devices: Sequence[Device],
    live: LiveWindows,
    now: datetime,
    conflicting: AbstractSet[tuple[str, str]] = frozenset(),
) -> html.Table:
    """Return one row per device.

    ``live`` holds the windows of the last day. ``conflicting`` holds site and name of the devices whose confusion
    matrix differs from that of other devices with the same model.
    """
    heads = ("site", "device", "state", "last message", "last window", "frames/s", "°C", "unsent", "missing", "refused")
    body = [
        html.Tr(
            [
                html.Td(device.site),
                html.Th(device.device, scope="row"),
                html.Td("● " + shown_state(device, now), className=shown_state(device, now)),
                html.Td(format_age(device.seen, now)),
                html.Td("" if device.counted is None else format_age(device.counted, now)),
                *(html.Td(text, className="number") for text in _health_cells(device)),
                html.Td(**_missing_cell(device, live)),
                html.Td(**_refused_cell(device, (device.site, device.device) in conflicting)),
            ]
        )
        for device in devices
    ]
    if not body:
        body = [html.Tr(html.Td("No device has sent anything yet.", colSpan=len(heads)))]
    caption = (
        "Devices. Unsent: counts still on the device. Missing: counts of the last day that have not arrived."
        " Refused: messages over a limit."
    )
    return html_table(caption, heads, body, number_columns=5)


def more_devices(number: int) -> html.P:
    """Say that some devices are not listed."""
    return html.P(f"{number} more devices are not listed. Select a site to see all of its devices.")


def notices(damages: Sequence[Damage]) -> list[Any]:
    """Return a list of what was left out of the figures on the page, empty if nothing was."""
    if not damages:
        return []
    items = [html.Li(str(damage)) for damage in damages[:MAX_ROWS]]
    if len(damages) > MAX_ROWS:
        items.append(html.Li(f"and {len(damages) - MAX_ROWS} more files"))
    return [html.P("Left out of the figures on this page:", className="warn"), html.Ul(items)]


def swatch(label: str, colour: str) -> list[Any]:
    """Return a label with a patch of its colour."""
    return [html.Span(className="swatch", style={"background": colour}), label]


def format_number(value: float, digits: int = 0) -> str:
    """Format ``1234.4`` as ``"1,234"``, and NaN as nothing."""
    return "" if pd.isna(value) else f"{value:,.{digits}f}"


def format_visits(value: float, low: float, high: float) -> str:
    """Format ``41, 3, 4`` as ``"41 (38 to 45)"``: visits, and their doubt range where some are doubtful."""
    return format_number(value) + doubt_range(value, low, high, format_number)


def name_visits(value: float, low: float, high: float) -> str:
    """Format ``41, 3, 4`` as ``"41 visits (38 to 45)"``."""
    return f"{format_number(value)} visits{doubt_range(value, low, high, format_number)}"


def format_share(value: float) -> str:
    """Format ``0.256`` as ``"26 %"``, and NaN as nothing."""
    return "" if pd.isna(value) else f"{value:.0%}".replace("%", " %")


def format_age(then: datetime | None, now: datetime) -> str:
    """Format how long ago a moment was."""
    if then is None:
        return "none since the collector started"
    seconds = max(int((now - then).total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def _missing_cell(device: Device, live: LiveWindows) -> dict[str, Any]:
    """Return how many windows have not arrived, or that two devices use one name."""
    key = (device.site, device.device)
    if live.is_twin(key):
        return {"children": "two devices use this name", "className": "warn"}
    missing = live.missing(key)
    return {"children": "" if missing is None else str(missing), "className": "number"}


def _refused_cell(device: Device, conflicting: bool) -> dict[str, Any]:
    """Return how many messages were set aside and why, or that the device's confusion matrix is in conflict."""
    if conflicting:
        return {"children": "its error rates differ from other devices with this model", "className": "warn"}
    reasons = ", ".join(f"{name} {number}" for name, number in sorted(device.refused.items()))
    return {"children": reasons, "className": "number"}


def _health_cells(device: Device) -> tuple[str, str, str]:
    health = device.health
    if health is None:
        return "", "", ""
    temperature = "" if health.temperature_c is None else f"{health.temperature_c:.0f}"
    return f"{health.frames_per_s:.1f}", temperature, str(health.spool_depth)
