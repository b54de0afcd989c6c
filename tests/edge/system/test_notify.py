"""Notifications to systemd."""

import socket

import pytest

from edge.system.notify import Notifier


@pytest.fixture
def systemd(tmp_path):
    """A datagram socket like systemd's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


def received(listener):
    """All messages that have arrived."""
    messages = []
    while True:
        try:
            messages.append(listener.recv(64).decode())
        except BlockingIOError:
            return messages


def test_states_are_sent_to_the_socket(systemd, tmp_path):
    """The notifier sends ready, alive at most once a second, and stopping."""
    now = [100.0]
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, lambda: now[0])
    notifier.ready()
    for _ in range(30):
        notifier.alive()
        now[0] += 0.1
    notifier.stopping()
    assert received(systemd) == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_an_abstract_socket_is_reached():
    """A socket name that starts with @ is in the abstract namespace, not in the file system."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0facetally-test")
        listener.setblocking(False)
        Notifier({"NOTIFY_SOCKET": "@facetally-test"}).ready()
        assert received(listener) == ["READY=1"]


def test_without_systemd_nothing_is_sent(caplog):
    """Without the variable nothing is sent or logged; a socket that is gone is a warning only."""
    Notifier({}).ready()
    assert not caplog.records
    Notifier({"NOTIFY_SOCKET": "/nowhere/notify"}).ready()
    assert "notify_failed" in caplog.text
