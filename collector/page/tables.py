"""Tables of counts and devices -> tables of the page: what the charts show, for eyes, keyboards and screen readers."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import pandas as pd
from dash import html

from collector.analysis.query import HOURS, drawn, of_label
from collector.analysis.sequence import clones, gaps_in_seq
from collector.analysis.summarise import WEEKDAYS
from collector.devices.device import Device
from collector.devices.state import State, shown_state
from collector.exports.tables import visits_range
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.store.damage import Damage

MOST_ROWS = 31
"""Of a longer table the page shows the last, for a browser needs a second for a thousand cells; the download has
all."""


def table(caption: str, heads: Sequence[str], body: Sequence[html.Tr], numbers: int) -> html.Table:
    """A table whose last columns are numbers, with a caption that is read aloud."""
    kinds = [""] * (len(heads) - numbers) + ["number"] * numbers
    head = html.Tr([html.Th(name, scope="col", className=kind) for name, kind in zip(heads, kinds, strict=True)])
    return html.Table([html.Caption(caption), html.Thead(head), html.Tbody(list(body))])


def row(name: Any, *cells: str) -> html.Tr:
    """A row that begins with what it is of; the other cells are numbers."""
    return html.Tr([html.Th(name, scope="row"), *(html.Td(text, className="number") for text in cells)])


def over_time(counts: pd.DataFrame, caption: str) -> list[Any]:
    """A table of `collector.analysis.summarise.by_time`, the latest first: visits, and how much was watched."""
    names = drawn(counts)
    body = [
        row(
            f"{start:%Y-%m-%d %H:%M}",
            *(number(value) for value in values),
            visits(all_of_it, low, high),
            "no data" if windows == 0 else share(coverage),
            "" if windows == 0 else share(degraded),
        )
        for start, values, (all_of_it, low, high), windows, coverage, degraded in zip(
            counts.index[::-1][:MOST_ROWS],
            counts[names].to_numpy()[::-1],
            counts[["visits", *DOUBTFUL_COLUMNS]].to_numpy()[::-1],
            counts["windows"][::-1],
            counts["coverage"][::-1],
            counts["degraded"][::-1],
            strict=False,
        )
    ]
    heads = ("from", *names, "all", "watched", "of it badly")
    shown = table(caption, heads, body, numbers=len(heads) - 1)
    return [shown, html.P(f"The last {MOST_ROWS} of {len(counts)}; the download has all.")][
        : 1 + (len(counts) > MOST_ROWS)
    ]


def hours(rates: pd.DataFrame, label: str, caption: str) -> html.Table:
    """A table of `collector.analysis.query.hours_of_week` for one label."""
    values = of_label(rates, label)
    body = [
        row(day, *(number(value, 1) for value in rates_of_day))
        for day, rates_of_day in zip(WEEKDAYS, values.to_numpy(), strict=True)
    ]
    return table(caption, ("weekday", *(f"{hour:02}" for hour in HOURS)), body, numbers=len(HOURS))


def sites(summary: pd.DataFrame, devices: Iterable[Device], now: datetime) -> html.Table:
    """A table of `collector.analysis.summarise.by_site` and the devices -> one row a site."""
    states: dict[str, list[State]] = {}
    for device in devices:
        states.setdefault(device.site, []).append(shown_state(device, now))
    body = []
    for name in sorted({*states, *summary.index}):
        known = states.get(name, [])
        figures = summary.loc[name] if name in summary.index else None
        counts = (
            ("no data", "", "")
            if figures is None
            else (
                visits(*figures[["visits", *DOUBTFUL_COLUMNS]]),
                share(figures["coverage"]),
                share(figures["degraded"]),
            )
        )
        body.append(row(name, f"{known.count('online')} of {len(known)}", *counts))
    if not body:
        body = [html.Tr(html.Td("No site has been heard of.", colSpan=5))]
    heads = ("site", "devices online", "visits", "watched", "of it badly")
    return table("Sites, in the range chosen", heads, body, numbers=4)


def devices(
    known: Sequence[Device], day: pd.DataFrame, now: datetime, conflicting: AbstractSet[tuple[str, str]] = frozenset()
) -> html.Table:
    """One row a device: where, what, how. ``day`` are the windows of the last day, ``conflicting`` the devices, by site
    and name, that tell another confusion matrix than others with the same model.
    """
    heads = ("site", "device", "state", "last heard", "last window", "frames/s", "°C", "unsent", "missing", "refused")
    body = [
        html.Tr(
            [
                html.Td(device.site),
                html.Th(device.device, scope="row"),
                html.Td("● " + shown_state(device, now), className=shown_state(device, now)),
                html.Td(ago(device.seen, now)),
                html.Td("" if device.counted is None else ago(device.counted, now)),
                *(html.Td(text, className="number") for text in _health(device)),
                html.Td(**_missing(device, day)),
                html.Td(**_refused(device, (device.site, device.device) in conflicting)),
            ]
        )
        for device in known
    ]
    if not body:
        body = [html.Tr(html.Td("No device has been heard of.", colSpan=len(heads)))]
    caption = "Devices; unsent and missing are windows, missing those of a day; refused are messages beyond a bound"
    return table(caption, heads, body, numbers=5)


def notices(damages: Sequence[Damage]) -> list[Any]:
    """What was left out of the store's answers -> a list to read, nothing if there is nothing."""
    if not damages:
        return []
    shown = [html.Li(str(damage)) for damage in damages[:MOST_ROWS]]
    more = [html.Li(f"and {len(damages) - MOST_ROWS} more files")][: len(damages) > MOST_ROWS]
    return [html.P("Left out of what is shown:", className="warn"), html.Ul([*shown, *more])]


