"""The page shows what is in the store, live and over time, and needs nothing from the internet."""

import math
import re
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from brokers import free_port, wait_until
from test_store import SEVEN, put, window

from collector.devices import Device, Devices
from collector.page import ALL, View, make_page, shown_state
from contract.message import Health, Status
from contract.topics import Address

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc)
BERLIN = ZoneInfo("Europe/Berlin")
BOOT = "0" * 16


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An hour of two sites, with ten minutes missing, and two devices that are known."""
    for site, visits in (("shop-1", 3), ("shop-2", 1)):
        counts = dict.fromkeys(SEVEN, 0) | {"happiness": visits}
        put(tmp_path, *(window(n, counts, site=site) for n in range(1, 61) if not 20 <= n < 30))
    devices = Devices(tmp_path)
    for site in ("shop-1", "shop-2"):
        devices.note(Address(site, "door", "status"), Status(schema=1, state="online", boot=BOOT), False, NOW)
    devices.save()
    return tmp_path


def view(root: Path, now: datetime = NOW) -> View:
    return View(root, BERLIN, lambda: now)


def line_of(figure: Any, name: str) -> list[float | None]:
    (trace,) = [trace for trace in figure.data if trace.name == name]
    return [None if math.isnan(value) else float(value) for value in trace.y]


def text_of(component: Any) -> str:
    """All the text in a tree of Dash components."""
    if isinstance(component, (list, tuple)):
        return " ".join(text_of(part) for part in component)
    return text_of(component.children) if hasattr(component, "children") else str(component or "")


def test_the_live_line_breaks_where_no_window_came(store: Path) -> None:
    """A point a minute, of both sites together, NaN where ten minutes are missing; a choice of site halves it."""
    figure, clock = view(store).live(0, ALL)
    points = line_of(figure, "happiness")
    assert points[:18] == [4.0] * 18
    assert points.count(None) == 10
    assert figure.data[0].connectgaps is False
    assert line_of(view(store).live(0, "shop-2")[0], "happiness")[0] == 1.0
    assert clock == "As of 03:00:00 Europe/Berlin"


def test_the_live_line_follows_the_store(store: Path) -> None:
    """A window that arrives is in the next figure, without a restart."""
    later = NOW + timedelta(minutes=2)
    before = len(line_of(view(store, later).live(1, "shop-1")[0], "happiness"))
    put(store, window(61), window(62), window(63))
    figure, _ = view(store, later).live(2, "shop-1")
    assert len(line_of(figure, "happiness")) == before
    assert line_of(figure, "happiness")[-1] == 3.0


def test_trends_have_the_hours_of_the_zone_and_their_totals(store: Path) -> None:
    """The 24 hours up to 03:00 local on the day that has no 02:00 begin at 02:00 of the day before."""
    figure, totals = view(store).trend(0, ALL, "1", "hour")
    (bars,) = [trace for trace in figure.data if trace.name == "happiness"]
    hours = [datetime.fromisoformat(str(x)[:19]).hour for x in bars.x]
    assert hours == [*range(2, 24), 0, 1]
    assert sum(value for value in line_of(figure, "happiness") if value) == pytest.approx(200)
    assert "happiness 200 100%" in text_of(totals)


def test_an_empty_or_broken_store_says_so(tmp_path: Path, store: Path) -> None:
    """No window, or a file that is not ours: words in place of a figure."""
    (tmp_path / "none").mkdir()
    figure, _ = view(tmp_path / "none").live(0, ALL)
    assert "No window has come" in figure.layout.annotations[0].text
    next(store.glob("date=2026-03-29/site=shop-1/*.csv")).write_text("a,b\n1,2\n")
    assert "first columns" in view(store).live(0, ALL)[0].layout.annotations[0].text
    assert "first columns" in view(store).trend(0, ALL, "7", "day")[0].layout.annotations[0].text


def test_devices_are_listed_with_state_and_last_word(store: Path) -> None:
    """Both at first; of the site chosen only; silent when nothing has been heard for long."""
    assert text_of(view(store).devices(0, ALL)).count("● online") == 2
    later = text_of(view(store, NOW + timedelta(minutes=9)).devices(0, "shop-2"))
    assert "shop-2 door ● silent 9 min ago" in later
    assert "shop-1" not in later


@pytest.mark.parametrize(
    ("state", "minutes", "shown"),
    [("online", 1, "online"), ("online", 6, "silent"), ("offline", 1, "offline"), ("stopping", 99, "stopping")],
)
def test_a_device_that_says_nothing_is_silent(state: str, minutes: int, shown: str) -> None:
    device = Device(site="a", device="b", state=state, seen=NOW - timedelta(minutes=minutes))  # type: ignore[arg-type]
    assert shown_state(device, NOW) == shown


def test_health_of_a_device_is_in_its_row(store: Path) -> None:
    devices = Devices(store)
    health = Health(
        schema=1, boot=BOOT, time=NOW, uptime_s=1, frames_per_s=14.26, latency_ms={}, frames_dropped=0, spool_depth=12,
        spool_dropped=0, oldest_unsent=None, memory_mb=90, temperature_c=61.4, throttled=False, clock="synced",
        versions={},
    )  # fmt: skip
    devices.note(Address("shop-1", "door", "health"), health, False, NOW)
    devices.save()
    assert "0 s ago 14.3 61 12" in text_of(view(store).devices(0, "shop-1"))


def test_the_page_loads_nothing_from_elsewhere(store: Path) -> None:
    """Its HTML names no other host, and every script it names is answered from the installed package."""
    client = make_page(store, BERLIN, lambda: NOW).server.test_client()
    html = client.get("/").get_data(as_text=True)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)
    scripts = re.findall(r'<script src="([^"]+)"', html)
    assert len(scripts) > 3
    assert [path for path in scripts if client.get(path).status_code != 200] == []
    assert 'lang="en"' in html
    assert "prefers-color-scheme: dark" in html


def test_the_page_says_what_it_does_not_know(store: Path) -> None:
    """Apparent expression, uncertainty, and that a track is not a person."""
    client = make_page(store, BERLIN, lambda: NOW).server.test_client()
    layout = client.get("/_dash-layout").get_data(as_text=True)
    assert "apparent expression" in layout
    assert "small differences between bars mean nothing" in layout
    assert "Somebody who looks twice is two visits" in layout
    assert '"shop-2"' in layout


def test_a_choice_is_answered_through_http(store: Path) -> None:
    """What the browser sends when a site is chosen is answered with the figure of that site."""
    client = make_page(store, BERLIN, lambda: NOW).server.test_client()
    asked = {
        "output": "..live.figure...as-of.children..",
        "outputs": [{"id": "live", "property": "figure"}, {"id": "as-of", "property": "children"}],
        "inputs": [
            {"id": "live-tick", "property": "n_intervals", "value": 1},
            {"id": "site", "property": "value", "value": "shop-2"},
        ],
        "changedPropIds": ["site.value"],
    }
    answer = client.post("/_dash-update-component", json=asked)
    assert answer.status_code == 200
    figure = answer.get_json()["response"]["live"]["figure"]
    assert {"happiness", "unknown"} <= {trace.get("name") for trace in figure["data"]}


def test_healthz(store: Path, tmp_path: Path) -> None:
    """200 while the store is there, 503 when it is not."""
    good = make_page(store, BERLIN, lambda: NOW).server.test_client().get("/healthz")
    assert (good.status_code, good.get_json()) == (200, {"status": "ok", "devices": 2})
    bad = make_page(tmp_path / "none", BERLIN, lambda: NOW).server.test_client().get("/healthz")
    assert bad.status_code == 503


def test_the_command_serves_until_it_is_told_to_stop(store: Path) -> None:
    """`serve` listens on loopback only by itself, answers, and SIGTERM ends it with 0."""
    port = free_port()
    command = [sys.executable, "-W", "error", "-m", "collector", "serve", "--root", str(store)]
    with subprocess.Popen([*command, "--set", f"page.port={port}"], stderr=subprocess.PIPE, text=True) as page:
        assert page.stderr is not None
        try:
            assert f"url=http://127.0.0.1:{port}/" in page.stderr.readline()

            def answers() -> bool:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                    return bool(answer.status == 200)

            wait_until(answers, "the page answers")
        finally:
            page.terminate()
        assert page.wait(10) == 0
        assert page.stderr.read() == ""
