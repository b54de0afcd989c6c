"""The HTTP API: what it answers, to whom, how often, and how it says no."""

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

from base.errors import SettingsError
from collector.analysis.query import Reader
from collector.api.guard import Guard
from collector.api.openapi import document
from collector.api.routes import Api, mount
from collector.devices.registry import Devices
from collector.settings import Api as ApiSettings
from contract.message import Health, Status
from contract.topics import Address
from tests.support.store import SEVEN, put, window

NOW = datetime(2026, 3, 29, 3, 0, tzinfo=timezone.utc)
BOOT = "0" * 16
TOKEN = "0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An hour of two sites, three and one happy visits a minute, ten minutes of the first missing."""
    for site, visits in (("shop-1", 3), ("shop-2", 1)):
        counts = dict.fromkeys(SEVEN, 0) | {"happiness": visits}
        put(tmp_path, *(window(n, counts, site=site) for n in range(1, 61) if site == "shop-2" or not 20 <= n < 30))
    devices = Devices(tmp_path)
    devices.note(Address("shop-1", "door", "status"), Status(schema=1, state="online", boot=BOOT), False, NOW)
    health = Health(
        schema=1, boot=BOOT, time=NOW, uptime_s=1, frames_per_s=14.25, latency_ms={}, frames_dropped=0, spool_depth=12,
        spool_dropped=0, oldest_unsent=None, memory_mb=90, temperature_c=None, throttled=False, clock="synced",
        versions={},
    )  # fmt: skip
    devices.note(Address("shop-1", "door", "health"), health, False, NOW)
    devices.save()
    return tmp_path


def client(root: Path, token: str | None = None, per_minute: int = 10_000) -> FlaskClient:
    app = Flask("test")
    mount(app, Api(Reader(root, lambda: NOW), ZoneInfo("UTC"), lambda: NOW), Guard(token, per_minute))
    return app.test_client()


def ask(root: Path, path: str) -> Any:
    answer = client(root).get(path)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.data)


def test_sites_and_devices(store: Path) -> None:
    """A site that has rows but no device that was heard of is one; null is what nobody knows."""
    assert ask(store, "/api/v1/sites")["sites"] == [
        {"site": "shop-1", "devices": 1, "online": 1},
        {"site": "shop-2", "devices": 0, "online": 0},
    ]
    (device,) = ask(store, "/api/v1/devices?site=shop-1")["devices"]
    assert (device["state"], device["boot"], device["model"]) == ("online", BOOT, None)
    assert device["health"]["spool_depth"] == 12
    assert ask(store, "/api/v1/devices?site=shop-9")["devices"] == []


def test_counts_by_hour_keep_zero_and_nothing_apart(store: Path) -> None:
    """150 and 60 visits in the hour that has them, null in the hours that nobody watched."""
    told = ask(store, "/api/v1/counts?bucket=hour&since=2026-03-29T00:00:00Z&until=2026-03-29T03:00:00Z")
    assert [row["visits"] for row in told["rows"]] == [210.0, None, None]
    assert told["rows"][-1]["counts"]["happiness"] is None
    assert told["rows"][-1]["windows"] == 0
    assert told["rows"][0]["start"] == "2026-03-29T00:00:00Z"
    assert told["labels"] == list(SEVEN)


def test_counts_of_one_site_and_device(store: Path) -> None:
    """By site and by device; a device that is not there has no row."""
    by_site = ask(store, "/api/v1/counts?bucket=site")["rows"]
    assert {row["site"]: row["visits"] for row in by_site} == {"shop-1": 150.0, "shop-2": 60.0}
    (row,) = ask(store, "/api/v1/counts?bucket=device&site=shop-2")["rows"]
    assert (row["site"], row["device"], row["visits"]) == ("shop-2", "door", 60.0)
    assert ask(store, "/api/v1/counts?bucket=device&device=till")["rows"] == []
    assert ask(store, "/api/v1/counts?bucket=weekday")["rows"][0]["weekday"] == "Monday"


def test_csv_and_parquet_hold_the_same_as_json(store: Path) -> None:
    """The same sums, whichever way they are read."""
    path = "/api/v1/counts?bucket=site&format="
    csv = client(store).get(path + "csv")
    parquet = client(store).get(path + "parquet")
    assert csv.content_type == "text/csv"
    assert parquet.content_type == "application/vnd.apache.parquet"
    sums = [pd.read_csv(BytesIO(csv.data)), pd.read_parquet(BytesIO(parquet.data))]
    assert [list(frame["visits"]) for frame in sums] == [[150.0, 60.0]] * 2


def test_doubtful_visits_are_told_where_there_are_some(store: Path) -> None:
    """JSON has both numbers in rows with doubts only; CSV has the columns always."""
    put(store, window(70, site="shop-2", schema=2, doubtful_low=2, doubtful_high=1), writer="w2")
    one, two = ask(store, "/api/v1/counts?bucket=site")["rows"]
    assert "doubtful_low" not in one and "doubtful_high" not in one
    assert (two["visits"], two["doubtful_low"], two["doubtful_high"]) == (63, 2, 1)
    frame = pd.read_csv(BytesIO(client(store).get("/api/v1/counts?bucket=site&format=csv").data))
    assert frame[["visits", "doubtful_low", "doubtful_high"]].to_numpy().tolist() == [[150, 0, 0], [63, 2, 1]]


