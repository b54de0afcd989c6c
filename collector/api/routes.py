"""Routes of the HTTP API: from a GET request to its response."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
from flask import Blueprint, Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from base.validation_errors import explain
from collector.analysis.query import Reader
from collector.api import answers, metrics, problems
from collector.api.counts import counts
from collector.api.guard import Guard
from collector.api.openapi import API_ROOT, CSV, JSON, PARQUET, document
from collector.devices.device import Device
from collector.devices.registry import read_devices
from collector.devices.state import shown_state
from collector.store.load import sites

CONTENT_TYPES = {"json": JSON, "csv": CSV, "parquet": PARQUET}
Q = TypeVar("Q", bound=answers.Query)


@dataclass(frozen=True, slots=True)
class Api:
    """The views of the API, and what they read from."""

    reader: Reader
    zone: ZoneInfo
    """Zone of hours and days if a request names none."""
    now: Callable[[], datetime]

    def sites(self) -> Response:
        """Return all sites."""
        parameters(answers.NoQuery)
        devices = self._devices()
        names = sorted({*sites(self.reader.root), *(device.site for device in devices)})
        return _json(answers.SitesAnswer(sites=[self._site(name, devices) for name in names]))

    def devices(self) -> Response:
        """Return all devices, or those of a site."""
        query = parameters(answers.DevicesQuery)
        devices = [device for device in self._devices() if query.site in (None, device.site)]
        rows = [answers.DeviceAnswer.of(device, shown_state(device, self.now())) for device in devices]
        return _json(answers.DevicesAnswer(devices=rows))

    def counts(self) -> Response:
        """Return visits in buckets."""
        query = parameters(answers.CountsQuery)
        body = counts(self.reader, query, self.zone, self.now())
        headers = {"Facetally-Notices": str(len(self.reader.damages()))}
        return Response(body, headers=headers, content_type=CONTENT_TYPES[query.format])

    def health(self) -> Response:
        """Return 200 while the store exists, 503 otherwise."""
        parameters(answers.NoQuery)
        devices = self._devices()
        exists = self.reader.root.is_dir()
        body = answers.HealthAnswer(
            status="ok" if exists else "no store",
            devices=len(devices),
            online=sum(shown_state(device, self.now()) == "online" for device in devices),
            last_heard=max((device.seen for device in devices if device.seen), default=None),
            last_window=max((device.counted for device in devices if device.counted), default=None),
            notices=[str(damage) for damage in self.reader.damages()],
        )
        return _json(body, 200 if exists else 503)

    def metrics(self) -> Response:
        """Return the metrics for Prometheus."""
        return Response(metrics.exposition(self.reader, self.now), content_type=CONTENT_TYPE_LATEST)

    def _devices(self) -> tuple[Device, ...]:
        return read_devices(self.reader.root)

    def _site(self, name: str, devices: tuple[Device, ...]) -> answers.SiteAnswer:
        states = [shown_state(device, self.now()) for device in devices if device.site == name]
        return answers.SiteAnswer(site=name, devices=len(states), online=states.count("online"))


def mount(app: Flask, api: Api, guard: Guard) -> None:
    """Add the API to an application, which may serve the page as well."""
    routes = Blueprint("api", __name__)
    routes.before_request(lambda: guard.check(request))
    for name, view in (("sites", api.sites), ("devices", api.devices), ("counts", api.counts), ("health", api.health)):
        routes.add_url_rule(f"{API_ROOT}/{name}", name, view)
    routes.add_url_rule("/metrics", "metrics", api.metrics)
    routes.add_url_rule("/api/<path:rest>", "unknown", _unknown_path)  # otherwise the page answers every path
    app.register_blueprint(routes)
    text = msgspec.json.encode(document())
    app.add_url_rule(f"{API_ROOT}/openapi.json", "openapi", lambda: Response(text, content_type=JSON))
    problems.install(app)


def _unknown_path(rest: str) -> Response:
    raise problems.Refused(404, f"/api/{rest} does not exist; {API_ROOT}/openapi.json lists all paths")


def parameters(kind: type[Q]) -> Q:
    """Return the request's parameters, checked against the struct; raises Refused with 400."""
    given = request.args.to_dict(flat=False)
    for name, values in given.items():
        if len(values) > 1:
            raise problems.Refused(400, f"{name}: must be given once, is given {len(values)} times")
    single = {name: values[0] for name, values in given.items()}
    try:
        return msgspec.convert(single, kind, strict=False)
    except msgspec.ValidationError as error:
        raise problems.Refused(400, explain(str(error), kind, single)) from error


def _json(body: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, content_type=JSON)
