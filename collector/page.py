"""The store -> a page of live counts, trends, and the state of each device."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
import plotly.graph_objects as go
from dash import Dash, Input, Output, dcc, html
from flask import Response, jsonify
from werkzeug.serving import make_server

from collector import plots
from collector.devices import Device, read_devices
from collector.errors import StoreRefused
from collector.load import labels, load, sites
from collector.palette import colours
from collector.settings import Settings
from collector.style import HTML
from collector.summarise import HOUR_S, by_time, step_for, step_name
from contract.logs import line

ALL = "*"
LIVE = timedelta(hours=1)
LIVE_EVERY_S = 5
TREND_EVERY_S = 60
SILENT_AFTER = timedelta(minutes=5)
"""A device says something each minute; one that is online and has said nothing for so long is called silent."""
RANGES = {"1": "24 hours", "7": "7 days", "30": "30 days", "365": "a year"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows, from files only: it needs no broker and no receiver."""

    root: Path
    zone: ZoneInfo
    now: Callable[[], datetime]

    def live(self, _tick: int | None, site: str) -> tuple[go.Figure, str]:
        """The last hour as a figure, and the time it was made."""
        now = self.now()
        try:
            frame = load(self.root, now - LIVE, now, None if site == ALL else site)
        except StoreRefused as error:
            return plots.message(str(error)), ""
        if frame.empty:
            return plots.message("No window has come in the last hour."), self._clock(now)
        step_s = step_for(frame, (frame["start"].min(), now))
        table = by_time(frame, step_s, self.zone, (frame["start"].min(), now))
        ends = table.index + pd.to_timedelta(table["seconds"], unit="s")
        whole = table[(table.index >= now - LIVE) & (ends <= now)]  # what has begun earlier or goes on would seem a dip
        return plots.live(whole if len(whole) else table, step_name(step_s)), self._clock(now)

    def trend(self, _tick: int | None, site: str, days: str, bucket: str) -> tuple[go.Figure, html.Table]:
        """The range chosen as a figure, and its totals."""
        now = self.now()
        span = (now - timedelta(days=int(days)), now)
        try:
            frame = load(self.root, *span, None if site == ALL else site)
        except StoreRefused as error:
            return plots.message(str(error)), html.Table()
        table = by_time(frame, HOUR_S if bucket == "hour" else None, self.zone, span)
        return plots.trend(table, bucket), _totals(frame)

    def devices(self, _tick: int | None, site: str) -> html.Table:
        """One row a device: where, what, how."""
        now = self.now()
        chosen = [device for device in read_devices(self.root) if site in (ALL, device.site)]
        heads = ("site", "device", "state", "last heard", "frames/s", "°C", "unsent windows")
        body = [
            html.Tr(
                [
                    html.Td(device.site),
                    html.Td(device.device),
                    html.Td("● " + shown_state(device, now), className=shown_state(device, now)),
                    html.Td(_ago(device.seen, now)),
                    *(html.Td(text, className="number") for text in _health(device)),
                ]
            )
            for device in chosen
        ]
        if not body:
            body = [html.Tr(html.Td("No device has been heard of.", colSpan=len(heads)))]
        return _table(heads, body, numbers=3)

    def sites(self, _tick: int | None) -> list[dict[str, str]]:
        """What can be chosen: all, and each site that has rows or a device."""
        names = sorted({*sites(self.root), *(device.site for device in read_devices(self.root))})
        return [{"label": "all sites", "value": ALL}, *({"label": name, "value": name} for name in names)]

    def _clock(self, now: datetime) -> str:
        return f"As of {now.astimezone(self.zone):%H:%M:%S} {self.zone}"


def shown_state(device: Device, now: datetime) -> Literal["unknown", "online", "stopping", "offline", "silent"]:
    """What the device said, unless it says nothing any more."""
    if device.state == "online" and device.seen and now - device.seen > SILENT_AFTER:
        return "silent"
    return device.state


def make_page(root: Path, zone: ZoneInfo, now: Callable[[], datetime]) -> Dash:
    """A Dash application; its scripts come from the installed package, so that it works without internet."""
    app = Dash("facetally", title="facetally", update_title="", serve_locally=True, index_string=HTML)
    view = View(root, zone, now)
    app.layout = _layout(view)
    live, slow, site = Input("live-tick", "n_intervals"), Input("slow-tick", "n_intervals"), Input("site", "value")
    app.callback(Output("live", "figure"), Output("as-of", "children"), live, site)(view.live)
    app.callback(Output("devices", "children"), live, site)(view.devices)
    app.callback(Output("site", "options"), slow)(view.sites)
    app.callback(
        Output("trend", "figure"),
        Output("totals", "children"),
        slow,
        site,
        Input("days", "value"),
        Input("by", "value"),
    )(view.trend)
    app.server.add_url_rule("/healthz", "healthz", lambda: _healthz(root))
    return app


