"""What systemd is told."""

import socket

import pytest

from edge.system.notify import Notifier


@pytest.fixture
def systemd(tmp_path):
    """A socket as systemd makes it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


def told(listener):
    """All that has arrived."""
    words = []
    while True:
        try:
            words.append(listener.recv(64).decode())
        except BlockingIOError:
            return words


def test_systemd_is_told_in_its_own_words(systemd, tmp_path):
    """Ready, alive at most once a second, stopping."""
    now = [100.0]
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, lambda: now[0])
    notifier.ready()
    for _ in range(30):
        notifier.alive()
        now[0] += 0.1
    notifier.stopping()
    assert told(systemd) == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_an_abstract_socket_is_reached():
    """Names that begin with @ are in no file system."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0facetally-test")
        listener.setblocking(False)
        Notifier({"NOTIFY_SOCKET": "@facetally-test"}).ready()
        assert told(listener) == ["READY=1"]


def test_without_systemd_nothing_is_said(caplog):
    """No variable, no word; a socket that is gone is a warning and nothing more."""
    Notifier({}).ready()
    assert not caplog.records
    Notifier({"NOTIFY_SOCKET": "/nowhere/notify"}).ready()
    assert "notify_failed" in caplog.text
