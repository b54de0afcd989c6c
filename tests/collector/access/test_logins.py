"""Whose headers and cookies are believed, without a server."""

import os
from pathlib import Path

import pytest
from itsdangerous import TimestampSigner
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from collector.access.entries import Entry, hash_token, write_entries
from collector.access.logins import COOKIE, Entries, Logins, NotLoggedIn
from collector.settings import Access

TOKEN = "a token of a person"
PROXY, STRANGER = "127.0.0.1", "10.0.0.9"


def logins(folder: Path) -> Logins:
    """Return the logins of a file with ben, who has a token, and cleo, whom only the proxy knows."""
    path = folder / "access.json"
    write_entries(path, [Entry(name="ben", sha256=hash_token(TOKEN)), Entry(name="cleo")])
    settings = Access(file=str(path), proxies=(PROXY,), proxy_header="X-Forwarded-Email", session_h=1.0)
    return Logins(settings, Entries(path))


def request(address: str, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(EnvironBuilder(headers=named, environ_base={"REMOTE_ADDR": address}).get_environ())


def test_only_a_proxy_may_name_a_person(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same headers from another address are ignored, also the address of the person in them."""
    found = logins(tmp_path)
    assert found.identify(request(PROXY, X_Forwarded_Email="cleo")).name == "cleo"
    with pytest.raises(NotLoggedIn, match="no token"):
        found.identify(request(STRANGER, X_Forwarded_Email="cleo"))
    with pytest.raises(NotLoggedIn):
        found.identify(request(STRANGER, Authorization="Bearer wrong", X_Forwarded_For="192.0.2.1"))
    assert f"address={STRANGER}" in caplog.text and "192.0.2.1" not in caplog.text


def test_a_session_is_of_this_process_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cookie that another process signed, a changed one and one that is too old are refused."""
    found, other = logins(tmp_path), logins(tmp_path)
    ben = found.identify(request(STRANGER, Authorization=f"Bearer {TOKEN}"))
    cookie = found.session_cookie(ben)
    good = request(STRANGER, Cookie=f"{COOKIE}={cookie}")
    assert found.identify(good).name == "ben"
    payload, _, signature = cookie.partition(".")
    for wrong in (other.session_cookie(ben), f"{payload[:-1]}A.{signature}"):
        with pytest.raises(NotLoggedIn, match="the session has ended"):
            found.identify(request(STRANGER, Cookie=f"{COOKIE}={wrong}"))
    real = TimestampSigner.get_timestamp
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: real(self) + 3602)
    with pytest.raises(NotLoggedIn, match="the session has ended"):
        found.identify(good)


def test_the_proxy_goes_before_a_session_that_ended(tmp_path: Path) -> None:
    """A person whom the proxy has logged in is not locked out by an old cookie."""
    asked = request(PROXY, X_Forwarded_Email="cleo", Cookie=f"{COOKIE}=stale")
    assert logins(tmp_path).identify(asked).name == "cleo"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_root_leaves_the_file_to_its_owner(tmp_path: Path) -> None:
    """The page, which another user runs, can still read the file after root has changed it."""
    path = tmp_path / "access.json"
    path.touch()
    os.chown(path, 12345, 23456)
    write_entries(path, [Entry(name="ben")])
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)
