"""The HTTP API: responses, access, rate limit and errors."""

import json
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from flask import Flask
from flask.testing import FlaskClient
from msgspec.structs import replace

from base.errors import SettingsError
from collector.api import recounts
from collector.api.guard import Guard
from collector.api.openapi import document
from collector.api.routes import Api, mount
from collector.devices.attention import TITLES
from collector.devices.groups import Groups
from collector.devices.registry import DeviceRegistry
from collector.reading.reader import Reader
from collector.recount.recounts import Recounts
from collector.settings import Api as ApiSettings
from contract.health import Health
from contract.message import Status
from contract.topics import Address
from tests.support.messages import MESSAGES
from tests.support.store import SEVEN, put, window

NOW = datetime(2026, 3, 29, 3, 0, tzinfo=timezone.utc)
BOOT = "0" * 16
TOKEN = "0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """One hour of two sites with three and one happy visits a minute; the first lacks ten minutes."""
    for site, visits in (("shop-1", 3), ("shop-2", 1)):
        counts = dict.fromkeys(SEVEN, 0) | {"happiness": visits}
        put(tmp_path, *(window(n, counts, site=site) for n in range(1, 61) if site == "shop-2" or not 20 <= n < 30))
    devices = DeviceRegistry(tmp_path)
    devices.record(Address("shop-1", "door", "status"), Status(schema=1, state="online", boot=BOOT), False, NOW)
    health = Health(
        schema=1, boot=BOOT, time=NOW, uptime_s=1, frames_per_s=14.25, latency_ms={}, frames_dropped=0, spool_depth=12,
        spool_dropped=0, oldest_unsent=None, memory_mb=90, temperature_c=None, throttled=False, clock="synced",
        versions={},
    )  # fmt: skip
    devices.record(Address("shop-1", "door", "health"), health, False, NOW)
    devices.save()
    return tmp_path


def client(root: Path, token: str | None = None, per_minute: int = 10_000) -> FlaskClient:
    app = Flask("test")
    guard = Guard(token, per_minute)
    mount(app, Api(Reader(root, lambda: NOW), ZoneInfo("UTC"), lambda: NOW), guard)
    recounts.mount(app, Recounts(root, lambda: NOW), guard, Reader(root, lambda: NOW).permits)
    return app.test_client()


def ask(root: Path, path: str) -> Any:
    answer = client(root).get(path)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.data)


def test_sites_and_devices(store: Path) -> None:
    """A site with rows but without a known device is listed; unknown fields are null."""
    assert ask(store, "/api/v1/sites")["sites"] == [
        {"site": "shop-1", "devices": 1, "online": 1},
        {"site": "shop-2", "devices": 0, "online": 0},
    ]
    (device,) = ask(store, "/api/v1/devices?site=shop-1")["devices"]
    assert (device["state"], device["boot"], device["model"]) == ("online", BOOT, None)
    assert device["health"]["spool_depth"] == 12
    assert (device["needs"], device["shadows"]) == ([], [])


def test_devices_of_a_group(store: Path, tmp_path: Path) -> None:
    """The groups are those of the fleet; a device that it does not have is in none."""
    file = tmp_path / "groups.csv"
    file.write_text("site,device,group\nshop-1,door,north\n")
    app = Flask("test")
    mount(app, Api(Reader(store, lambda: NOW, groups=Groups(file)), ZoneInfo("UTC"), lambda: NOW), Guard(None, 100))
    (device,) = json.loads(app.test_client().get("/api/v1/devices?group=north").data)["devices"]
    assert (device["device"], device["group"]) == ("door", "north")
    answer = app.test_client().get("/api/v1/devices?group=west")
    assert (answer.status_code, "there is no group west" in answer.text) == (404, True)
    assert ask(store, "/api/v1/devices")["devices"][0]["group"] is None


def test_a_device_says_what_needs_a_person_and_how_a_shadow_agrees(store: Path) -> None:
    """The same words as on the page, the most urgent first; the agreement tables are beside it."""
    devices = DeviceRegistry(store)
    table = MESSAGES["shadow-1"]
    failed = replace(MESSAGES["health-4"], boot=BOOT, time=NOW, shared_with=None)
    devices.record(Address("shop-1", "door", "shadow"), table, False, NOW)
    devices.record(Address("shop-1", "door", "health"), failed, False, NOW)
    devices.save()
    (device,) = ask(store, "/api/v1/devices?site=shop-1")["devices"]
    needs = {each["kind"]: each for each in device["needs"]}
    assert list(needs) == sorted(needs, key=list(TITLES).index)
    assert needs["update"] == {"kind": "update", "text": "Update failed", "detail": failed.update_failed}
    assert [each["table"] for each in device["shadows"]] == [[list(row) for row in table.table]]


def test_counts_by_hour_keep_zero_and_no_data_apart(store: Path) -> None:
    """Hours without data have null visits, not 0."""
    body = ask(store, "/api/v1/counts?bucket=hour&since=2026-03-29T00:00:00Z&until=2026-03-29T03:00:00Z")
    assert [row["visits"] for row in body["rows"]] == [210.0, None, None]
    assert body["rows"][-1]["counts"]["happiness"] is None
    assert body["rows"][-1]["windows"] == 0
    assert body["rows"][0]["start"] == "2026-03-29T00:00:00Z"
    assert body["labels"] == list(SEVEN)


def test_counts_of_one_site_and_device(store: Path) -> None:
    """Counts can be by site and by device."""
    by_site = ask(store, "/api/v1/counts?bucket=site")["rows"]
    assert {row["site"]: row["visits"] for row in by_site} == {"shop-1": 150.0, "shop-2": 60.0}
    (row,) = ask(store, "/api/v1/counts?bucket=device&site=shop-2")["rows"]
    assert (row["site"], row["device"], row["visits"]) == ("shop-2", "door", 60.0)
    assert ask(store, "/api/v1/counts?bucket=weekday")["rows"][0]["weekday"] == "Monday"


def test_csv_and_parquet_hold_the_same_as_json(store: Path) -> None:
    """All formats have the same sums."""
    path = "/api/v1/counts?bucket=site&format="
    csv = client(store).get(path + "csv")
    parquet = client(store).get(path + "parquet")
    assert csv.content_type == "text/csv"
    assert parquet.content_type == "application/vnd.apache.parquet"
    sums = [pd.read_csv(BytesIO(csv.data)), pd.read_parquet(BytesIO(parquet.data))]
    assert [list(frame["visits"]) for frame in sums] == [[150.0, 60.0]] * 2


def test_doubtful_visits_are_in_rows_that_have_some(store: Path) -> None:
    """JSON has both numbers only in rows with doubtful visits; CSV always has the columns."""
    put(store, window(70, site="shop-2", schema=2, doubtful_low=2, doubtful_high=1), writer="w2")
    one, two = ask(store, "/api/v1/counts?bucket=site")["rows"]
    assert "doubtful_low" not in one and "doubtful_high" not in one
    assert (two["visits"], two["doubtful_low"], two["doubtful_high"]) == (63, 2, 1)
    frame = pd.read_csv(BytesIO(client(store).get("/api/v1/counts?bucket=site&format=csv").data))
    assert frame[["visits", "doubtful_low", "doubtful_high"]].to_numpy().tolist() == [[150, 0, 0], [63, 2, 1]]


def test_days_are_those_of_the_zone(store: Path) -> None:
    """The day of the clock change in Berlin has 23 hours."""
    body = ask(store, "/api/v1/counts?zone=Europe/Berlin&since=2026-03-28T23:00:00Z&until=2026-03-29T22:00:00Z")
    assert [row["seconds"] for row in body["rows"]] == [23 * 3600.0]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("colour=red", "unknown key 'colour'; allowed: "),
        ("site=../shop-1", "site"),
        ("site=shop-1&site=shop-2", "site: must be given once, is given 2 times"),
        ("zone=Mars/Base", "Europe/Berlin"),
        ("zone=../etc/passwd", "Europe/Berlin"),
        ("since=yesterday", "since"),
        ("since=2026-03-29T00:00:00", "since"),
        ("since=2026-02-30", "since: must be a date or a time, is 2026-02-30"),
        ("by=day,week", "at most one of hour, day, week, month, weekday, or both weekday and hour, has day,week"),
        ("by=day,day", "each name must be given once"),
        ("bucket=total&by=site", "total must stand alone"),
        ("by=minute", "by"),
        ("site=shop-1,", "site"),
        ("corrected=yes", "corrected"),
        ("limit=0", "limit"),
        ("bucket=hour&corrected=1&since=2026-01-01", "at most 400 rows with corrected=1"),
        ("since=2026-03-29T00:00:00Z&until=2026-03-28T00:00:00Z", "since: must be before until"),
        ("since=0001-01-01T00:00:00Z", "from 2000 to 2200"),
        ("bucket=hour&since=2025-01-01T00:00:00Z", "must be at most 100 days apart for bucket=hour"),
        ("since=2020-01-01T00:00:00Z", "must be at most 1100 days apart"),
    ],
)
def test_a_wrong_parameter_is_a_problem_document(store: Path, query: str, message: str) -> None:
    """The response is 400 with a problem document (RFC 9457) that names the parameter."""
    answer = client(store).get(f"/api/v1/counts?{query}")
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    problem = json.loads(answer.data)
    assert problem["status"] == 400
    assert message in problem["detail"]


def test_other_errors_are_problem_documents_too(store: Path) -> None:
    """Unknown paths and methods other than GET get problem documents."""
    for method, path, status in (("get", "/api/v1/faces", 404), ("post", "/api/v1/counts", 405)):
        answer = getattr(client(store), method)(path)
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_a_damaged_file_is_reported_with_the_other_counts(store: Path) -> None:
    """An invalid row and an unknown file are left out; responses and metrics report them."""
    own, other = sorted(store.glob("date=2026-03-29/site=*/*.csv"))
    own.write_text(own.read_text().replace("\n1,", "\nx,", 1))
    other.write_text("a,b\n1,2\n")
    asking = client(store)
    answer = asking.get("/api/v1/counts?bucket=site&since=2026-03-29T00:00:00Z")
    body = json.loads(answer.data)
    assert [(row["site"], row["visits"]) for row in body["rows"]] == [("shop-1", 147.0)]
    assert [notice.split(": ")[1] for notice in body["notices"]] == ["1 row left out", "left out"]
    assert answer.headers["Facetally-Notices"] == "2"
    assert json.loads(asking.get("/api/v1/health").data)["notices"] == body["notices"]
    assert str(store) not in answer.text
    text = asking.get("/metrics").text
    assert "facetally_store_damaged_files 2.0" in text
    assert "facetally_store_left_out_rows 1.0" in text


def test_without_the_token_every_path_is_refused(store: Path) -> None:
    """A missing or wrong token and another scheme get 401; the OpenAPI document is open."""
    guarded = client(store, TOKEN)
    for path in ("/api/v1/sites", "/api/v1/counts", "/metrics"):
        for header in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
            answer = guarded.get(path, headers=header)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert guarded.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.get("/api/v1/openapi.json").status_code == 200


def test_too_many_requests_get_retry_after(store: Path) -> None:
    """With three requests a minute allowed, the fourth gets 429 with Retry-After, also without a token."""
    hasty = client(store, TOKEN, per_minute=3)
    assert [hasty.get("/api/v1/sites").status_code for _ in range(4)] == [401, 401, 401, 429]
    refused = hasty.get("/api/v1/sites")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.content_type == "application/problem+json"


def test_health_is_503_without_a_store(store: Path, tmp_path: Path) -> None:
    body = ask(store, "/api/v1/health")
    assert (body["status"], body["devices"], body["online"]) == ("ok", 1, 1)
    assert client(tmp_path / "none").get("/api/v1/health").status_code == 503


def test_metrics_are_prometheus_text(store: Path) -> None:
    """Each device has a sample per metric; values it did not report are left out."""
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(client(store).get("/metrics").text)}
    (up,) = families["facetally_device_up"].samples
    assert (up.labels, up.value) == ({"site": "shop-1", "device": "door"}, 1.0)
    assert families["facetally_device_spool_windows"].samples[0].value == 12
    assert families["facetally_device_last_heard_timestamp_seconds"].samples[0].value == NOW.timestamp()
    assert not families["facetally_device_temperature_celsius"].samples


@pytest.mark.parametrize(("text", "message"), [("short\n", "16 ASCII"), ("é" * 20, "16 ASCII"), (None, "No such file")])
def test_an_unusable_token_file_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        ApiSettings(token_file=str(file)).token()
    file.write_text(f"{TOKEN}\n# mine\n")
    assert ApiSettings(token_file=str(file)).token() == TOKEN


def test_the_document_names_every_path(store: Path) -> None:
    """Every path in the OpenAPI document that can be read answers 200, and no path is missing from it."""
    paths = document()["paths"]
    readable = {path for path, methods in paths.items() if "get" in methods}
    assert {client(store).get(path).status_code for path in readable} == {200}
    names = ("sites", "devices", "counts", "recounts", "health")
    assert readable == {*(f"/api/v1/{name}" for name in names), "/metrics"}
    assert set(paths) - readable == {"/api/v1/recounts/sessions/{id}"}
    assert (NOW - timedelta(days=7)).isoformat()[:10] in client(store).get("/api/v1/counts").text
