"""A real Mosquitto, and what is said to it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

needs_mosquitto = pytest.mark.skipif(shutil.which("mosquitto") is None, reason="mosquitto is not on PATH")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def mosquitto(folder: Path, port: int, *lines: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real broker that is listening, and that is gone afterwards."""
    allow = () if any(text.startswith("allow_anonymous") for text in lines) else ("allow_anonymous true",)
    config = folder / f"mosquitto-{port}.conf"
    settings = (f"listener {port} 127.0.0.1", *allow, "max_queued_messages 0", *lines)
    config.write_text("\n".join(settings) + "\n")
    # mosquitto writes warnings to standard error; as root it asks for `user root`
    user = ["user root"] if os.getuid() == 0 else []
    config.write_text("\n".join([*settings, *user]) + "\n")
    process = subprocess.Popen(["mosquitto", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), "mosquitto listens")
        assert process.poll() is None, "another process listens there"
        yield process
    finally:
        process.terminate()
        process.wait(10)


def listens(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(fact: Callable[[], bool], what: str, within_s: float = 30.0) -> None:
    due = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < due, f"not within {within_s} s: {what}"
        time.sleep(0.02)


def publish(port: int, messages: list[tuple[str, bytes]], retain: bool = False) -> None:
    """Hand messages to the broker at QoS 1, and return when it has all."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for sent in [client.publish(to, payload, 1, retain) for to, payload in messages]:
        sent.wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def start_collector(root: Path, port: int, *told: str) -> subprocess.Popen[bytes]:
    """The real command in a process of its own, with settings ``key=value``, from when it has subscribed. It takes
    windows of any year, because those of tests have fixed dates.
    """
    any_time = ("limits.past_days=36500", "limits.future_days=36500")
    settings = (f"broker.port={port}", "broker.in_flight=50", *any_time)
    sets = [word for setting in (*settings, *told) for word in ("--set", setting)]
    command = [sys.executable, "-m", "collector", "run", "--root", str(root), *sets]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    while b"+/health" not in process.stderr.readline():
        assert process.poll() is None
    return process
