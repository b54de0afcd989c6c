"""Who sees what: tokens, sessions and a proxy's header, against the real server with two sites."""

import hashlib
import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from collector.__main__ import main
from collector.access.gate import _own_path
from collector.access.logins import COOKIE, FAILURES_PER_MINUTE
from collector.settings import Access
from tests.support.brokers import free_port
from tests.support.browser import served
from tests.support.http import send
from tests.support.store import put, window

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc)
HEADER = "X_Forwarded_Email"


@dataclass(frozen=True)
class Server:
    """A running server, its files, and the tokens of its people."""

    port: int
    folder: Path
    tokens: dict[str, str]

    def get(self, path: str, **headers: str) -> Any:
        return send(self.port, path, **headers)

    def as_(self, name: str, path: str) -> Any:
        return self.get(path, Authorization=f"Bearer {self.tokens[name]}")

    def log_in(self, token: str, target: str = "/", **headers: str) -> Any:
        body = urlencode({"token": token}).encode()
        form = {"Content_Type": "application/x-www-form-urlencoded"} | headers
        return send(self.port, f"/login?{urlencode({'next': target})}", "POST", body, **form)


def command(folder: Path, *arguments: str) -> int:
    return main(["access", *arguments, "--set", f"access.file='{folder}/access.json'"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A store of two sites; anna sees both, ben one, and cleo only through the proxy."""
    folder = tmp_path_factory.mktemp("access")
    put(folder / "store", *(window(n, site=site) for n in range(60) for site in ("shop-1", "shop-2")))
    tokens = {}
    for name, *options in (("anna",), ("ben", "--site", "shop-2"), ("cleo@example.org", "--site", "shop-1", "--proxy")):
        with redirect_stdout(io.StringIO()) as out:
            assert command(folder, "add", name, *options) == 0
        tokens[name] = out.getvalue().strip()
    access = Access(file=str(folder / "access.json"), proxies=("127.0.0.1",), proxy_header="X-Forwarded-Email")
    port = free_port()
    with served(folder / "store", port, "UTC", lambda: NOW, access=access):
        yield Server(port, folder, tokens)


def sites(answer: Any) -> list[str]:
    assert answer.status == 200, answer.body
    return [each["site"] for each in json.loads(answer.body)["sites"]]


def test_everybody_sees_their_own_sites_only(server: Server) -> None:
    """By token, and by the name that the proxy sends; the answers of one never reach another."""
    for _ in range(2):  # the second time from memory
        assert sites(server.as_("anna", "/api/v1/sites")) == ["shop-1", "shop-2"]
        assert sites(server.as_("ben", "/api/v1/sites")) == ["shop-2"]
        assert sites(server.get("/api/v1/sites", **{HEADER: "cleo@example.org"})) == ["shop-1"]
    counts = "/api/v1/counts?since=2026-03-28&until=2026-03-30&bucket=total"
    both = json.loads(server.as_("anna", f"{counts}").body)["rows"][0]["visits"]
    assert json.loads(server.as_("ben", counts).body)["rows"][0]["visits"] == both / 2 == 180
    assert server.as_("ben", f"{counts}&site=shop-1").status == 404
    assert b"shop-1" not in server.as_("ben", "/metrics").body


def test_the_page_of_a_person_knows_no_other_site(server: Server) -> None:
    """The page's own requests, sent with a session, hold no other site; those without one are refused."""
    cookie = server.log_in(server.tokens["ben"]).getheader("Set-Cookie").partition(";")[0]
    page = server.get("/_dash-layout", Cookie=cookie)
    assert page.status == 200 and b"shop-2" in page.body and b"shop-1" not in page.body
    assert b"Log out" in page.body
    assert server.get("/_dash-layout").status == 401


def test_a_browser_is_led_to_the_login_and_back(server: Server) -> None:
    """The session's cookie cannot be read by scripts, nor sent from other sites, and is `Secure` behind TLS."""
    away = server.get("/?days=7", Accept="text/html")
    assert (away.status, away.getheader("Location")) == (303, "/login?next=%2F%3Fdays%3D7")
    assert b'action="/login?next=%2F%3Fdays%3D7"' in server.get(away.getheader("Location")).body
    german = server.get("/login", Accept_Language="de").body.decode()
    assert all(each in german for each in ('lang="de"', "Ihr Token", "Anmelden")) and "Log in" not in german
    back = server.log_in(server.tokens["anna"], "/?days=7", X_Forwarded_Proto="https")
    assert (back.status, back.getheader("Location")) == (303, "/?days=7")
    assert {"HttpOnly", "SameSite=Lax", "Secure"} <= set(back.getheader("Set-Cookie").split("; "))
    assert server.log_in(server.tokens["anna"], Sec_Fetch_Site="cross-site").status == 403
    out = send(server.port, "/logout", "POST")
    assert out.status == 303 and f"{COOKIE}=;" in out.getheader("Set-Cookie")


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb", "", "/ü"])
def test_a_login_leads_to_this_server_only(target: str) -> None:
    """An address of another server, or one that is no path, becomes the first page."""
    assert _own_path(target) == "/"


def test_wrong_tokens_are_refused_logged_and_limited(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Each failure has a line with its address; after ten a minute even the right token waits; others do not."""
    caplog.set_level(logging.INFO)
    wrong = {"Authorization": "Bearer wrong", "X_Forwarded_For": "1.2.3.4, 203.0.113.9"}
    for _ in range(FAILURES_PER_MINUTE):
        assert server.get("/api/v1/sites", **wrong).status == 401
    lines = [record.getMessage() for record in caplog.records if "login_failed" in record.getMessage()]
    assert lines == ['event=login_failed address=203.0.113.9 reason="wrong token"'] * FAILURES_PER_MINUTE
    right = wrong | {"Authorization": f"Bearer {server.tokens['anna']}"}
    assert server.get("/api/v1/sites", **right).status == 429
    assert server.log_in(server.tokens["anna"], X_Forwarded_For="203.0.113.9").status == 429
    assert sites(server.as_("anna", "/api/v1/sites")) == ["shop-1", "shop-2"]
    assert server.get("/api/v1/sites", **{HEADER: "eve@example.org"}).status == 401
    assert "'eve@example.org' is not in the access file" in caplog.text


def test_only_hashes_are_stored(server: Server) -> None:
    """The file holds the SHA-256 of a token, is not readable by everybody, and grants nobody anything by itself."""
    path = server.folder / "access.json"
    text = path.read_text()
    assert not any(token in text for name, token in server.tokens.items() if "@" not in name)
    digest = hashlib.sha256(server.tokens["ben"].encode()).hexdigest()
    assert digest in text and path.stat().st_mode & 0o007 == 0
    assert server.get("/api/v1/sites", Authorization=f"Bearer {digest}").status == 401


def test_a_removed_person_is_out_at_once(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Token and session of a removed person end without a restart; a damaged file keeps those who were valid."""
    assert command(server.folder, "add", "dora", "--site", "shop-1") == 0
    token = capsys.readouterr().out.strip()
    cookie = server.log_in(token).getheader("Set-Cookie").partition(";")[0]
    assert sites(server.get("/api/v1/sites", Cookie=cookie)) == ["shop-1"]
    path = server.folder / "access.json"
    good = path.read_bytes()
    path.write_bytes(b"[{")
    assert sites(server.get("/api/v1/sites", Cookie=cookie)) == ["shop-1"]
    path.write_bytes(good)
    assert command(server.folder, "remove", "dora") == 0
    assert server.get("/api/v1/sites", Cookie=cookie).status == 401
    assert server.get("/api/v1/sites", Authorization=f"Bearer {token}").status == 401


def test_a_recount_at_another_site_is_refused(server: Server) -> None:
    """A person of one site gets the answer for a device that does not exist."""
    session = {"site": "shop-1", "device": "door", "start": "2026-03-29T00:00:00Z", "end": "2026-03-29T00:15:00Z"}
    headers = {"Authorization": f"Bearer {server.tokens['ben']}", "Content_Type": "application/json"}
    answer = send(server.port, f"/api/v1/recounts/sessions/{'0' * 32}", "PUT", json.dumps(session).encode(), **headers)
    assert answer.status == 404 and b"shop-1/door is not a device" in answer.body


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add"], "NAME must be given"),
        (["add", "with space"], "NAME: must be 1 to 100 letters"),
        (["add", "anna"], "anna is in"),
        (["add", "new", "--site", "a/b"], "--site: must be 1 to 64 letters"),
        (["remove", "nobody"], "nobody is not in"),
        (["list", "--set", "access.file='/nowhere/access.json'"], "No such file"),
        (["list", "--set", "access.proxy_header='X-User'"], "proxies: must name the addresses"),
        (
            ["list", "--set", "access.proxies=['localhost']"],
            "proxies: must be IP addresses such as 127.0.0.1",
        ),
        (["list", "--set", "api.token_file='token'"], "api.token_file: must not be set together"),
    ],
)
def test_wrong_commands_say_why(
    server: Server, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and the reason; the file stays as it was."""
    before = (server.folder / "access.json").read_bytes()
    action, *options = arguments
    own_file = ["--set", f"access.file='{server.folder}/access.json'"]
    assert main(["access", action, *options, *([] if "access.file" in str(options) else own_file)]) == 2
    assert reason in capsys.readouterr().err
    assert (server.folder / "access.json").read_bytes() == before


def test_a_list_names_nobody_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with a name twice, an unknown key or a wrong site is an error that says so."""
    path = tmp_path / "access.json"
    for text, reason in (
        ('[{"name": "a"}, {"name": "a"}]', "a: must be there once"),
        ('[{"name": "a", "site": "x"}]', "site"),
        ('[{"name": "a", "sites": ["../x"]}]', "sites"),
        ("{}", "must be a list"),
    ):
        path.write_text(text)
        assert command(tmp_path, "list") == 2
        error = capsys.readouterr().err
        assert str(path) in error and reason in error