def swatch(label: str, colour: str) -> list[Any]:
    """A label with its colour before it."""
    return [html.Span(className="swatch", style={"background": colour}), label]


def number(value: float, digits: int = 0) -> str:
    """``1234.4`` -> ``"1,234"``; nothing where nobody knows."""
    return "" if pd.isna(value) else f"{value:,.{digits}f}"


def visits(value: float, low: float, high: float) -> str:
    """``41, 3, 4`` -> ``"41 (38 to 45)"``: visits, and their range where some are doubtful."""
    return number(value) + visits_range(value, low, high, number)


def share(value: float) -> str:
    """``0.256`` -> ``"26 %"``; nothing where nobody knows."""
    return "" if pd.isna(value) else f"{value:.0%}".replace("%", " %")


def ago(then: datetime | None, now: datetime) -> str:
    """How long before now."""
    if then is None:
        return "not since this collector began"
    seconds = max(int((now - then).total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def _missing(device: Device, day: pd.DataFrame) -> dict[str, Any]:
    """How many of a day's windows have not come, or that two units have the name."""
    own = day[(day["site"] == device.site) & (day["device"] == device.device)]
    if own.empty:
        return {"children": "", "className": "number"}
    if len(clones(own)):
        return {"children": "two units have this name", "className": "warn"}
    return {"children": str(gaps_in_seq(own)["missing"].sum()), "className": "number"}


def _refused(device: Device, conflicting: bool) -> dict[str, Any]:
    """How many messages of a device were set aside and why, or that its model message differs from others'."""
    if conflicting:
        return {"children": "tells another confusion matrix than others with this model", "className": "warn"}
    why = ", ".join(f"{name} {number}" for name, number in sorted(device.refused.items()))
    return {"children": why, "className": "number"}


def _health(device: Device) -> tuple[str, str, str]:
    health = device.health
    if health is None:
        return "", "", ""
    warm = "" if health.temperature_c is None else f"{health.temperature_c:.0f}"
    return f"{health.frames_per_s:.1f}", warm, str(health.spool_depth)
