"""The Dash application of the page. Its scripts come from the installed package, so it works without internet."""

from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, no_update
from flask import Response, has_request_context, jsonify, request

from collector.devices.registry import read_devices
from collector.language.language import Language, chosen_language, requested_language
from collector.page.controls.selection import PARAMETERS, InvalidSelection
from collector.page.first_screen.first_screen import FirstScreen
from collector.page.layout import HTML, layout
from collector.page.sections.downloads import FORMATS
from collector.page.sections.sections import sections
from collector.page.sections.views import Chart, View
from collector.page.updates import check_updates, share_updates
from collector.reading.reader import Reader
from collector.sentences.period import set_name
from collector.web.compress import compress_responses

CONTROLS = {field: (field, "data" if field in ("sort", "receipt") else "value") for field in PARAMETERS.values()}
"""Each field of `collector.page.controls.selection.ControlValues`, and the control that it is the value of."""
OF_PERIOD = ("sites", "days", "first", "last", "zone", "set")
"""Controls that choose the visits of a view."""
OF_CHARTS = (*OF_PERIOD, "lang")
OF_COMPARISON = (*OF_CHARTS, "against", "other")
OF_FIGURES = (*OF_COMPARISON, "label")


def make_page(
    reader: Reader, zone: ZoneInfo, now: Callable[[], datetime], lang: str | None = None, *, login: bool = False
) -> Dash:
    """Return the page of a store, with ``zone`` selected at first; ``login`` if people log in to see it.

    It is in the language ``lang``, or in the browser's without one.
    """
    app = Dash(
        "facetally", title="facetally", update_title="", serve_locally=True, index_string=HTML,
        assets_folder=str(Path(__file__).parent / "assets"), suppress_callback_exceptions=True,
    )  # fmt: skip
    view, first = View(reader, now), FirstScreen(reader, now)
    app.layout = lambda: layout(view.sites(), str(zone), _language(lang), login=login)
    _add_address(app)
    _add_refresh(app, view)
    _add_first_screen(app, first)
    _add_below(app)
    _add_live(app, view)
    _add_overview(app, view)
    _add_heatmap(app, view)
    _add_comparison(app, view)
    _add_download(app, view)
    check_updates(app)
    share_updates(app, view.fresh)
    compress_responses(app.server)
    app.server.add_url_rule("/healthz", "healthz", lambda: _healthz(reader.root))
    return app


def _language(configured: str | None) -> Language:
    """Return the reader's language, which assets/page.js keeps in a cookie."""
    if not has_request_context():
        return chosen_language(configured)
    return requested_language(request.cookies.get("lang"), request.headers.get("Accept-Language", ""), configured)


def _healthz(root: Path) -> tuple[Response, int]:
    """Return 200 while the store exists, 503 otherwise."""
    exists = root.is_dir()
    body = {"status": "ok" if exists else "no store", "devices": len(read_devices(root))}
    return jsonify(body), 200 if exists else 503


def _add_address(app: Dash) -> None:
    """Set the controls from the address when the page is opened, and keep the address up to date (assets/page.js)."""
    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("facetally", "restore"),
        [Output(*control) for control in CONTROLS.values()],
        Input("defaults", "data"),
    )
    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("facetally", "remember"),
        Output("address", "data"),
        [Input(*control) for control in CONTROLS.values()],
        State("defaults", "data"),
    )


def _add_refresh(app: Dash, view: View) -> None:
    """Ask for new data every few seconds, and redraw only when some has arrived."""

    @app.callback(Output("fresh", "data"), Input("tick", "n_intervals"), State("fresh", "data"))
    def fresh(_tick: int | None, before: str | None) -> Any:
        now = view.fresh()
        return no_update if now == before else now

    @app.callback(
        Output("sites", "options"),
        Output("other", "options"),
        Input("fresh", "data"),
        State("sites", "options"),
        State("lang", "value"),
    )
    def sites(_fresh: str | None, before: Any, lang: Any) -> Any:
        now = view.sites()
        every = {"label": chosen_language(lang).gettext("all sites"), "value": ""}
        return (no_update, no_update) if now == before else (now, [every, *now])


def _add_first_screen(app: Dash, first: FirstScreen) -> None:
    """Draw banner, tiles, ranked sites and receipt when data has arrived or a control has changed."""

    @app.callback(Output("banner", "children"), Input("fresh", "data"), Input("lang", "value"))
    def banner(_fresh: str | None, lang: Any) -> Any:
        return first.banner(chosen_language(lang))

    @app.callback(
        output={
            "tiles": Output("figures", "children"),
            "sites": Output("ranking", "children"),
            "notice": Output("notice", "children"),
            "label": Output("label", "options"),
            "labels": Output("labels", "options"),
            "sets": Output("set", "options"),
        },
        inputs={"_fresh": Input("fresh", "data"), "controls": _inputs(*OF_FIGURES, "sort")},
    )
    def figures(_fresh: str | None, controls: dict[str, Any]) -> Any:
        shown, words = first.figures(controls), chosen_language(controls["lang"])
        names = [{"label": words.label(name), "value": name} for name in shown.labels]
        sets = [{"label": set_name(each, words), "value": each.name} for each in shown.sets]
        return {
            "tiles": shown.tiles,
            "sites": shown.sites,
            "notice": shown.notice,
            "label": [{"label": words.gettext("the default"), "value": ""}, *names],
            "labels": names,
            "sets": [{"label": words.gettext("those with the most visits"), "value": ""}, *sets],
        }

    @app.callback(
        Output("receipt-panel", "children"),
        inputs={"_fresh": Input("fresh", "data"), "controls": _inputs(*OF_FIGURES, "receipt")},
    )
    def receipt(_fresh: str | None, controls: dict[str, Any]) -> Any:
        return first.receipt(controls)

    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("facetally", "nameSites"),
        Output("sites-chosen", "children"),
        Input("sites", "value"),
        State("words", "data"),
    )


