"""GET requests -> answers. What they hold is made elsewhere; here are only the paths."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
from flask import Blueprint, Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from collector.analysis.query import Reader
from collector.api import answers, metrics, problems
from collector.api.counts import counts
from collector.api.guard import Guard
from collector.api.openapi import CSV, JSON, PARQUET, PLACE, document
from collector.devices.device import Device
from collector.devices.registry import read_devices
from collector.devices.state import shown_state
from collector.store.load import sites

TYPES = {"json": JSON, "csv": CSV, "parquet": PARQUET}
Q = TypeVar("Q", bound=answers.Query)


@dataclass(frozen=True, slots=True)
class Api:
    """What the answers are made from."""

    reader: Reader
    zone: ZoneInfo
    now: Callable[[], datetime]

    def sites(self) -> Response:
        """All sites."""
        _query(answers.NoQuery)
        known = self._devices()
        names = sorted({*sites(self.reader.root), *(device.site for device in known)})
        return _answer(answers.SitesAnswer(sites=[self._site(name, known) for name in names]))

    def devices(self) -> Response:
        """All devices, or those of a site."""
        asked = _query(answers.DevicesQuery)
        chosen = [device for device in self._devices() if asked.site in (None, device.site)]
        told = [answers.DeviceAnswer.of(device, shown_state(device, self.now())) for device in chosen]
        return _answer(answers.DevicesAnswer(devices=told))

    def counts(self) -> Response:
        """Visits in buckets."""
        asked = _query(answers.CountsQuery)
        body = counts(self.reader, asked, self.zone, self.now())
        notices = {"Facetally-Notices": str(len(self.reader.damages()))}
        return Response(body, headers=notices, content_type=TYPES[asked.format])

    def health(self) -> Response:
        """200 while the store is there, 503 otherwise."""
        _query(answers.NoQuery)
        known = self._devices()
        there = self.reader.root.is_dir()
        told = answers.HealthAnswer(
            status="ok" if there else "no store",
            devices=len(known),
            online=sum(shown_state(device, self.now()) == "online" for device in known),
            last_heard=max((device.seen for device in known if device.seen), default=None),
            last_window=max((device.counted for device in known if device.counted), default=None),
            notices=[str(damage) for damage in self.reader.damages()],
        )
        return _answer(told, 200 if there else 503)

    def metrics(self) -> Response:
        """For Prometheus."""
        return Response(metrics.text(self.reader, self.now), content_type=CONTENT_TYPE_LATEST)

    def _devices(self) -> tuple[Device, ...]:
        return read_devices(self.reader.root)

    def _site(self, name: str, known: tuple[Device, ...]) -> answers.SiteAnswer:
        states = [shown_state(device, self.now()) for device in known if device.site == name]
        return answers.SiteAnswer(site=name, devices=len(states), online=states.count("online"))


def mount(app: Flask, api: Api, guard: Guard) -> None:
    """Serve the API beside what the application serves already."""
    routes = Blueprint("api", __name__)
    routes.before_request(lambda: guard.check(request))
    for name, view in (("sites", api.sites), ("devices", api.devices), ("counts", api.counts), ("health", api.health)):
        routes.add_url_rule(f"{PLACE}/{name}", name, view)
    routes.add_url_rule("/metrics", "metrics", api.metrics)
    routes.add_url_rule("/api/<path:rest>", "nothing", _nothing)  # or the page, which answers everything, would
    app.register_blueprint(routes)
    text = msgspec.json.encode(document())
    app.add_url_rule(f"{PLACE}/openapi.json", "openapi", lambda: Response(text, content_type=JSON))
    problems.install(app)


def _nothing(rest: str) -> Response:
    raise problems.Refused(404, f"/api/{rest}: see {PLACE}/openapi.json")


def _query(kind: type[Q]) -> Q:
    """The request's parameters as the struct says; Refused with 400 otherwise."""
    given = request.args.to_dict(flat=False)
    for name, values in given.items():
        if len(values) > 1:
            raise problems.Refused(400, f"{name}: said twice")
    try:
        return msgspec.convert({name: values[0] for name, values in given.items()}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise problems.Refused(400, str(error)) from error


def _answer(told: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(told), status, content_type=JSON)
