"""HTML tables of counts and of devices, and what was left out of them.

Each chart has a table with the same content, for keyboards and screen readers.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import pandas as pd
from dash import html

from collector.analysis.summarise import WEEKDAYS
from collector.devices.device import Device
from collector.devices.state import shown_state
from collector.exports.palette import colours
from collector.language.catalogue import mark
from collector.language.language import Language
from collector.live.windows import LiveWindows
from collector.reading.reader import most_frequent_labels, rates_of_label
from collector.sentences.charts import visit_texts
from collector.sentences.damages import damage_texts
from collector.sentences.devices import age, refusals, state_name
from collector.store.damage import Damage

MAX_ROWS = 31
"""Rows shown of a longer table, the last ones: a browser needs a second for a thousand cells. Downloads have all."""
DEVICE_HEADS = (
    mark("site"), mark("device"), mark("state"), mark("last message"), mark("last window"), mark("frames/s"), "°C",
    mark("unsent"), mark("missing"), mark("refused"),
)  # fmt: skip


def html_table(caption: str, heads: Sequence[str], body: Sequence[html.Tr], number_columns: int) -> html.Table:
    """Return a table with a caption; the last ``number_columns`` columns are aligned as numbers."""
    kinds = [""] * (len(heads) - number_columns) + ["number"] * number_columns
    head = html.Tr([html.Th(name, scope="col", className=kind) for name, kind in zip(heads, kinds, strict=True)])
    return html.Table([html.Caption(caption), html.Thead(head), html.Tbody(list(body))])


def row(name: Any, *cells: str) -> html.Tr:
    """Return a row with a header cell and number cells."""
    return html.Tr([html.Th(name, scope="row"), *(html.Td(text, className="number") for text in cells)])


def counts_table(counts: pd.DataFrame, caption: str, language: Language) -> list[Any]:
    """Return visits and coverage per bucket, the latest first, from `collector.analysis.summarise.by_time`."""
    names = most_frequent_labels(counts)
    latest = counts[::-1][:MAX_ROWS]
    body = [
        row(
            language.short_moment(start),
            *(language.number(values[name]) for name in names),
            visits,
            *_watched(values, language),
        )
        for start, (_, values), visits in zip(
            pd.DatetimeIndex(latest.index), latest.iterrows(), visit_texts(latest, language), strict=True
        )
    ]
    gettext = language.gettext
    heads = (
        gettext("start"), *map(language.label, names), gettext("all visits"), gettext("watched"),
        gettext("of that, poor view"),
    )  # fmt: skip
    table = html_table(caption, heads, body, number_columns=len(heads) - 1)
    if len(counts) <= MAX_ROWS:
        return [table]
    text = gettext(
        "The last {rows} of {all} rows. Download the file for all of them.",
        rows=MAX_ROWS, all=language.number(len(counts)),
    )  # fmt: skip
    return [table, html.P(text)]


def heatmap_table(rates: pd.DataFrame, label: str, hours: range, caption: str, language: Language) -> html.Table:
    """Return weekdays by some hours for one label, from `collector.reading.reader.hourly_rates`."""
    values = rates_of_label(rates, label)[list(hours)].to_numpy(float)
    body = [
        row(language.weekday(day), *(language.number(rate, 1) for rate in values[day])) for day in range(len(WEEKDAYS))
    ]
    heads = (language.gettext("weekday"), *(f"{hour:02}" for hour in hours))
    return html_table(caption, heads, body, number_columns=len(hours))


def devices_table(
    devices: Sequence[Device],
    live: LiveWindows,
    now: datetime,
    language: Language,
    conflicting: AbstractSet[tuple[str, str]] = frozenset(),
) -> html.Table:
    """Return one row per device.

    ``live`` holds the windows of the last day. ``conflicting`` holds site and name of the devices whose confusion
    matrix differs from that of other devices with the same model.
    """
    heads = [language.gettext(head) for head in DEVICE_HEADS]
    body = [
        html.Tr(
            [
                html.Td(device.site),
                html.Th(device.device, scope="row"),
                _state_cell(device, now, language),
                html.Td(age(device.seen, now, language)),
                html.Td("" if device.counted is None else age(device.counted, now, language)),
                *(html.Td(text, className="number") for text in _health_cells(device, language)),
                html.Td(**_missing_cell(device, live, language)),
                html.Td(**_refused_cell(device, (device.site, device.device) in conflicting, language)),
            ]
        )
        for device in devices
    ]
    if not body:
        body = [html.Tr(html.Td(language.gettext("No device has sent anything yet."), colSpan=len(heads)))]
    caption = language.gettext(
        "Devices. Unsent: counts still on the device. Missing: counts of the last day that have not arrived."
        " Refused: messages over a limit."
    )
    return html_table(caption, heads, body, number_columns=5)


def more_devices(number: int, language: Language) -> html.P:
    """Say that some devices are not listed."""
    text = language.ngettext(
        "{number} more device is not listed. Select a site to see all of its devices.",
        "{number} more devices are not listed. Select a site to see all of its devices.",
        number,
    )
    return html.P(text)


def notices(damages: Sequence[Damage], language: Language) -> list[Any]:
    """Return a list of what was left out of the figures on the page, empty if nothing was."""
    if not damages:
        return []
    items = [html.Li(text) for text in damage_texts(damages, MAX_ROWS, language)]
    return [html.P(language.gettext("Left out of these figures") + ":", className="warn"), html.Ul(items)]


def swatches(labels: Iterable[str], language: Language) -> dict[str, list[Any]]:
    """Return each label's name with a patch of its colour."""
    return {
        label: [html.Span(className="swatch", style={"background": colour}), language.label(label)]
        for label, colour in colours(labels).items()
    }


def _watched(values: Any, language: Language) -> tuple[str, str]:
    """Return the fraction of a bucket that was watched, and the part of it with a poor view."""
    if values["windows"] == 0:
        return language.gettext("no data"), ""
    return language.percent(values["coverage"]), language.percent(values["degraded"])


def _state_cell(device: Device, now: datetime, language: Language) -> html.Td:
    state = shown_state(device, now)
    return html.Td(f"● {state_name(state, language)}", className=state)


def _missing_cell(device: Device, live: LiveWindows, language: Language) -> dict[str, Any]:
    """Return how many windows have not arrived, or that two devices use one name."""
    key = (device.site, device.device)
    if live.is_twin(key):
        return {"children": language.gettext("two devices use this name"), "className": "warn"}
    missing = live.missing(key)
    return {"children": "" if missing is None else language.number(missing), "className": "number"}


def _refused_cell(device: Device, conflicting: bool, language: Language) -> dict[str, Any]:
    """Return how many messages were set aside and why, or that the device's confusion matrix is in conflict."""
    if conflicting:
        text = language.gettext("its error rates differ from other devices with this model")
        return {"children": text, "className": "warn"}
    return {"children": refusals(device, language), "className": "number"}


def _health_cells(device: Device, language: Language) -> tuple[str, str, str]:
    health = device.health
    if health is None:
        return "", "", ""
    temperature = "" if health.temperature_c is None else language.number(health.temperature_c)
    return language.number(health.frames_per_s, 1), temperature, language.number(health.spool_depth)
