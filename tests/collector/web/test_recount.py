"""Counting by hand on a phone: in a real Chromium on a bad network, and with any request."""

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from collector.devices.registry import DeviceRegistry
from collector.recount import files
from contract.message import Status
from contract.topics import Address
from tests.support.brokers import free_port, wait_until
from tests.support.browser import chromium, complaints, hosts_asked, needs_chromium, served, wait_for_width
from tests.support.http import send
from tests.support.store import SEVEN, put, window

TOKEN = "0123456789abcdef"
ID = "a" * 32


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows two devices."""
    root = tmp_path_factory.mktemp("store")
    devices = DeviceRegistry(root)
    for name in ("door", "back"):
        online = Status(schema=1, state="online", boot="0" * 16)
        devices.record(Address("shop-1", name, "status"), online, False, utc_now())
    devices.save()
    return root


@pytest.fixture(scope="module")
def port(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The collector's web server, whose API needs a token."""
    secret = tmp_path_factory.mktemp("secret") / "token"
    secret.write_text(TOKEN)
    secret.chmod(0o600)
    found = free_port()
    with served(store, found, "UTC", utc_now, token_file=str(secret)):
        yield found


def put_session(port: int, body: Any, session_id: str = ID, **headers: str) -> Any:
    """Send a session; a text is sent as it is."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/json"} | headers
    return send(port, f"/api/v1/recounts/sessions/{session_id}", "PUT", text, **sent)


def session(device: str = "door", minutes: float = 15, **of: Any) -> dict[str, Any]:
    start = utc_now()
    times = {"start": start.isoformat(), "end": (start + timedelta(minutes=minutes)).isoformat()}
    return {"site": "shop-1", "device": device, "revision": 1} | times | of


@pytest.mark.parametrize(
    ("body", "headers", "status", "detail"),
    [
        (session(), {"Authorization": "Bearer wrong"}, 401, "send the header Authorization: Bearer TOKEN"),
        (session("attic"), {}, 404, "device: shop-1/attic is not a device of this store"),
        (session(start="soon"), {}, 400, "key 'start': must be a date and time as in RFC 3339, is 'soon'"),
        (
            lambda: session(taps=[(utc_now() + timedelta(minutes=5)).isoformat()]),
            {},
            400,
            "taps: must not be in the future",
        ),
        (lambda: session(minutes=500), {}, 400, "end: must be after start and at most 2:00:00 later"),
        (session(faces=[1]), {}, 400, "unknown key 'faces'; allowed: site, device, start"),
        (b"{", {}, 400, "not JSON: Input data was truncated"),
        (b"\xff", {}, 400, "not JSON: "),
        (b'{"x":' + b"[" * 200_000, {}, 400, ""),
        (session(), {"Content_Type": "text/plain"}, 415, "Content-Type: must be application/json, is 'text/plain'"),
        (b" " * 300_000, {}, 413, "the body must be at most 262144 bytes"),
    ],
)
def test_a_wrong_request_gets_a_problem_document(
    port: int, store: Path, body: Any, headers: Any, status: int, detail: str
) -> None:
    """Status and detail say what is wrong, and nothing is stored."""
    before = files.read_sessions(store)
    answer = put_session(port, body() if callable(body) else body, **headers)  # some depend on the time
    problem = json.loads(answer.body)
    assert (answer.status, answer.getheader("Content-Type")) == (status, "application/problem+json")
    assert (problem["status"], detail in problem["detail"]) == (status, True), problem
    assert files.read_sessions(store) == before


def test_a_second_phone_is_refused(port: int, store: Path) -> None:
    """While a session of a device runs, another one of that device gets 409; other methods get 405."""
    assert put_session(port, session("back")).status == 200
    answer = put_session(port, session("back"), "b" * 32)
    assert (answer.status, b"another phone counts at shop-1/back" in answer.body) == (409, True)
    assert put_session(port, session("back"), "x").status == 400
    answer = send(port, f"/api/v1/recounts/sessions/{ID}", Authorization=f"Bearer {TOKEN}")
    assert (answer.status, answer.getheader("Allow")) == (405, "OPTIONS, PUT")
    files.session_path(store, ID).unlink()


def test_any_session_conforms_to_the_document(store: Path) -> None:
    """Whatever JSON is sent, the response is one of the document, and never 5xx."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed (make test)")
    hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed (make test)")
    from zoneinfo import ZoneInfo

    from flask import Flask
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    from collector.api import recounts
    from collector.api.guard import Guard
    from collector.api.routes import Api, mount
    from collector.reading.reader import Reader
    from collector.recount.recounts import Recounts

    app, guard = Flask("test"), Guard(None, 100_000)
    mount(app, Api(Reader(store, utc_now), ZoneInfo("UTC"), utc_now), guard)
    recounts.mount(app, Recounts(store, utc_now), guard, Reader(store, utc_now).permits)
    operation = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)["/api/v1/recounts/sessions/{id}"]["PUT"]
    for mode in ("POSITIVE", "NEGATIVE"):

        @hypothesis.given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
        @hypothesis.settings(
            max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
        )
        def each(case: Any) -> None:
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        each()


