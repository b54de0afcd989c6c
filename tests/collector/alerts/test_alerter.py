"""A real HTTP server receives signed messages, each change once, over failures and restarts."""

import json
import random
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from base.errors import SettingsError
from collector.alert_settings import Alerts, Threshold, Webhook
from collector.alerts.alerter import Alerter
from collector.alerts.changes import Change
from collector.alerts.conditions import Subject, Text
from collector.alerts.memory import MAX_CHANGES, MAX_WAITING, Destination, Memory, read_memory
from collector.alerts.webhook import signature
from collector.settings import Settings, Store
from tests.support.alerts import NOW, Clock, report
from tests.support.brokers import wait_until
from tests.support.store import put, window

SECRET = "0123456789abcdef"


class Receiver(ThreadingHTTPServer):
    """Keeps the requests that it gets, and answers with the next of ``statuses``, or 204."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    def changes(self) -> list[tuple[str, str]]:
        """Return kind and state of all changes that were received."""
        bodies = [json.loads(body) for _, body in self.requests]
        return [(change["kind"], change["state"]) for body in bodies for change in body["changes"]]


class _Request(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def alerter(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that starts an alerter for the store, as after a restart."""
    monkeypatch.setattr("collector.alerts.alerter.CHECK_S", 0.0)
    monkeypatch.setattr("collector.alerts.alerter.FIRST_PAUSE_S", 0.01)
    (tmp_path / "secret").write_text(SECRET + "\n")
    hook = Webhook(url=f"http://127.0.0.1:{receiver.server_port}/hook?team=1", secret_file=str(tmp_path / "secret"))
    Clock.now = NOW

    def start(**alerts: Any) -> Alerter:
        settings = Settings(store=Store(root=str(tmp_path)), alerts=Alerts(webhooks=(hook,), **alerts))
        return Alerter(settings, lambda: Clock.now, random.Random(1))

    return start


def test_a_device_that_is_away_and_back_is_told_twice(
    tmp_path: Path, receiver: Receiver, alerter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages are signed as the guide checks it. A restart between detection and hold time changes nothing."""
    report(tmp_path, "offline")
    alerter().update()
    Clock.now += timedelta(minutes=11)
    for _ in range(3):
        alerter().update()
    assert receiver.changes() == [("offline", "needs_person")]
    headers, body = receiver.requests[0]
    sent = int(headers["Facetally-Timestamp"])
    assert sent == int(Clock.now.timestamp())
    assert headers["Facetally-Signature"] == signature(SECRET.encode(), sent, body)
    guide = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {}
    exec(re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)[0], namespace)
    monkeypatch.setattr("time.time", lambda: sent + 299.0)
    assert namespace["is_genuine"](SECRET.encode(), headers, body)
    assert not namespace["is_genuine"](SECRET.encode(), headers, body + b" ")
    monkeypatch.setattr("time.time", lambda: sent + 301.0)
    assert not namespace["is_genuine"](SECRET.encode(), headers, body), "too old"
    assert headers["Facetally-Signature"] != signature(SECRET.encode(), sent + 1, body)
    assert json.loads(body)["id"] == headers["Facetally-Delivery"]
    assert json.loads(body)["changes"][0] == {
        "site": "shop-1", "device": "door", "kind": "offline", "state": "needs_person", "title": "Offline",
        "detail": "no message for 11 min", "since": "2026-03-28T12:30:00Z",
    }  # fmt: skip
    report(tmp_path, "online")
    running = alerter()
    running.update()
    Clock.now += timedelta(minutes=4)
    report(tmp_path, "online")
    running.update()
    Clock.now += timedelta(minutes=7)
    report(tmp_path, "online")
    running.update()
    assert receiver.changes() == [("offline", "needs_person"), ("offline", "recovered")]


def test_a_message_is_sent_again_until_it_is_taken(tmp_path: Path, receiver: Receiver, alerter: Any) -> None:
    """Errors and redirections are failures. All attempts have the same id, also after a restart; then it is over."""
    receiver.statuses = [500, 302, 429]
    report(tmp_path, "offline")
    alerter(hold_s=0.0).update()
    assert len(read_memory(tmp_path / "alerts.json").waiting) == 1
    running = alerter(hold_s=0.0)

    def is_taken() -> bool:
        running.update()
        return not read_memory(tmp_path / "alerts.json").waiting

    wait_until(is_taken, "the message is taken")
    assert len(receiver.requests) == 4
    assert len({headers["Facetally-Delivery"] for headers, _ in receiver.requests}) == 1
    running.update()
    assert len(receiver.requests) == 4


def test_a_figure_beyond_its_threshold_is_told(tmp_path: Path, receiver: Receiver, alerter: Any) -> None:
    """The share of unknown of the last hour is 60 %; a restart in the same hour tells it no second time."""
    put(tmp_path, window(1, {"happiness": 8, "neutral": 8, "unknown": 24}, NOW - timedelta(hours=1)))
    bound = Threshold(name="many-unknown", figure="share", label="unknown", above=0.4)
    for _ in range(2):
        running = alerter(thresholds=(bound,))

        def has_ended(running: Alerter = running) -> bool:
            running.update()
            return running._hours is not None and running._hours._summed is not None and not running._hours._process

        wait_until(has_ended, "the hour is summed up")
        running.update()
    ((_, body),) = receiver.requests
    (change,) = json.loads(body)["changes"]
    assert (change["kind"], change["threshold"]) == ("threshold", "many-unknown")
    assert change["title"] == "Share of unknown above 40.0 %"
    assert change["detail"] == "60.0 % in the hour from 28 March 2026 11:00 (UTC)"


def test_the_queue_is_bounded_and_a_damaged_file_stops_nothing(tmp_path: Path) -> None:
    """Changes join a message until it is full or tried. The oldest message is dropped and counted."""
    one, two = (Destination(kind="webhook", address=f"https://{name}") for name in ("one", "two"))
    subject = Subject(site="shop-1", device="door", kind="offline")
    change = Change(subject=subject, state="needs_person", texts={"en": Text(title="Offline", detail="")}, since=NOW)
    ids = iter(map(str, range(MAX_WAITING * 2)))
    memory = Memory()
    for _ in range(MAX_CHANGES * (MAX_WAITING + 2)):
        memory = memory.add(one, [change], NOW, lambda: next(ids))
    first = memory.waiting[0]
    assert (len(memory.waiting), memory.dropped, first.id, len(first.changes)) == (MAX_WAITING, 2, "2", MAX_CHANGES)
    memory = memory.add(two, [change] * 3, NOW, lambda: "other")
    memory = memory.tried(memory.waiting[-1]).add(two, [change], NOW, lambda: "later")
    assert [(each.id, len(each.changes)) for each in memory.waiting[-2:]] == [("other", 3), ("later", 1)]
    memory.save(tmp_path / "alerts.json")
    assert read_memory(tmp_path / "alerts.json") == memory
    (tmp_path / "alerts.json").write_bytes(b"{")
    assert read_memory(tmp_path / "alerts.json") == Memory()


def test_a_short_secret_is_refused_at_the_start(tmp_path: Path, alerter: Any) -> None:
    (tmp_path / "secret").write_text("short\n")
    with pytest.raises(SettingsError, match="16 characters"):
        alerter()