def _add_below(app: Dash) -> None:
    """Send the sections below the first screen when they come into view."""

    @app.callback(
        Output("below", "children"), Input("in-view", "data"), State("lang", "value"), prevent_initial_call=True
    )
    def below(in_view: bool | None, lang: Any) -> Any:
        return sections(chosen_language(lang)) if in_view else no_update


def _add_live(app: Dash, view: View) -> None:
    """Draw the last hour and the devices when data has arrived or a control has changed."""

    @app.callback(
        output={"live": _chart_outputs("live"), "clock": Output("as-of", "children")},
        inputs={"_fresh": Input("fresh", "data"), "controls": _inputs("sites", "zone", "set", "lang")},
    )
    def live(_fresh: str | None, controls: dict[str, Any]) -> Any:
        chart, clock = view.live(controls)
        return {"live": _chart_values(chart), "clock": clock}

    @app.callback(
        Output("devices", "children"),
        inputs={
            "_fresh": Input("fresh", "data"),
            "controls": _inputs("sites", "zone", "lang"),
            "group": Input("group", "value"),
        },
    )
    def devices(_fresh: str | None, controls: dict[str, Any], group: Any) -> Any:
        return view.device_table(controls, group)

    @app.callback(
        output={"options": Output("group", "options"), "hidden": Output("groups", "hidden")},
        inputs={"_fresh": Input("fresh", "data"), "lang": Input("lang", "value")},
    )
    def groups(_fresh: str | None, lang: Any) -> Any:
        names = view.groups()
        every = {"label": chosen_language(lang).gettext("all"), "value": ""}
        return {"options": [every, *({"label": name, "value": name} for name in names)], "hidden": not names}


def _add_overview(app: Dash, view: View) -> None:
    """Draw the selected period when data has arrived or a control has changed."""

    @app.callback(
        output={
            "trend": _chart_outputs("trend"),
            "shares": _chart_outputs("shares"),
            "totals": Output("totals", "children"),
        },
        inputs={"_fresh": Input("fresh", "data"), "controls": _inputs(*OF_CHARTS, "by", "labels")},
    )
    def overview(_fresh: str | None, controls: dict[str, Any]) -> Any:
        shown = view.overview(controls)
        return {"trend": _chart_values(shown.trend), "shares": _chart_values(shown.shares), "totals": shown.totals}


def _add_heatmap(app: Dash, view: View) -> None:
    @app.callback(
        output={"heat": _chart_outputs("heat"), "heat_of": Output("heat-of", "options")},
        inputs={
            "_fresh": Input("fresh", "data"),
            "controls": _inputs(*OF_CHARTS),
            "heat_of": Input("heat-of", "value"),
        },
    )
    def heatmap(_fresh: str | None, controls: dict[str, Any], heat_of: Any) -> Any:
        chart, names = view.heatmap(controls, heat_of)
        language = chosen_language(controls["lang"])
        labels = [{"label": language.label(name), "value": name} for name in names]
        every = {"label": language.gettext("all"), "value": "visits"}
        return {"heat": _chart_values(chart), "heat_of": [every, *labels]}


def _add_comparison(app: Dash, view: View) -> None:
    @app.callback(
        output=_chart_outputs("comparison"),
        inputs={"_fresh": Input("fresh", "data"), "controls": _inputs(*OF_COMPARISON)},
    )
    def comparison(_fresh: str | None, controls: dict[str, Any]) -> Any:
        return _chart_values(view.comparison(controls))


def _add_download(app: Dash, view: View) -> None:
    @app.callback(
        output=Output("file", "data"),
        inputs={
            "clicks": [Input(f"as-{kind}", "n_clicks") for kind in FORMATS],
            "controls": {name: State(*CONTROLS[name]) for name in (*OF_PERIOD, "by")},
        },
        prevent_initial_call=True,
    )
    def download(clicks: list[int | None], controls: dict[str, Any]) -> Any:
        if not any(clicks):
            return no_update  # the buttons have just come into view
        try:
            name, content = view.download(controls, str(ctx.triggered_id).removeprefix("as-"))
        except InvalidSelection:
            return no_update  # the charts show what is wrong
        return {"filename": name, "content": b64encode(content).decode(), "base64": True}


def _inputs(*names: str) -> dict[str, Input]:
    """Return the inputs that the values of some controls are."""
    return {name: Input(*CONTROLS[name]) for name in names}


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