def shown(driver: Any, name: str) -> str:
    """Return the text of an element; nothing if it is hidden or not there."""
    found = driver.find_elements("id", name)
    return str(found[0].text) if found and found[0].is_displayed() else ""


def open_session(store: Path) -> Any:
    return next(iter(files.read_sessions(store).values()), None)


@contextlib.contextmanager
def without_network(driver: Any) -> Iterator[None]:
    """Cut the browser's network."""
    conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **conditions})
    yield
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **conditions})


@needs_chromium
def test_a_person_counts_at_the_door(port: int, store: Path, tmp_path: Path) -> None:
    """On a phone: token, device, start, taps and an undo, half of them without a network and over a reload. All taps
    reach the server; after Stop both numbers are shown and exported. The policy of the site holds.
    """
    with chromium(tmp_path, width=375, height=667) as driver:
        driver.get(f"http://127.0.0.1:{port}/recount")
        wait_until(lambda: shown(driver, "login"), "the token is asked for")
        driver.find_element("id", "token").send_keys(TOKEN)
        driver.find_element("css selector", "#login button").click()
        wait_until(lambda: "shop-1: door" in shown(driver, "device"), "the devices are listed")
        driver.get_log("browser")  # 401 is logged as an error
        driver.find_element("css selector", "#device option[value='shop-1/door']").click()
        driver.find_element("css selector", "[value=now]").click()
        photograph(driver, tmp_path, "setup")
        driver.find_element("css selector", "#setup button").click()
        wait_until(lambda: open_session(store), "the session has begun")
        wait_for_width(driver, 375)
        add = driver.find_element("id", "add")
        for _ in range(4):
            add.click()
        driver.find_element("id", "undo").click()
        wait_until(lambda: len(open_session(store).taps) == 3, "three taps are saved")
        with without_network(driver):
            add.click()
            add.click()
            wait_until(lambda: "No connection" in shown(driver, "saved"), "the page says so")
            photograph(driver, tmp_path, "offline")
        driver.refresh()
        wait_until(lambda: len(open_session(store).taps) == 5, "the taps of the dead spot are saved")
        wait_until(lambda: "All taps are saved." in shown(driver, "saved"), "the page says so")
        photograph(driver, tmp_path, "counting")
        taps = open_session(store).taps
        assert all(open_session(store).start <= tap <= utc_now() for tap in taps)
        counts_between(store, open_session(store).start, taps)
        driver.find_element("id", "stop").click()
        driver.switch_to.alert.accept()
        wait_until(lambda: "80 % (38 to 96), 5 visits by hand, 4 counted" in shown(driver, "outcome"), "the result")
        photograph(driver, tmp_path, "result")
        wait_until(lambda: open_session(store) is None, "the taps are gone")
        assert [entry for entry in complaints(driver) if "ERR_INTERNET_DISCONNECTED" not in entry] == []
        assert hosts_asked(driver) == set()
        answer = send(port, "/api/v1/recounts?format=csv", Authorization=f"Bearer {TOKEN}")
        assert b"shop-1,door," in answer.body


def counts_between(store: Path, start: datetime, taps: tuple[datetime, ...]) -> None:
    """Store windows as of a device that counted four of the taps, before, during and after them."""
    edges = [start - timedelta(minutes=5), start + timedelta(seconds=2), taps[-1] + timedelta(seconds=3)]
    none = dict.fromkeys(SEVEN, 0)
    wait_until(lambda: utc_now() > edges[2] + timedelta(seconds=1), "the last visit is counted")
    spans = [(edges[0], edges[1], 9), (edges[1], edges[2], 4), (edges[2], edges[2] + timedelta(minutes=1), 0)]
    put(store, *(window(n, none | {"happiness": of}, a, end=b) for n, (a, b, of) in enumerate(spans)))


def photograph(driver: Any, folder: Path, name: str) -> None:
    driver.save_screenshot(str(folder / f"recount-{name}.png"))


@needs_chromium
def test_the_page_is_accessible(port: int, tmp_path: Path) -> None:
    """Axe finds no violation on the first page, in the dark scheme."""
    import selenium_axe_python

    with chromium(tmp_path, width=375, height=667, dark=True) as driver:
        driver.get(f"http://127.0.0.1:{port}/recount")
        wait_until(lambda: shown(driver, "login"), "the token is asked for")
        driver.execute_script("localStorage.setItem('facetally-token', arguments[0]); location.reload()", TOKEN)
        wait_until(lambda: "shop-1: door" in shown(driver, "device"), "the devices are listed")
        photograph(driver, tmp_path, "dark")
        driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
        driver.execute_script(next(Path(selenium_axe_python.__file__).parent.rglob("axe.min.js")).read_text())
        found = driver.execute_async_script("const done = arguments[0]; axe.run().then(done, e => done(String(e)))")
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