def test_days_are_those_of_the_zone(store: Path) -> None:
    """In Berlin, 29 March 2026 has 23 hours."""
    told = ask(store, "/api/v1/counts?zone=Europe/Berlin&since=2026-03-28T23:00:00Z&until=2026-03-29T22:00:00Z")
    assert [row["seconds"] for row in told["rows"]] == [23 * 3600.0]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("colour=red", "unknown field `colour`"),
        ("bucket=month", "month"),
        ("site=../shop-1", "site"),
        ("site=shop-1&site=shop-2", "site: said twice"),
        ("zone=Mars/Base", "Europe/Berlin"),
        ("zone=../etc/passwd", "Europe/Berlin"),
        ("since=yesterday", "since"),
        ("since=2026-03-29T00:00:00", "since"),
        ("since=2026-03-29T00:00:00Z&until=2026-03-28T00:00:00Z", "since is before until"),
        ("since=0001-01-01T00:00:00Z", "from 2000 to 2200"),
        ("bucket=hour&since=2025-01-01T00:00:00Z", "at most 100 days by hour"),
        ("since=2020-01-01T00:00:00Z", "at most 1100 days"),
    ],
)
def test_a_wrong_parameter_is_a_problem_document(store: Path, query: str, says: str) -> None:
    """400, with what is wrong; RFC 9457."""
    answer = client(store).get(f"/api/v1/counts?{query}")
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    problem = json.loads(answer.data)
    assert problem["status"] == 400
    assert says in problem["detail"]


def test_other_refusals_are_problem_documents_too(store: Path) -> None:
    """What is not there and what is not GET."""
    for method, path, status in (("get", "/api/v1/faces", 404), ("post", "/api/v1/counts", 405)):
        answer = getattr(client(store), method)(path)
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_a_damaged_file_is_named_beside_the_others_counts(store: Path) -> None:
    """A junk line and a file that is not ours: the other rows count; answers and figures say what is missing."""
    own, other = sorted(store.glob("date=2026-03-29/site=*/*.csv"))
    own.write_text(own.read_text().replace("\n1,", "\nx,", 1))
    other.write_text("a,b\n1,2\n")
    asking = client(store)
    answer = asking.get("/api/v1/counts?bucket=site&since=2026-03-29T00:00:00Z")
    told = json.loads(answer.data)
    assert [(row["site"], row["visits"]) for row in told["rows"]] == [("shop-1", 147.0)]
    assert [notice.split(": ")[1] for notice in told["notices"]] == ["1 row left out", "left out"]
    assert answer.headers["Facetally-Notices"] == "2"
    assert json.loads(asking.get("/api/v1/health").data)["notices"] == told["notices"]
    assert str(store) not in answer.text
    text = asking.get("/metrics").text
    assert "facetally_store_damaged_files 2.0" in text
    assert "facetally_store_left_out_rows 1.0" in text


def test_without_the_token_nothing_is_told(store: Path) -> None:
    """401 for none, a wrong one and another scheme; the document of the API itself is open."""
    guarded = client(store, TOKEN)
    for path in ("/api/v1/sites", "/api/v1/counts", "/metrics"):
        for header in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
            answer = guarded.get(path, headers=header)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert guarded.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.get("/api/v1/openapi.json").status_code == 200


def test_too_many_requests_are_told_when_to_come_again(store: Path) -> None:
    """The fourth of three a minute is 429 with Retry-After, also for who has no token."""
    hasty = client(store, TOKEN, per_minute=3)
    assert [hasty.get("/api/v1/sites").status_code for _ in range(4)] == [401, 401, 401, 429]
    refused = hasty.get("/api/v1/sites")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.content_type == "application/problem+json"


def test_health_is_503_without_a_store(store: Path, tmp_path: Path) -> None:
    told = ask(store, "/api/v1/health")
    assert (told["status"], told["devices"], told["online"]) == ("ok", 1, 1)
    assert client(tmp_path / "none").get("/api/v1/health").status_code == 503


def test_metrics_are_prometheus_text(store: Path) -> None:
    """Each device with its figures; what it did not say is left out."""
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(client(store).get("/metrics").text)}
    (up,) = families["facetally_device_up"].samples
    assert (up.labels, up.value) == ({"site": "shop-1", "device": "door"}, 1.0)
    assert families["facetally_device_spool_windows"].samples[0].value == 12
    assert families["facetally_device_last_heard_timestamp_seconds"].samples[0].value == NOW.timestamp()
    assert not families["facetally_device_temperature_celsius"].samples


@pytest.mark.parametrize(("text", "says"), [("short\n", "16 ASCII"), ("é" * 20, "16 ASCII"), (None, "No such file")])
def test_a_token_that_is_none_is_refused(tmp_path: Path, text: str | None, says: str) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=says):
        ApiSettings(token_file=str(file)).token()
    file.write_text(f"{TOKEN}\n# mine\n")
    assert ApiSettings(token_file=str(file)).token() == TOKEN


def test_the_document_names_every_path(store: Path) -> None:
    """What the document says is there answers 200, and each schema that it names is in it."""
    paths = document()["paths"]
    assert {client(store).get(path).status_code for path in paths} == {200}
    assert set(paths) == {*(f"/api/v1/{name}" for name in ("sites", "devices", "counts", "health")), "/metrics"}
    assert (NOW - timedelta(days=7)).isoformat()[:10] in client(store).get("/api/v1/counts").text
