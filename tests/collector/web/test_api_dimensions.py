"""The HTTP API by any pair of dimensions, for several sites, in all formats, page by page, with corrected shares."""

import json
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest
from flask import Flask
from flask.testing import FlaskClient

from collector.api.guard import Guard
from collector.api.routes import Api, mount
from collector.devices.registry import DeviceRegistry
from collector.reading.reader import Reader
from contract.topics import Address
from tests.support.device_models import model
from tests.support.store import SEVEN, put, window

NOW = datetime(2026, 3, 29, 3, 0, 30, tzinfo=timezone.utc)
MIX = dict.fromkeys(SEVEN, 0) | {"happiness": 3, "neutral": 9, "unknown": 2}
COUNTS = "/api/v1/counts?since=2026-03-01&until=2026-03-29&"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """Three days of three shops by hour, in Berlin; the third has other labels."""
    root: Path = tmp_path_factory.mktemp("store")
    for site in ("shop-1", "shop-2", "shop-3"):
        visits = MIX if site != "shop-3" else {"young": 1, "old": 2, "unknown": 0}
        starts = [NOW.replace(second=0) - timedelta(hours=n) for n in range(1, 73)]
        put(
            root,
            *(window(n, visits, start, site=site, end=start + timedelta(hours=1)) for n, start in enumerate(starts)),
        )
    devices = DeviceRegistry(root)
    for site in ("shop-1", "shop-2"):
        devices.record(Address(site, "door", "model"), model(), False, NOW)
    devices.save()
    app = Flask("test")
    zone = ZoneInfo("Europe/Berlin")
    mount(app, Api(Reader(root, lambda: NOW), zone, lambda: NOW), Guard(None, 100_000))
    return app.test_client()


def ask(client: FlaskClient, query: str) -> Any:
    answer = client.get(query)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.data)


@pytest.mark.parametrize(
    ("query", "keys", "rows"),
    [
        ("bucket=day&by=site", {"start", "site"}, 28 * 3), ("bucket=month", {"start"}, 1), ("by=week", {"start"}, 5),
        ("by=site,month", {"start", "site"}, 3), ("by=weekday,hour", {"weekday", "hour"}, 168),
        ("by=device,label", {"site", "device", "label"}, 3 * 10), ("by=total", set(), 1),
        ("by=label", {"label"}, 10), ("by=site&site=shop-1,shop-3", {"site"}, 2),
    ],
)  # fmt: skip
def test_rows_are_what_was_asked_for(client: FlaskClient, query: str, keys: set[str], rows: int) -> None:
    """Each row is named by the dimensions, and their visits add up to the total."""
    body = ask(client, COUNTS + query)
    named = {"start", "weekday", "hour", "site", "device", "label"}
    assert {name for name in body["rows"][0] if name in named} == keys
    assert len(body["rows"]) == body["total_rows"] == rows
    total = ask(client, COUNTS + "by=total" + ("&site=shop-1,shop-3" if "shop-1" in query else ""))["rows"][0]["visits"]
    assert sum(row["visits"] or 0 for row in body["rows"]) == pytest.approx(total)


def test_a_date_begins_at_midnight_of_the_zone(client: FlaskClient) -> None:
    """28 March in Berlin, which is the default, and in Tokyo."""
    path = "/api/v1/counts?by=total&since=2026-03-28&until=2026-03-29"
    assert ask(client, path)["since"] == "2026-03-27T23:00:00Z"
    assert ask(client, path + "&zone=Asia/Tokyo")["since"] == "2026-03-27T15:00:00Z"


def test_corrected_shares_have_intervals(client: FlaskClient) -> None:
    """There is a row per label with its corrected share; two label sets need a choice."""
    refused = client.get(COUNTS + "corrected=1")
    assert (refused.status_code, json.loads(refused.data)["status"]) == (400, 400)
    assert "label_set: must be given with corrected=1, because the range has 2" in refused.text
    sets = {tuple(each["labels"]): each["label_set"] for each in ask(client, COUNTS + "by=total")["label_sets"]}
    body = ask(client, COUNTS + f"by=site&corrected=1&label_set={sets[SEVEN[:7]]}")
    rows = {(row["site"], row["label"]): row for row in body["rows"]}
    assert len(rows) == 16
    happy = rows["shop-1", "happiness"]
    assert happy["share"] == pytest.approx(0.25)
    assert happy["low"] < happy["corrected"] < happy["high"]
    assert rows["shop-1", "unknown"]["corrected"] is None
    assert sum(rows["shop-2", label]["corrected"] for label in SEVEN[:7]) == pytest.approx(1)
    happy = rows["shop-2", "happiness"]
    only = ask(client, COUNTS + "by=label&corrected=1&site=shop-2")["rows"]
    assert {row["label"]: row["corrected"] for row in only}["happiness"] == pytest.approx(happy["corrected"])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("site=shop-9", "there is no site shop-9"),
        ("site=shop-1,shop-9", "there is no site shop-9"),
        ("device=till", "there is no device till"),
        ("label_set=00000000", "label_set: must be one of this range"),
    ],
)
def test_what_does_not_exist_is_404(client: FlaskClient, query: str, message: str) -> None:
    answer = client.get(COUNTS + query)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert message in json.loads(answer.data)["detail"]
    assert client.get("/api/v1/devices?site=shop-9").status_code == 404


def test_long_answers_come_in_pages(client: FlaskClient) -> None:
    """Following `next` gives each row once; files have the same in the header Link."""
    whole = ask(client, COUNTS + "by=hour,site&site=shop-1,shop-2")["rows"]
    path, found = COUNTS + "by=hour,site&site=shop-1,shop-2&limit=500", []
    while path:
        body = ask(client, path)
        found += body["rows"]
        path = body["next"] and "/api/v1/counts" + body["next"]
    assert found == whole
    answer = client.get(COUNTS + "by=day&limit=10&format=csv")
    assert answer.headers["Facetally-Total-Rows"] == "28"
    following = answer.headers["Link"].partition(">")[0].lstrip("<")
    rest = pd.read_csv(BytesIO(client.get("/api/v1/counts" + following).data))
    assert len(rest) == 10 and rest["day"].iloc[0].startswith("2026-03-11")


def test_all_formats_hold_the_same(client: FlaskClient) -> None:
    path = COUNTS + "by=day,site,label&format="
    csv = pd.read_csv(BytesIO(client.get(path + "csv").data))
    parquet = pd.read_parquet(BytesIO(client.get(path + "parquet").data))
    answer = client.get(path + "arrow")
    assert answer.content_type == "application/vnd.apache.arrow.stream"
    arrow = pa.ipc.open_stream(BytesIO(answer.data)).read_all().to_pandas()
    assert list(csv.columns) == list(parquet.columns) == list(arrow.columns)
    assert list(csv.columns)[:4] == ["day", "site", "label", "visits"]
    assert csv["visits"].sum() == parquet["visits"].sum() == arrow["visits"].sum() > 0
