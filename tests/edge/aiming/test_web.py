"""The server of the aiming page against hostile clients, each a real TLS connection to a running `facetally-aim`."""

import contextlib
import hashlib
import http.client
import json
import random
import socket
import ssl
import time
from contextlib import closing

import pytest

from edge.aiming.web.addresses import Network, Peers, is_own_host
from edge.aiming.web.https_server import MAX_PER_PEER, REQUEST_LIMIT_S
from edge.aiming.web.session import MAX_ATTEMPTS
from edge.settings import read
from tests.support.aiming import aiming, configured
from tests.support.brokers import LIMIT_S, wait_until
from tests.support.commands import CONFIG

PARTS = (
    "..",
    "%2e%2e",
    "%00",
    "%ff",
    "a" * 300,
    "live",
    "zones",
    "session",
    "stop",
    "aim.js",
    "",
    "é",
    "<script>",
    "*",
)
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PRI", "")
BODIES = (b"", b"{}", b"\xff" * 10, b'{"code": 1}', b'{"zones": [[1]]}', b"[" * 3000, b'{"code": "\\ud800"}')
SERVER_ERROR = 500
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


@pytest.fixture(scope="module")
def aim(clip, tmp_path_factory):
    """A running `facetally-aim`."""
    folder = tmp_path_factory.mktemp("aim")
    with aiming(configured(folder, clip)) as running:
        yield running


@pytest.fixture(scope="module")
def cookie(aim):
    """The cookie of the session, whose code is used up by it."""
    status, headers, _ = ask(aim, "POST", "/session", {"code": aim.code})
    assert status == 200
    assert headers["Set-Cookie"].startswith("__Host-facetally=")
    assert headers["Set-Cookie"].endswith("; Path=/; Secure; HttpOnly; SameSite=Strict")
    return headers["Set-Cookie"].partition(";")[0]


def connected(aim, source="127.0.0.1"):
    """Open a TLS connection from an address of this machine."""
    plain = socket.create_connection(("127.0.0.1", aim.port), LIMIT_S, (source, 0))
    return CONTEXT.wrap_socket(plain)


def ask(aim, method, path, body=None, **changed):
    """Send one request as the page does, with headers changed (``None`` removes one): status, headers, JSON."""
    headers = {"Origin": f"https://127.0.0.1:{aim.port}", "Content-Type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    with closing(http.client.HTTPConnection("127.0.0.1", aim.port)) as connection:
        connection.sock = connected(aim)
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        headers.setdefault("Content-Length", str(len(content)) if content else None)
        for name, value in headers.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(content)
        answer = connection.getresponse()
        text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, answer.headers, json.loads(text) if is_json else text


def test_only_the_session_sees_the_view(aim, cookie):
    """Without the cookie, or with another, nothing but the page's files is answered; the code opens once."""
    assert ask(aim, "GET", "/")[0] == 200
    assert ask(aim, "GET", "/session")[2] == {"open": False}
    for method, path in (("GET", "/live"), ("GET", "/zones"), ("POST", "/zones"), ("POST", "/stop"), ("GET", "/x")):
        for wrong in (None, "__Host-facetally=", "__Host-facetally=é", "__Host-facetally; x", "facetally=1"):
            header = None if wrong is None else wrong.encode()
            assert ask(aim, method, path, {} if method == "POST" else None, Cookie=header)[0] == 401
    for code in (aim.code, *range(2 * MAX_ATTEMPTS)):  # nobody can end the session by guessing
        assert "used already" in ask(aim, "POST", "/session", {"code": str(code)})[2]["error"]
    status, headers, live = ask(aim, "GET", "/live", Cookie=cookie)
    assert (status, live["image"], live["shows_images"]) == (200, None, False)
    assert set(live) == {
        "number", "width", "height", "faces", "advice", "measures", "image", "shows_images", "source", "left_s",
    }  # fmt: skip
    assert headers["Cache-Control"] == "no-store"
    assert "script-src 'self'; style-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Host": "evil.example:{port}"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": None}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Transfer-Encoding": "chunked"}, 415),
        ({"Content-Length": "9999999999"}, 413),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": None}, 411),
    ],
    ids=lambda value: str(value)[:40],
)
def test_foreign_and_large_requests_are_refused(aim, cookie, changed, status):
    """A request with the cookie is refused for its host, origin, type or length; the zones stay."""
    changed = {name: value and value.format(port=aim.port) for name, value in changed.items()}
    assert ask(aim, "POST", "/zones", {"zones": []}, Cookie=cookie, **changed)[0] == status
    assert len(ask(aim, "GET", "/zones", Cookie=cookie)[2]["zones"]) == 1


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"zones": 1}', b'{"zones": [[[0, 0], [1, 1]]]}', b'{"zones": [[[0, 0], [1, 0], [1, 9]]]}']
)
def test_wrong_zones_are_refused(aim, cookie, body):
    """Zones that no configuration can hold are 400 with the reason."""
    status, _, answer = ask(aim, "POST", "/zones", body, Cookie=cookie, Content_Length=str(len(body)))
    assert (status, "not understood" in answer["error"]) == (400, True)


def test_a_long_header_ends_the_connection(aim):
    """A header beyond the limit of a request is not answered, and the server goes on."""
    with connected(aim) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(OSError):  # the server may close before all was sent
            for _ in range(90):
                connection.sendall(b"X: " + b"a" * 1000 + b"\r\n")
            assert not connection.recv(100)
    assert ask(aim, "GET", "/")[0] == 200


