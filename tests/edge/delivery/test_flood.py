"""Floods from a hostile broker or client fill neither the memory nor the log of daemon and collector."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from paho.mqtt.client import Client as Paho
from paho.mqtt.enums import CallbackAPIVersion

from contract.message import Status, encode
from edge.delivery.incoming import MAX_WAITING
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, publish, wait_until
from tests.support.fakes import lines_of
from tests.support.publishing import ABOUT, OTHER_BOOT, device
from tests.support.receiver import collecting, counts_messages, stored

HUGE = 200_000_000
GROWS_MB = 12.0


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def length(number: int) -> bytes:
    """Encode a variable byte integer of MQTT."""
    digits = []
    while True:
        number, digit = divmod(number, 128)
        digits.append(digit | (128 if number else 0))
        if not number:
            return bytes(digits)


class HostileBroker:
    """Accepts a client of MQTT 5 and hands out the socket."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def accept(self) -> socket.socket:
        client, _ = self._listener.accept()
        connect = client.recv(65_536)
        assert b"\x27" + (20_000).to_bytes(4, "big") in connect, "CONNECT has the maximum packet size"
        client.sendall(b"\x20\x03\x00\x00\x00")
        return client

    def close(self) -> None:
        self._listener.close()


def test_a_status_of_200_mb_does_not_grow_the_daemon(tmp_path) -> None:
    """A 200 MB status is read and dropped, and the connection stays up."""
    broker, peak, over = HostileBroker(), [0.0], threading.Event()
    with device(tmp_path, broker.port) as sender, lines_of("edge.delivery.incoming") as logged:
        wire = broker.accept()
        sender.connects()
        before = resident_mb()

        def flood() -> None:
            head = len(f"{ABOUT}/status").to_bytes(2, "big") + f"{ABOUT}/status".encode() + b"\x00"
            wire.sendall(b"\x30" + length(len(head) + HUGE) + head)
            block = b"x" * 1_000_000
            for _ in range(HUGE // len(block)):
                wire.sendall(block)
                peak[0] = max(peak[0], resident_mb())
            over.set()

        thread = threading.Thread(target=flood)
        thread.start()
        sender.until(over.is_set, "all is sent")
        thread.join()
        sender.until(lambda: bool(logged), "and rejected")
        assert peak[0] - before < GROWS_MB
        assert "at most 16384" in logged[0]
        assert sender.publisher.connected
    wire.close()
    broker.close()


@needs_mosquitto
def test_a_flood_of_statuses_is_drained_a_few_at_a_time(tmp_path) -> None:
    """During 20,000 messages on its status topic the queue stays bounded, the log short, and windows leave."""
    port, junk = free_port(), [(f"{ABOUT}/status", b"{" * 1000)] * 20_000
    with mosquitto(tmp_path, port), device(tmp_path, port, 50) as sender, lines_of("edge.delivery.incoming") as logged:
        sender.connects()
        flood = threading.Thread(target=publish, args=(port, junk))
        flood.start()
        sender.sends_all()
        assert len(sender.publisher._incoming._waiting) <= MAX_WAITING
        flood.join()
        assert len(sender.publisher._incoming._waiting) <= MAX_WAITING
        assert len([line for line in logged if "bad_message" in line]) <= 2


@needs_mosquitto
def test_wills_in_a_row_are_answered_once_a_second(tmp_path) -> None:
    """500 late wills get at most one answer a second."""
    port, will = free_port(), encode(Status(schema=1, state="offline", boot=OTHER_BOOT))
    with mosquitto(tmp_path, port), device(tmp_path, port) as sender:
        sender.connects()
        received: list[bytes] = []
        client = Paho(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _c, _u, message: received.append(message.payload)
        client.connect("127.0.0.1", port)
        client.subscribe(f"{ABOUT}/status", 1)
        client.loop_start()
        began = time.monotonic()
        publish(port, [(f"{ABOUT}/status", will)] * 500)
        end = time.monotonic() + 1.5
        sender.until(lambda: time.monotonic() > end, "a while")
        lasted = time.monotonic() - began
        client.disconnect()
        client.loop_stop()
        assert 1 <= len([payload for payload in received if b"online" in payload]) <= lasted + 2


@needs_mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_huge_message_neither_kills_nor_stops_the_collector(tmp_path, protocol) -> None:
    """40 MB through a broker without limits; with MQTT 3.1.1 the message arrives, is set aside and not sent again."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), collecting(root, port) if protocol == "5" else older(root, port):
        before = resident_mb()
        code = f"import sys; sys.path[:0] = {sys.path!r}; from tests.support import brokers; "
        code += f"brokers.publish({port}, [('facetally/v1/evil/x/counts', b'x' * 40_000_000)])"
        subprocess.run([sys.executable, "-c", code], check=True)
        publish(port, counts_messages(range(20)))
        wait_until(lambda: len(stored(root)) == 20, "the others are stored")
        assert resident_mb() - before < GROWS_MB
        if protocol == "3.1.1":
            letters = (root / "dead-letters.jsonl").read_text().splitlines()
            assert len(letters) == 1
            assert "at most 16384 bytes" in letters[0]


def older(root, port):
    """Run a collector behind a proxy that allows MQTT 3.1.1 only."""
    from contextlib import contextmanager

    from tests.support.fakes import only_mqtt_311

    @contextmanager
    def both():
        with only_mqtt_311(port, b"\x20\x02\x00\x01") as before, collecting(root, before):
            yield

    return both()