def serve(settings: Settings, zone: ZoneInfo, stop: threading.Event, now: Callable[[], datetime]) -> None:
    """Serve the page until ``stop`` is set.

    By werkzeug's threaded server, which Dash brings along: enough for the few analysts of one collector on this
    machine, and not meant for the open internet (no TLS, no login, no limit on requests).
    """
    app = make_page(settings.store.path, zone, now)
    server = make_server(settings.page.host, settings.page.port, app.server, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    _log.info(line("serving", url=f"http://{settings.page.host}:{server.server_port}/", root=settings.store.root))
    stop.wait()
    server.shutdown()
    thread.join()
    server.server_close()


def _healthz(root: Path) -> tuple[Response, int]:
    """200 while the store can be listed, 503 otherwise."""
    there = root.is_dir()
    return jsonify({"status": "ok" if there else "no store", "devices": len(read_devices(root))}), 200 if there else 503


def _layout(view: View) -> html.Main:
    graph: dict[str, Any] = {"config": {"displayModeBar": False, "responsive": True}, "style": {"height": "27rem"}}
    return html.Main(
        [
            html.Header(
                [
                    html.H1("facetally"),
                    html.P("Visits by apparent expression, counted on the devices. No pictures leave them."),
                ]
            ),
            html.Section(_controls(view), className="controls"),
            html.Section(
                [html.H2("The last hour"), dcc.Graph(id="live", **graph), html.P(id="as-of", className="soft")]
            ),
            html.Div(
                [
                    html.Section([html.H2("Over time"), dcc.Graph(id="trend", **graph)]),
                    html.Section([html.H2("In this range"), html.Div(id="totals", className="scroll")]),
                ],
                className="side",
            ),
            html.Section([html.H2("Devices"), html.Div(id="devices", className="scroll")]),
            html.Section(_reading(), className="soft"),
            dcc.Interval(id="live-tick", interval=LIVE_EVERY_S * 1000),
            dcc.Interval(id="slow-tick", interval=TREND_EVERY_S * 1000),
        ]
    )


def _controls(view: View) -> list[html.Div]:
    ranges = [{"label": name, "value": days} for days, name in RANGES.items()]
    buckets = [{"label": name, "value": name} for name in ("hour", "day")]
    return [
        html.Div([html.Label("Site", htmlFor="site"), dcc.Dropdown(view.sites(None), ALL, id="site", clearable=False)]),
        html.Div([html.Label("Range", htmlFor="days"), dcc.RadioItems(ranges, "7", id="days", inline=True)]),
        html.Div([html.Label("Bars by", htmlFor="by"), dcc.RadioItems(buckets, "hour", id="by", inline=True)]),
    ]


def _reading() -> list[Any]:
    """How much to believe."""
    return [
        html.H2("How to read this"),
        html.P(
            "An apparent expression is a model's guess from a face, not what anybody feels; the model confuses"
            " expressions, so small differences between bars mean nothing."
        ),
        html.P("A track is not a person. Somebody who looks twice is two visits."),
        html.P(
            "Grey, or a broken line: no window came, so nobody knows. Zero with a share watched: nobody came. The lower"
            " strip is the share of time that cameras were really looked at; the brown part of it is where"
            " a device said it saw badly. Windows of a clock that was never set count in the totals only."
        ),
    ]


def _totals(frame: pd.DataFrame) -> html.Table:
    """Visits and share of each label over the whole table."""
    sums = frame[labels(frame)].sum()
    whole = float(sums.sum())
    body = [
        html.Tr(
            [
                html.Td([html.Span(className="swatch", style={"background": colour}), label]),
                html.Td(f"{sums[label]:.0f}", className="number"),
                html.Td(f"{sums[label] / whole:.0%}" if whole else "", className="number"),
            ]
        )
        for label, colour in colours([str(name) for name in sums.index]).items()
    ]
    total = html.Tr([html.Th("all", scope="row"), html.Th(f"{whole:.0f}", className="number"), html.Th("")])
    return _table(("expression", "visits", "share"), [*body, total], numbers=2)


def _table(heads: tuple[str, ...], body: list[html.Tr], numbers: int) -> html.Table:
    """A table whose last columns are numbers."""
    kinds = [""] * (len(heads) - numbers) + ["number"] * numbers
    head = html.Tr([html.Th(name, scope="col", className=kind) for name, kind in zip(heads, kinds, strict=True)])
    return html.Table([html.Thead(head), html.Tbody(body)])


def _health(device: Device) -> tuple[str, str, str]:
    health = device.health
    if health is None:
        return "", "", ""
    warm = "" if health.temperature_c is None else f"{health.temperature_c:.0f}"
    return f"{health.frames_per_s:.1f}", warm, str(health.spool_depth)


def _ago(then: datetime | None, now: datetime) -> str:
    if then is None:
        return "not since this collector began"
    seconds = max(int((now - then).total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
