"""A real Mosquitto for tests, messages published to it, and the real collector connected to it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from demo import mosquitto as broker_process
from demo.mosquitto import free_port, listens
from tests.support.waiting import LIMIT_S, wait_until

__all__ = [
    "LIMIT_S",
    "free_port",
    "listens",
    "mosquitto",
    "needs_mosquitto",
    "publish",
    "start_collector",
    "wait_until",
]

needs_mosquitto = pytest.mark.skipif(broker_process.program() is None, reason="mosquitto is not installed")


@contextmanager
def mosquitto(folder: Path, port: int, *lines: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run Mosquitto on ``port`` with extra lines of configuration; its queues are unlimited unless a line says else."""
    with broker_process.mosquitto(folder, "max_queued_messages 0", *lines, port=port) as broker:
        yield broker.process


def publish(port: int, messages: list[tuple[str, bytes]], retain: bool = False, **login: str) -> None:
    """Publish messages at QoS 1, and return when the broker has acknowledged all of them."""
    client = Client(CallbackAPIVersion.VERSION2)
    if login:
        client.username_pw_set(**login)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for sent in [client.publish(to, payload, 1, retain) for to, payload in messages]:
        sent.wait_for_publish(LIMIT_S)
    client.disconnect()
    client.loop_stop()


def start_collector(root: Path, port: int, *overrides: str) -> subprocess.Popen[bytes]:
    """Start the collector in a process of its own, and return once it has subscribed.

    ``overrides`` are settings as ``key=value``. Windows of any date are accepted: those of tests have fixed dates.
    """
    any_date = ("limits.past_days=36500", "limits.future_days=36500")
    settings = (f"broker.port={port}", "broker.in_flight=50", *any_date, *overrides)
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    command = [sys.executable, "-m", "collector", "run", "--root", str(root), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    while b"+/health" not in process.stderr.readline():
        assert process.poll() is None, "the collector has ended"
    return process
