"""The server of page and API: slow, large, foreign and odd requests cost the others nothing."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from base.errors import SettingsError
from benchmarks.faults.requests import answers
from collector.settings import Page, read_settings
from collector.web.browser_guard import WebGuard, policy
from collector.web.shared_result import Shared
from tests.support.brokers import free_port, wait_until
from tests.support.browser import served
from tests.support.store import put, window

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    put(root, *(window(number) for number in range(1, 61)))
    return root


@pytest.fixture(scope="module")
def port(store: Path) -> Iterator[int]:
    """A page whose requests may take a second."""
    found = free_port()
    with served(store, found, "UTC", lambda: NOW, timeout_s=1.0):
        yield found


def ask(port: int, path: str = "/healthz", method: str = "GET", body: bytes = b"", **headers: str) -> Any:
    """An answer, read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.body = answer.read()
    connection.close()
    return answer


def health_s(port: int) -> float:
    began = time.monotonic()
    assert ask(port).status == 200
    return time.monotonic() - began


def test_slow_clients_hold_up_nobody_and_are_let_go(port: int) -> None:
    """300 that have sent half a request, some of them a byte now and then: `/healthz` takes less than a second, and all
    are closed soon after the time a request may take.
    """
    half = b"POST /_dash-update-component HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
    try:
        for each in slow:
            each.sendall(half)
        assert max(health_s(port) for _ in range(5)) < 1.0

        def all_closed() -> bool:
            for each in slow[:20]:
                with contextlib.suppress(OSError):
                    each.sendall(b" ")
            left = 0
            for each in slow:
                each.setblocking(False)
                try:
                    left += each.recv(1000) != b""
                except BlockingIOError:
                    left += 1
                except OSError:
                    pass
            return not left

        wait_until(all_closed, "all are closed", 10)
    finally:
        for each in slow:
            each.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused_before_it_is_read(port: int, chunked: bool) -> None:
    """413 for more than a megabyte, by its announced length, or when so much has come."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        kind = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 600000000"
        client.sendall(b"POST /_dash-update-component HTTP/1.1\r\nHost: localhost\r\n" + kind + b"\r\n\r\n")
        try:
            for _ in range(20 if chunked else 0):
                client.sendall(b"20000\r\n" + b"x" * 0x20000 + b"\r\n")
        except OSError:
            pass  # it has hung up, and the answer is there
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    assert ask(port, "/", x="y" * 40_000).status == 431


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("127.0.0.1:8050", 200), ("[::1]:80", 200), ("LOCALHOST.", 200), ("evil.example", 421),
        ("localhost.evil.example", 421), ("127.0.0.1.evil.example:8050", 421), ("192.0.2.1", 421), ("", 421),
    ],
)  # fmt: skip
def test_a_foreign_host_is_refused(port: int, host: str, status: int) -> None:
    """A web site whose name leads to this address gets nothing."""
    for path in ("/", "/api/v1/counts", "/healthz", "/_dash-layout"):
        answer = ask(port, path, Host=host)
        assert answer.status == status
        assert answer.getheader("X-Frame-Options") == "DENY"


def test_more_names_are_told_by_settings() -> None:
    """By `page.hosts`; where all addresses are served, an address is no name that could be rebound."""

    def says(host: str, served_at: str, *names: str) -> str:
        told: list[str] = []

        def ours(_environ: dict[str, Any], start: Any) -> list[bytes]:
            start("200 OK", [])
            return []

        guard = WebGuard(ours, served_at, names, policy([]))
        list(guard({"HTTP_HOST": host}, lambda status, _headers, *_: told.append(status)))
        return told[0][:3]

    assert says("counts.shop.example:443", "127.0.0.1", "counts.shop.example") == "200"
    assert says("counts.shop.example", "127.0.0.1") == "421"
    assert says("192.0.2.1:8050", "0.0.0.0") == says("[2001:db8::1]", "::") == "200"
    assert says("evil.example", "0.0.0.0") == "421"


def test_answers_confine_the_page(port: int) -> None:
    """Only scripts of this server and the inline one whose hash is named; never within another's page."""
    answer = ask(port, "/")
    content = dict(part.strip().partition(" ")[::2] for part in answer.getheader("Content-Security-Policy").split(";"))
    assert content["default-src"] == "'none'" and content["frame-ancestors"] == "'none'"
    assert "'self'" in content["script-src"] and "'sha256-" in content["script-src"]
    assert "unsafe" not in content["script-src"]
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Referrer-Policy") == "no-referrer"
    assert answer.getheader("Server") is None


def test_odd_requests_are_no_failures_of_the_server(store: Path) -> None:
    """500 of `benchmarks.faults.requests`; its long part asks 5,000."""
    counted, failed = answers(store, NOW, 500, seed=3)
    assert failed == []
    assert counted[200] > 50 and counted[400] > 50


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "shop.lan", "::"])
def test_a_page_without_login_is_for_this_machine(host: str) -> None:
    """Served elsewhere only if that was said; the error names what to do."""
    with pytest.raises(SettingsError, match=r"no login.*page\.without_login = true"):
        read_settings(None, (f"page.host={host}",))
    assert read_settings(None, (f"page.host={host}", "page.without_login=true")).page.host == host
    assert Page(host="127.0.0.2").host == "127.0.0.2"


def test_equal_views_are_made_once() -> None:
    """Of fifty who ask at the same time one makes it; a failure is not kept; of many views the last stay."""
    made: list[int] = []
    shared: Shared[int] = Shared(2)
    gate = threading.Event()

    def make() -> int:
        gate.wait(10)
        made.append(1)
        return len(made)

    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(shared.get("view", make))) for _ in range(50)]
    for each in threads:
        each.start()
    gate.set()
    for each in threads:
        each.join(10)
    assert (len(made), got) == (1, [1] * 50)
    with pytest.raises(ZeroDivisionError):
        shared.get("failed", lambda: 1 // 0)
    assert shared.get("failed", lambda: 7) == 7
    assert (shared.get("third", lambda: 3), shared.get("view", lambda: 9)) == (3, 9)


def test_updates_by_the_pages_own_scripts_are_answered(port: int) -> None:
    """As the browser sends them, named by `_dash-dependencies`: the trend of the store."""
    dependencies = json.loads(ask(port, "/_dash-dependencies").body)
    wanted = next(each for each in dependencies if "trend.figure" in each["output"])
    values = {"days": "1", "site": "*", "by": "hour", "zone": "UTC", "heat-of": "visits"}
    parts = [name.rpartition(".") for name in wanted["output"].strip(".").split("...")]
    body = {
        "output": wanted["output"],
        "outputs": [{"id": name, "property": of} for name, _, of in parts],
        "inputs": [{**each, "value": values.get(each["id"])} for each in wanted["inputs"]],
        "changedPropIds": ["fresh.data"],
    }
    answer = ask(port, "/_dash-update-component", "POST", json.dumps(body).encode(), Content_Type="application/json")
    assert answer.status == 200
    assert b"180 visits" in answer.body
