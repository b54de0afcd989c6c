"""Measure how fast Mosquitto queues messages, how much it writes for them, and what a kill loses.

``python -m benchmarks.load.broker``; seven days of 50 devices:
``python -m benchmarks.load.broker --saved "as shipped" --messages 504000 --lines "max_queued_messages 0"``

The collector's session is subscribed and away. 20 connections publish windows at QoS 1. For each way to save the
session it prints messages per second, bytes written by the process (``wchar`` of proc(5)) per byte queued, and how many
messages the session has lost after a SIGKILL `KILL_AFTER_S` after the last acknowledgement. Lost messages are still in
the spools of the devices: a device deletes a window when the collector confirms it, not the broker.

With ``--flood S`` one client sends QoS 0 messages as fast as it can for S seconds. A simulated device publishes windows
meanwhile, and repeats each until the collector has confirmed it.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.simulation.collector_process import Collector
from benchmarks.simulation.connection_pool import ConnectionPool
from benchmarks.simulation.devices import SimulatedDevice, message, simulated_devices
from benchmarks.simulation.process_usage import peak_memory_mb
from contract.receipt import Stored, decode_receipt
from contract.topics import subscription
from demo.mosquitto import Mosquitto

EACH_CHANGE = "at each change"
SAVE_SETTINGS = {
    EACH_CHANGE: ("autosave_on_changes true", "autosave_interval 1"),
    "every 1,000 changes": ("autosave_on_changes true", "autosave_interval 1000"),
    "every 5 s": ("autosave_on_changes false", "autosave_interval 5"),
    "as shipped": (),
}
KILL_AFTER_S = 5.0
SESSION = "facetally-collector-collector"
REPEAT_AFTER_S = 5.0
CONFIRM_LIMIT_S = 60.0
FLOOD = """
import sys, time
import paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect("127.0.0.1", int(sys.argv[1]))
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    client.publish("facetally/v1/flood/x/counts", b"x" * 200, 0)
    client.loop_write()
"""


def written_bytes(broker: Mosquitto) -> int:
    """Return the bytes that the broker has passed to write(2), for files and sockets."""
    lines = Path(f"/proc/{broker.process.pid}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


def memory_mb(broker: Mosquitto) -> float:
    """Return the broker's peak resident memory."""
    return peak_memory_mb(broker.process.pid)