def test_random_requests_never_break_the_server(aim, cookie):
    """300 requests of random methods, paths, headers and bodies: no answer is a server error of ours."""
    rng = random.Random(27)
    for _ in range(300):
        path = "/" + "/".join(rng.choice(PARTS) for _ in range(rng.randint(1, 3)))
        body = rng.choice(BODIES)
        length = rng.choice((str(len(body)),) * 4 + ("x", "0", "1"))
        lines = [f"{rng.choice(METHODS)} {path} HTTP/{rng.choice(('1.1', '1.1', '1.0', '2.0', 'x'))}"]
        lines += [f"Host: 127.0.0.1:{aim.port}"] * rng.choice((1, 1, 1, 0, 2))
        lines += [f"Origin: https://127.0.0.1:{aim.port}", "Content-Type: application/json"] * rng.choice((1, 1, 0))
        lines += [f"Cookie: {cookie}"] * (rng.random() < 0.5 and "stop" not in path)
        request = "\r\n".join([*lines, f"Content-Length: {length}", "Connection: close", "", ""]).encode() + body
        with connected(aim) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
        if answer.startswith(b"HTTP/1.1 "):
            status = int(answer.split()[1])
            assert status < SERVER_ERROR or status in {501, 505}, (request, answer)
    assert ask(aim, "GET", "/live", Cookie=cookie)[0] == 200
    assert aim.process.poll() is None


def test_slow_clients_do_not_block_others(aim):
    """One address that holds all its connections gets no more; another is served meanwhile; then they are closed."""
    slow = [socket.create_connection(("127.0.0.1", aim.port), LIMIT_S) for _ in range(MAX_PER_PEER)]
    slow[0].sendall(b"\x16")
    with pytest.raises(OSError):
        connected(aim)
    with connected(aim, "127.0.0.2") as other:
        other.sendall(f"GET /session HTTP/1.1\r\nHost: 127.0.0.1:{aim.port}\r\n\r\n".encode())
        assert other.recv(100).startswith(b"HTTP/1.1 200")
    for each in slow:
        each.settimeout(REQUEST_LIMIT_S + LIMIT_S)
        assert each.recv(1) == b""
        each.close()
    assert ask(aim, "GET", "/")[0] == 200


def test_the_printed_fingerprint_is_that_of_the_certificate(aim):
    """The SHA-256 of the certificate is the printed one; plain HTTP is not answered."""
    with connected(aim) as connection:
        der = connection.getpeercert(binary_form=True)
    assert hashlib.sha256(der).digest().hex(":").upper() == aim.fingerprint
    with socket.create_connection(("127.0.0.1", aim.port), LIMIT_S) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert not plain.recv(100).startswith(b"HTTP/")


def test_a_camera_that_is_missing_is_named_and_zones_that_are_not_set(tmp_path):
    """Without a camera and without zones the page works, zones are saved, and its button ends the program."""
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG.replace('"v4l2"', '"v4l2"\ndevice = "/dev/nowhere"').replace("staff_zones = []\n", ""))
    with aiming(config) as aim:
        cookie = ask(aim, "POST", "/session", {"code": aim.code})[1]["Set-Cookie"].partition(";")[0]
        wait_until(lambda: "terminal" in ask(aim, "GET", "/live", Cookie=cookie)[2]["advice"]["text"], "no camera")
        assert ask(aim, "GET", "/zones", Cookie=cookie)[2]["zones"] is None
        assert ask(aim, "POST", "/zones", {"zones": []}, Cookie=cookie)[0] == 200
        assert read(config).admit.staff_zones == ()
        assert ask(aim, "GET", "/zones", Cookie=cookie)[2]["zones"] == []
        assert ask(aim, "POST", "/stop", {}, Cookie=cookie)[0] == 200
        assert aim.process.wait(LIMIT_S) == 0
    assert "/dev/nowhere" in (tmp_path / "aim.log").read_text()


def test_the_program_ends_after_its_time(clip, tmp_path):
    """With --minutes 0.05 it ends by itself, after 3 seconds, and nobody can connect any more."""
    begin = time.monotonic()
    with aiming(configured(tmp_path, clip), "--minutes", "0.05") as aim:
        assert aim.process.wait(LIMIT_S) == 0
        assert time.monotonic() - begin > 3.0
        with pytest.raises(ConnectionRefusedError):
            connected(aim)


def test_wrong_codes_end_the_program(clip, tmp_path):
    """After the last attempt the program stops, and the right code is refused, too."""
    with aiming(configured(tmp_path, clip)) as aim:
        for attempt in range(MAX_ATTEMPTS):
            status, _, answer = ask(aim, "POST", "/session", {"code": f"{attempt}"})
            assert (status, "stopped" in answer["error"]) == (403, attempt == MAX_ATTEMPTS - 1)
        assert aim.process.wait(LIMIT_S) == 0
        assert "event=code result=stopped peer=127.0.0.1" in (tmp_path / "aim.log").read_text()


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        *((peer, True) for peer in ("127.0.0.1", "192.168.1.20", "172.31.0.9", "10.1.2.3", "169.254.7.7")),
        *((peer, False) for peer in ("172.32.0.1", "8.8.8.8", "192.0.2.1", "100.64.0.1")),
    ],
)
def test_only_private_addresses_may_connect(peer, allowed):
    """Private, link-local and loopback addresses, and networks that the installer allows."""
    assert Peers().allows(peer) == allowed
    assert Peers((Network(f"{peer}/32"),)).allows(peer)


@pytest.mark.parametrize(
    ("header", "own"),
    [
        *((host, True) for host in ("192.168.1.20:8443", "localhost:8443", "LOCALHOST.:8443")),
        *((host, False) for host in ("192.168.1.21:8443", "192.168.1.20:443", "192.168.1.20", "", ":8443", "a:8443")),
    ],
)
def test_a_host_is_the_address_or_a_name_of_this_device(header, own):
    """Any other name may be a web site's that points here."""
    assert is_own_host(header, "192.168.1.20", 8443) == own
