"""The server of page and API: slow, large, foreign and malformed requests do not affect others."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from base.errors import SettingsError
from benchmarks.fuzzing.http_requests import count_statuses
from collector.settings import Page, read_settings
from collector.web.browser_guard import BrowserGuard, content_security_policy
from collector.web.shared_result import SharedResults
from tests.support.brokers import LIMIT_S, free_port, wait_until
from tests.support.browser import served
from tests.support.http import send
from tests.support.store import put, window

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    put(root, *(window(number) for number in range(1, 61)))
    return root


@pytest.fixture(scope="module")
def port(store: Path) -> Iterator[int]:
    """A page that waits for slow clients."""
    found = free_port()
    with served(store, found, "UTC", lambda: NOW, timeout_s=600.0):
        yield found


@contextlib.contextmanager
def slow_clients(port: int) -> Iterator[list[socket.socket]]:
    """Connect 300 clients that have sent half a request."""
    half = b"POST /_dash-update-component HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
    try:
        for each in slow:
            each.sendall(half)
            each.setblocking(False)
        yield slow
    finally:
        for each in slow:
            each.close()


def is_closed(client: socket.socket) -> bool:
    """Whether the server has closed a connection."""
    try:
        return client.recv(1000) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_slow_clients_delay_nobody(port: int) -> None:
    """`/healthz` is answered while 300 clients that have sent half a request are connected."""
    with slow_clients(port) as slow:
        assert [send(port).status for _ in range(5)] == [200] * 5
        assert not any(map(is_closed, slow)), "none had to be disconnected for that"


def test_slow_clients_are_disconnected_after_the_request_timeout(store: Path) -> None:
    """So are those that send a byte now and then."""
    port = free_port()
    with served(store, port, "UTC", lambda: NOW, timeout_s=1.0), slow_clients(port) as slow:

        def all_closed() -> bool:
            for each in slow[:20]:
                with contextlib.suppress(OSError):
                    each.sendall(b" ")
            return all(map(is_closed, slow))

        wait_until(all_closed, "all are closed")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused_before_it_is_read(port: int, chunked: bool) -> None:
    """A body over one megabyte gets 413, by its announced length or when that much has arrived."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        kind = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 600000000"
        client.sendall(b"POST /_dash-update-component HTTP/1.1\r\nHost: localhost\r\n" + kind + b"\r\n\r\n")
        try:
            for _ in range(20 if chunked else 0):
                client.sendall(b"20000\r\n" + b"x" * 0x20000 + b"\r\n")
        except OSError:
            pass  # the server has closed the connection after its response
        assert client.recv(100).startswith(b"HTTP/1.1 413")
    assert send(port, "/", x="y" * 40_000).status == 431


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("127.0.0.1:8050", 200), ("[::1]:80", 200), ("LOCALHOST.", 200), ("evil.example", 421),
        ("localhost.evil.example", 421), ("127.0.0.1.evil.example:8050", 421), ("192.0.2.1", 421), ("", 421),
    ],
)  # fmt: skip
def test_a_foreign_host_is_refused(port: int, host: str, status: int) -> None:
    """A foreign host name that resolves to this address gets 421."""
    for path in ("/", "/api/v1/counts", "/healthz", "/_dash-layout"):
        answer = send(port, path, Host=host)
        assert answer.status == status
        assert answer.getheader("X-Frame-Options") == "DENY"


def test_page_hosts_adds_names() -> None:
    """`page.hosts` adds names; where all addresses are served, any IP address is accepted, for it cannot be rebound."""

    def status(host: str, served_at: str, *names: str) -> str:
        statuses: list[str] = []

        def application(_environ: dict[str, Any], start: Any) -> list[bytes]:
            start("200 OK", [])
            return []

        guard = BrowserGuard(application, served_at, names, content_security_policy([]))
        list(guard({"HTTP_HOST": host}, lambda line, _headers, *_: statuses.append(line)))
        return statuses[0][:3]

    assert status("counts.shop.example:443", "127.0.0.1", "counts.shop.example") == "200"
    assert status("counts.shop.example", "127.0.0.1") == "421"
    assert status("192.0.2.1:8050", "0.0.0.0") == status("[2001:db8::1]", "::") == "200"
    assert status("evil.example", "0.0.0.0") == "421"


def test_responses_have_security_headers(port: int) -> None:
    """Only this server's scripts and the inline one with the given hash may run; the page cannot be embedded."""
    answer = send(port, "/")
    content = dict(part.strip().partition(" ")[::2] for part in answer.getheader("Content-Security-Policy").split(";"))
    assert content["default-src"] == "'none'" and content["frame-ancestors"] == "'none'"
    assert "'self'" in content["script-src"] and "'sha256-" in content["script-src"]
    assert "unsafe" not in content["script-src"]
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Referrer-Policy") == "no-referrer"
    assert answer.getheader("Server") is None


def test_malformed_requests_never_fail_the_server(store: Path) -> None:
    """500 requests of `benchmarks.fuzzing.http_requests`, which sends 5,000 by default, get no 5xx."""
    counted, failed = count_statuses(store, NOW, 500, seed=3)
    assert failed == []
    assert counted[200] > 50 and counted[400] > 50


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "shop.lan", "::"])
def test_a_page_without_login_is_served_to_this_machine_only(host: str) -> None:
    """Serving to other machines must be allowed explicitly; the error says how."""
    with pytest.raises(SettingsError, match=r"no login.*page\.without_login = true"):
        read_settings(None, (f"page.host={host}",))
    assert read_settings(None, (f"page.host={host}", "page.without_login=true")).page.host == host
    assert Page(host="127.0.0.2").host == "127.0.0.2"


def test_equal_results_are_computed_once() -> None:
    """Of fifty threads that ask at once one computes; a failure is not cached; the last results stay."""
    computed: list[int] = []
    shared: SharedResults[int] = SharedResults(2)
    gate = threading.Event()

    def compute() -> int:
        gate.wait(LIMIT_S)
        computed.append(1)
        return len(computed)

    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(shared.get("view", compute))) for _ in range(50)]
    for each in threads:
        each.start()
    gate.set()
    for each in threads:
        each.join(LIMIT_S)
    assert (len(computed), got) == (1, [1] * 50)
    with pytest.raises(ZeroDivisionError):
        shared.get("failed", lambda: 1 // 0)
    assert shared.get("failed", lambda: 7) == 7
    assert (shared.get("third", lambda: 3), shared.get("view", lambda: 9)) == (3, 9)


def test_updates_of_the_pages_own_scripts_are_answered(port: int) -> None:
    """An update as the browser sends it returns the trend of the store, and an equal one the same response."""
    dependencies = json.loads(send(port, "/_dash-dependencies").body)
    wanted = next(each for each in dependencies if "trend.figure" in each["output"])
    values = {"days": "1", "by": "hour", "zone": "UTC"}
    parts = [name.rpartition(".") for name in wanted["output"].strip(".").split("...")]
    body = {
        "output": wanted["output"],
        "outputs": [{"id": name, "property": of} for name, _, of in parts],
        "inputs": [{**each, "value": values.get(each["id"])} for each in wanted["inputs"]],
        "changedPropIds": ["fresh.data"],
    }
    answer, again = (
        send(port, "/_dash-update-component", "POST", json.dumps(body).encode(), Content_Type="application/json")
        for _ in range(2)
    )
    assert answer.status == 200
    assert b"180 visits" in answer.body
    assert (again.status, again.getheader("Content-Type")) == (200, answer.getheader("Content-Type"))
    assert again.body == answer.body