@contextmanager
def session(port: int, received: list[int]) -> Iterator[None]:
    """Connect with the collector's session, subscribed to counts; it stays at the broker after the block.

    The message ids that arrive are appended to ``received``.
    """
    client = Client(CallbackAPIVersion.VERSION2, SESSION, protocol=MQTTProtocolVersion.MQTTv5)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 86_400, 5000
    subscribed = threading.Event()
    client.on_connect = lambda *_: client.subscribe(subscription("counts"), qos=1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: received.append(message.mid)
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    subscribed.wait(10)
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def queued_messages(port: int) -> int:
    """Return how many messages the session receives, until none has arrived for a second."""
    received: list[int] = []
    with session(port, received):
        before = -1
        while before < len(received):
            before = len(received)
            time.sleep(1.0)
    return len(received)


@dataclass(frozen=True, slots=True)
class QueueResult:
    """One way to save the session."""

    messages_per_s: float
    written_ratio: float
    """Bytes written per byte queued."""
    lost: int
    """Messages that the session has lost after the kill."""
    memory_mb: float


def measure_queue(folder: Path, messages: int, config: tuple[str, ...]) -> QueueResult:
    """Queue messages, kill the broker, start it again, and count what the session still has."""
    broker = Mosquitto(folder, *config, shipped=True)
    try:
        broker.start()
        with session(broker.port, []):
            pass
        began, before = time.monotonic(), written_bytes(broker)
        size = _publish(broker.port, messages)
        duration_s = time.monotonic() - began
        time.sleep(KILL_AFTER_S)
        written, memory = written_bytes(broker) - before, memory_mb(broker)
        broker.kill()
        broker.start()
        lost = messages - queued_messages(broker.port)
        return QueueResult(messages / duration_s, written / size, lost, memory)
    finally:
        broker.stop()


def _publish(port: int, messages: int) -> int:
    """Publish messages of 50 devices until all are acknowledged; return the bytes of their payloads."""
    pool, fleet = ConnectionPool(port), simulated_devices(50, 3)
    minute = sent = size = 0
    while sent < messages:
        for number, device in enumerate(fleet):
            for counts in device.minute(minute):
                if sent < messages:
                    name, payload = message(counts)
                    pool.publish(number, name, payload)
                    sent, size = sent + 1, size + len(payload)
        minute += 1
    pool.wait_until_acknowledged()
    pool.close()
    return size


@dataclass(slots=True)
class ConfirmedSender:
    """Publishes the windows of a simulated device, each again until the collector has confirmed it."""

    device: SimulatedDevice
    client: Client
    made: int = 0
    """Windows made, repeats of the device included."""
    repeated: int = 0
    """Messages sent again because no confirmation came."""
    unconfirmed: dict[tuple[str, int], tuple[str, bytes, float]] = field(default_factory=dict)
    """Topic, payload and time of the last attempt (0 for none) by boot and seq."""
    receipts: list[Stored] = field(default_factory=list)
    _minute: int = 0

    def connect(self, port: int) -> None:
        """Connect, and subscribe to the device's receipts."""
        self.client.on_message = lambda _client, _data, told: self.receipts.append(decode_receipt(told.payload))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(f"facetally/v1/{self.device.site}/{self.device.device}/stored/+")

    def make_windows(self) -> None:
        """Make the windows of the next simulated minute."""
        for counts in self.device.minute(self._minute):
            key = (counts.boot, counts.seq)
            self.made += key not in self.unconfirmed
            self.unconfirmed.setdefault(key, (*message(counts), 0.0))
        self._minute += 1

    def pump(self, now: float) -> None:
        """Publish what is due, and delete what receipts confirm."""
        for key, (name, payload, sent_at) in list(self.unconfirmed.items()):
            if now - sent_at > REPEAT_AFTER_S:
                self.repeated += sent_at > 0
                self.client.publish(name, payload, 1)
                self.unconfirmed[key] = (name, payload, now)
        while self.receipts:
            receipt = self.receipts.pop()
            for key in [key for key in self.unconfirmed if receipt.holds(*key)]:
                del self.unconfirmed[key]


def measure_flood(folder: Path, flood_s: float, config: tuple[str, ...]) -> str:
    """Flood the broker beside a device that publishes windows; return a report on that device's windows."""
    broker = Mosquitto(folder, *config, shipped=True)
    broker.start()
    collector = Collector(folder / "store", broker.port)
    flood = subprocess.Popen([sys.executable, "-c", FLOOD, str(broker.port), str(flood_s)])
    sender = ConfirmedSender(simulated_devices(1, 5)[0], Client(CallbackAPIVersion.VERSION2))
    sender.connect(broker.port)
    began = time.monotonic()
    try:
        while (elapsed := time.monotonic() - began) < flood_s + CONFIRM_LIMIT_S:
            if elapsed < flood_s:
                sender.make_windows()
            elif not sender.unconfirmed:
                break
            sender.pump(time.monotonic())
            time.sleep(0.005)
        rows = sum(path.read_bytes().count(b"\n") - 1 for path in (folder / "store").glob("date=*/site=shop*/*.csv"))
        return (
            f"windows stored: {rows} of {sender.made} made (repeats included) in {elapsed:.0f} s;"
            f" unconfirmed: {len(sender.unconfirmed)}; sent again: {sender.repeated};"
            f" collector: {collector.memory_mb():.0f} MB; broker: {memory_mb(broker):.0f} MB"
        )
    finally:
        flood.wait(60)
        sender.client.disconnect()
        sender.client.loop_stop()
        collector.kill()
        broker.stop()


def main() -> int:
    """Measure and print the results; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.broker", description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10_000, help="messages to queue (default: %(default)s)")
    parser.add_argument("--saved", choices=SAVE_SETTINGS, help="measure only this way to save the session")
    parser.add_argument("--flood", type=float, metavar="S", help="measure a flood of S seconds instead")
    parser.add_argument(
        "--lines", action="append", default=[], metavar="LINE", help="line of mosquitto.conf to add; may be repeated"
    )
    arguments = parser.parse_args()
    lines = tuple(arguments.lines)
    if arguments.flood:
        with tempfile.TemporaryDirectory() as folder:
            print(measure_flood(Path(folder), arguments.flood, lines))
        return 0
    print("saved | messages/s | bytes written per byte | lost by SIGKILL | memory")
    for name, config in SAVE_SETTINGS.items():
        if arguments.saved not in (None, name):
            continue
        messages = min(arguments.messages, 2_000) if name == EACH_CHANGE else arguments.messages
        with tempfile.TemporaryDirectory() as folder:
            result = measure_queue(Path(folder), messages, config + lines)
        print(
            f"{name} | {result.messages_per_s:,.0f} | {result.written_ratio:.1f} | {result.lost} of {messages}"
            f" | {result.memory_mb:.0f} MB",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
