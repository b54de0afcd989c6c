"""A store -> a Dash application; its scripts come from the installed package, so that it works without internet."""

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
from collector.page.choice import NotAChoice
from collector.page.files import KINDS
from collector.page.layout import HTML, layout
from collector.page.updates import check_updates
from collector.page.views import Shown, View
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
"""Each field of `collector.page.choice.Asked`, and the control that it is the value of."""


def make_page(reader: Reader, zone: ZoneInfo, now: Callable[[], datetime]) -> Dash:
    """The page of a store, with ``zone`` chosen at first."""
    app = Dash(
        "facetally", title="facetally", update_title="", serve_locally=True, index_string=HTML,
        assets_folder=str(Path(__file__).parent / "assets"),
    )  # fmt: skip
    view = View(reader, now)
    app.layout = lambda: layout(view.sites(), str(zone))
    _keep_fresh(app, view)
    _draw(app, view)
    _answer(app, view)
    check_updates(app)
    app.server.add_url_rule("/healthz", "healthz", lambda: _healthz(reader.root))
    return app


def _healthz(root: Path) -> tuple[Response, int]:
    """200 while the store can be listed, 503 otherwise."""
    there = root.is_dir()
    return jsonify({"status": "ok" if there else "no store", "devices": len(read_devices(root))}), 200 if there else 503


def _keep_fresh(app: Dash, view: View) -> None:
    """Ask every few seconds; draw only when something has come."""

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


def _draw(app: Dash, view: View) -> None:
    asked = {name: Input(*control) for name, control in CONTROLS.items()}
    fresh = Input("fresh", "data")

    @app.callback(
        output={
            "live": _outputs("live"),
            "clock": Output("as-of", "children"),
            "devices": Output("devices", "children"),
        },
        inputs={"_fresh": fresh, "asked": asked},
    )
    def live(_fresh: str | None, asked: dict[str, Any]) -> Any:
        shown, clock = view.live(asked)
        return {"live": _values(shown), "clock": clock, "devices": view.device_table(asked)}

    @app.callback(
        output={
            "trend": _outputs("trend"),
            "shares": _outputs("shares"),
            "heat": _outputs("heat"),
            "totals": Output("totals", "children"),
            "sites": Output("sites", "children"),
            "heat_of": Output("heat-of", "options"),
            "labels": Output("labels", "options"),
        },
        inputs={"_fresh": fresh, "asked": asked, "heat_of": Input("heat-of", "value")},
    )
    def overview(_fresh: str | None, asked: dict[str, Any], heat_of: Any) -> Any:
        shown = view.overview(asked, heat_of)
        names = [{"label": name, "value": name} for name in shown.labels]
        return {
            "trend": _values(shown.trend),
            "shares": _values(shown.shares),
            "heat": _values(shown.heat),
            "totals": shown.totals,
            "sites": shown.sites,
            "heat_of": [{"label": "all", "value": "visits"}, *names],
            "labels": [option for option in names if option["value"] != UNKNOWN],
        }


def _answer(app: Dash, view: View) -> None:
    """What is done when it is asked for."""

    @app.callback(
        output=_outputs("comparison"),
        inputs={
            "_fresh": Input("fresh", "data"),
            "asked": {name: Input(*control) for name, control in CONTROLS.items()},
            "against": Input("against", "value"),
            "other": Input("other", "value"),
        },
    )
    def comparison(_fresh: str | None, asked: dict[str, Any], against: str, other: str) -> Any:
        return _values(view.compared(asked, against, other))

    @app.callback(
        output=Output("file", "data"),
        inputs={
            "_clicks": [Input(f"as-{kind}", "n_clicks") for kind in KINDS],
            "asked": {name: State(*control) for name, control in CONTROLS.items()},
        },
        prevent_initial_call=True,
    )
    def download(_clicks: list[int | None], asked: dict[str, Any]) -> Any:
        try:
            name, content = view.download(asked, str(ctx.triggered_id).removeprefix("as-"))
        except NotAChoice:
            return no_update  # the charts say what is wrong
        return {"filename": name, "content": b64encode(content).decode(), "base64": True}


def _outputs(name: str) -> list[Output]:
    """Where a chart, its words and its table go."""
    return [
        Output(name, "figure"),
        Output(f"{name}-chart", "aria-label"),
        Output(f"{name}-words", "children"),
        Output(f"{name}-table", "children"),
    ]


def _values(shown: Shown) -> list[Any]:
    return [shown.figure, shown.words, shown.words, shown.table]
