"""The Dash application of the page. Its scripts come from the installed package, so it works without internet."""

from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dash import Dash, Input, Output, State, ctx, no_update
from flask import Response, jsonify

from collector.analysis.query import Reader
from collector.devices.registry import read_devices
from collector.page.downloads import FORMATS
from collector.page.layout import HTML, layout
from collector.page.selection import InvalidSelection
from collector.page.updates import check_updates, share_updates
from collector.page.views import Chart, View
from contract.labels import UNKNOWN

CONTROLS = {
    "site": ("site", "value"),
    "days": ("days", "value"),
    "first": ("first", "value"),
    "last": ("last", "value"),
    "by": ("by", "value"),
    "zone": ("zone", "value"),
    "labels": ("labels", "value"),
}
"""Each field of `collector.page.selection.ControlValues`, and the control that it is the value of."""


def make_page(reader: Reader, zone: ZoneInfo, now: Callable[[], datetime]) -> Dash:
    """Return the page of a store, with ``zone`` selected at first."""
    app = Dash(
        "facetally", title="facetally", update_title="", serve_locally=True, index_string=HTML,
        assets_folder=str(Path(__file__).parent / "assets"),
    )  # fmt: skip
    view = View(reader, now)
    app.layout = lambda: layout(view.sites(), str(zone))
    _add_refresh(app, view)
    _add_live(app, view)
    _add_overview(app, view)
    _add_comparison(app, view)
    _add_download(app, view)
    check_updates(app)
    share_updates(app, view.fresh)
    app.server.add_url_rule("/healthz", "healthz", lambda: _healthz(reader.root))
    return app


def _healthz(root: Path) -> tuple[Response, int]:
    """Return 200 while the store exists, 503 otherwise."""
    exists = root.is_dir()
    body = {"status": "ok" if exists else "no store", "devices": len(read_devices(root))}
    return jsonify(body), 200 if exists else 503


def _add_refresh(app: Dash, view: View) -> None:
    """Ask for new data every few seconds, and redraw only when some has arrived."""

    @app.callback(Output("fresh", "data"), Input("tick", "n_intervals"), State("fresh", "data"))
    def fresh(_tick: int | None, before: str | None) -> Any:
        now = view.fresh()
        return no_update if now == before else now

    @app.callback(
        Output("site", "options"), Output("other", "options"), Input("fresh", "data"), State("site", "options")
    )
    def sites(_fresh: str | None, before: Any) -> Any:
        now = view.sites()
        return (no_update, no_update) if now == before else (now, now)


def _add_live(app: Dash, view: View) -> None:
    """Draw the last hour and the devices when data has arrived or a control has changed."""

    @app.callback(
        output={
            "live": _chart_outputs("live"),
            "clock": Output("as-of", "children"),
            "devices": Output("devices", "children"),
        },
        inputs={"_fresh": Input("fresh", "data"), "controls": _control_inputs()},
    )
    def live(_fresh: str | None, controls: dict[str, Any]) -> Any:
        chart, clock = view.live(controls)
        return {"live": _chart_values(chart), "clock": clock, "devices": view.device_table(controls)}


def _add_overview(app: Dash, view: View) -> None:
    """Draw the selected period when data has arrived or a control has changed."""

    @app.callback(
        output={
            "trend": _chart_outputs("trend"),
            "shares": _chart_outputs("shares"),
            "heat": _chart_outputs("heat"),
            "totals": Output("totals", "children"),
            "sites": Output("sites", "children"),
            "heat_of": Output("heat-of", "options"),
            "labels": Output("labels", "options"),
        },
        inputs={
            "_fresh": Input("fresh", "data"),
            "controls": _control_inputs(),
            "heat_of": Input("heat-of", "value"),
        },
    )
    def overview(_fresh: str | None, controls: dict[str, Any], heat_of: Any) -> Any:
        shown = view.overview(controls, heat_of)
        names = [{"label": name, "value": name} for name in shown.labels]
        return {
            "trend": _chart_values(shown.trend),
            "shares": _chart_values(shown.shares),
            "heat": _chart_values(shown.heatmap),
            "totals": shown.totals,
            "sites": shown.sites,
            "heat_of": [{"label": "all", "value": "visits"}, *names],
            "labels": [option for option in names if option["value"] != UNKNOWN],
        }


def _add_comparison(app: Dash, view: View) -> None:
    @app.callback(
        output=_chart_outputs("comparison"),
        inputs={
            "_fresh": Input("fresh", "data"),
            "controls": _control_inputs(),
            "against": Input("against", "value"),
            "other": Input("other", "value"),
        },
    )
    def comparison(_fresh: str | None, controls: dict[str, Any], against: str, other: str) -> Any:
        return _chart_values(view.comparison(controls, against, other))


def _add_download(app: Dash, view: View) -> None:
    @app.callback(
        output=Output("file", "data"),
        inputs={
            "_clicks": [Input(f"as-{kind}", "n_clicks") for kind in FORMATS],
            "controls": {name: State(*control) for name, control in CONTROLS.items()},
        },
        prevent_initial_call=True,
    )
    def download(_clicks: list[int | None], controls: dict[str, Any]) -> Any:
        try:
            name, content = view.download(controls, str(ctx.triggered_id).removeprefix("as-"))
        except InvalidSelection:
            return no_update  # the charts show what is wrong
        return {"filename": name, "content": b64encode(content).decode(), "base64": True}


def _control_inputs() -> dict[str, Input]:
    return {name: Input(*control) for name, control in CONTROLS.items()}


def _chart_outputs(name: str) -> list[Output]:
    """Return where a chart, its description (twice: to read, and as the chart's name) and its table go."""
    return [
        Output(name, "figure"),
        Output(f"{name}-chart", "aria-label"),
        Output(f"{name}-words", "children"),
        Output(f"{name}-table", "children"),
    ]


def _chart_values(chart: Chart) -> list[Any]:
    return [chart.figure, chart.description, chart.description, chart.table]
