"""Routes of the HTTP API: from a GET request to its response."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from flask import Blueprint, Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from base.validation_errors import explain
from collector.api import answers, metrics, problems
from collector.api.counts import Answer, counts
from collector.api.guard import Guard
from collector.api.openapi import API_ROOT, ARROW, CSV, JSON, LISTS, PARQUET, document
from collector.api.paging import next_address
from collector.devices.device import Device
from collector.devices.state import shown_state
from collector.reading.attention import by_device, concerns_of
from collector.reading.reader import Reader
from collector.web.freshness import Freshness
from collector.web.recent_result import RecentResults

CONTENT_TYPES = {"json": JSON, "csv": CSV, "parquet": PARQUET, "arrow": ARROW}
MAX_ANSWER_BYTES = 64 * 2**20
"""Size of all answers that are kept."""
RENEW_AFTER_S, MAX_AGE_S = 10.0, 30.0
"""An answer is computed again when it is so old, and may be so old while a newer one is computed."""
Q = TypeVar("Q", bound=answers.Query)


@dataclass(frozen=True, slots=True)
class Api:
    """The views of the API, and what they read from."""

    reader: Reader
    zone: ZoneInfo
    """Zone of hours and days if a request names none."""
    now: Callable[[], datetime]

    _freshness: Freshness = field(init=False)
    _answers: RecentResults = field(
        default_factory=lambda: RecentResults(MAX_ANSWER_BYTES, MAX_AGE_S, _size, renew_after_s=RENEW_AFTER_S)
    )

    def __post_init__(self) -> None:
        """Watch the store for new data."""
        object.__setattr__(self, "_freshness", Freshness(self.reader.root, self.reader.live, self.now))

    def sites(self) -> Response:
        """Return all sites."""
        parameters(answers.NoQuery)
        return Response(self._shared("sites", self._all_sites), content_type=JSON)

    def devices(self) -> Response:
        """Return all devices, or those of some sites."""
        query = parameters(answers.DevicesQuery)
        return Response(self._shared(query, lambda: self._devices_of(query)), content_type=JSON)

    def counts(self) -> Response:
        """Return visits in buckets."""
        query = parameters(answers.CountsQuery)
        found: Answer = self._shared(query, lambda: counts(self.reader, query, self.zone, self.now()))
        headers = {"Facetally-Notices": str(found.notices), "Facetally-Total-Rows": str(found.total_rows)}
        if found.next is not None:
            headers["Link"] = f'<{found.next}>; rel="next"'
        return Response(found.body, headers=headers, content_type=CONTENT_TYPES[query.format])

    def health(self) -> Response:
        """Return 200 while the store exists, 503 otherwise."""
        parameters(answers.NoQuery)
        devices = self.reader.devices()
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

    def _shared(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return what ``compute`` returned for this key, at most `MAX_AGE_S` before data last arrived."""
        return self._answers.get(key, self._freshness.stamp(), compute)

    def _all_sites(self) -> bytes:
        devices = self.reader.devices()
        found = answers.SitesAnswer(sites=[self._site(name, devices) for name in self.reader.sites()])
        return msgspec.json.encode(found)

    def _devices_of(self, query: answers.DevicesQuery) -> bytes:
        known = self.reader.sites()
        missing = [name for name in query.site or () if name not in known]
        if missing:
            raise problems.Refused(404, f"site: there is no site {', '.join(missing)}; {API_ROOT}/sites lists all")
        groups = self.reader.groups()
        unknown = [name for name in query.group or () if name not in groups.values()]
        if unknown:
            raise problems.Refused(404, f"group: there is no group {', '.join(unknown)}; see page.groups")
        devices = [
            device
            for device in self.reader.devices()
            if (query.site is None or device.site in query.site)
            and (query.group is None or groups.get((device.site, device.device)) in query.group)
        ]
        part = devices[query.offset : query.offset + query.limit]
        now = self.now()
        found = by_device(concerns_of(part, self.reader.live, self.reader.conflicting(), now))
        keys = [(device.site, device.device) for device in part]
        rows = [
            answers.DeviceAnswer.of(device, groups.get(key), shown_state(device, now), found.get(key, ()))
            for key, device in zip(keys, part, strict=True)
        ]
        following = next_address(query, len(devices))
        return msgspec.json.encode(answers.DevicesAnswer(devices=rows, total_rows=len(devices), next=following))

    def _site(self, name: str, devices: tuple[Device, ...]) -> answers.SiteAnswer:
        states = [shown_state(device, self.now()) for device in devices if device.site == name]
        return answers.SiteAnswer(site=name, devices=len(states), online=states.count("online"))


def _size(answer: object) -> int:
    """Return the bytes of an answer."""
    body = answer.body if isinstance(answer, Answer) else answer
    assert isinstance(body, bytes)
    return len(body)


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
    listed = {
        name: text.split(",") if name in LISTS and issubclass(kind, answers.PagedQuery) else text
        for name, text in single.items()
    }
    try:
        return msgspec.convert(listed, kind, strict=False)
    except msgspec.ValidationError as error:
        raise problems.Refused(400, explain(str(error), kind, listed)) from error


def _json(body: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, content_type=JSON)
