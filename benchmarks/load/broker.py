"""Mosquitto's settings -> how fast it takes messages, what it writes for them, and what it still has when it is killed.

``python -m benchmarks.load.broker``: 20 connections hand windows to Mosquitto at QoS 1 while the collector's session is
there and the collector is away. For each way to save, in one run: messages a second, bytes written (``wchar`` of the
process) for each byte queued, and how many messages the session still holds after SIGKILL five seconds later. What is
lost then is in the spools of the devices: they delete a window when the collector confirms it, not the broker.

``--flood S`` has one credential send messages of QoS 0 as fast as it can for so many seconds, while another sends
windows at 200 a second, each again until the collector has confirmed it, as a device does.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.simulation.devices import message, players
from benchmarks.simulation.fleet import Pool
from benchmarks.simulation.collector_process import PATH, Collector
from contract.receipt import Stored, decode_receipt
from contract.topics import subscription
from demo.broker import free_port, wait_for

SHIPPED = Path(__file__).parents[2] / "systemd" / "broker" / "mosquitto.conf"
SAVES = {
    "at each change (before)": "autosave_on_changes true\nautosave_interval 1\n",
    "every 1,000 changes": "autosave_on_changes true\nautosave_interval 1000\n",
    "every 5 s": "autosave_on_changes false\nautosave_interval 5\n",
    "as shipped": "",
}
AFTER_S = 5.0
"""From the last acknowledgement to the kill."""
SESSION = "facetally-collector-collector"


class Broker:
    """Mosquitto with the shipped configuration, other lines after it, and a folder of its own; may be killed."""

    def __init__(self, folder: Path, lines: str) -> None:
        self.port = free_port()
        kept = folder / "kept"
        kept.mkdir(exist_ok=True)
        user = "user root\n" if os.getuid() == 0 else ""
        text = f"{SHIPPED.read_text()}{lines}listener {self.port} 127.0.0.1\nallow_anonymous true\n"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"{text}persistence_location {kept}/\n{user}")
        self.start()

    def start(self) -> None:
        """Begin, with what it has saved."""
        command = [shutil.which("mosquitto", path=PATH) or "mosquitto", "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port)

    def written(self) -> int:
        """Bytes that it has handed to the system to write to files and sockets."""
        lines = Path(f"/proc/{self._process.pid}/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("wchar")).split()[1])

    def memory_mb(self) -> float:
        """The most memory it has had resident."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, and until it is gone."""
        self._process.send_signal(number)
        self._process.wait(30)


@contextmanager
def session(port: int, heard: list[int]) -> Iterator[None]:
    """The collector's session, subscribed to counts; hung up at the end, and the session stays. ``heard``: the numbers
    of the messages that come."""
    client = Client(CallbackAPIVersion.VERSION2, SESSION, protocol=MQTTProtocolVersion.MQTTv5)
    told = Properties(PacketTypes.CONNECT)
    told.SessionExpiryInterval, told.ReceiveMaximum = 86_400, 5000
    there = threading.Event()
    client.on_connect = lambda *_: client.subscribe(subscription("counts"), qos=1)
    client.on_subscribe = lambda *_: there.set()
    client.on_message = lambda _c, _u, message: heard.append(message.mid)
    client.connect("127.0.0.1", port, clean_start=False, properties=told)
    client.loop_start()
    there.wait(10)
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def queued(folder: Path, messages: int, lines: str) -> tuple[float, float, int, float]:
    """Messages a second, bytes written for each byte queued, messages lost by a kill, memory in MB."""
    broker = Broker(folder, lines)
    try:
        with session(broker.port, []):
            pass
        sent, size, began, before = 0, 0, time.monotonic(), broker.written()
        pool, fleet, minute = Pool(broker.port), players(50, 3), 0
        while sent < messages:
            for number, player in enumerate(fleet):
                for counts in player.minute(minute):
                    if sent < messages:
                        name, payload = message(counts)
                        pool.publish(number, name, payload)
                        sent, size = sent + 1, size + len(payload)
            minute += 1
        pool.settle()
        took = time.monotonic() - began
        pool.close()
        time.sleep(AFTER_S)
        written, memory = broker.written() - before, broker.memory_mb()
        broker.end()
        broker.start()
        return sent / took, written / size, sent - held(broker.port), memory
    finally:
        broker.end(signal.SIGTERM)


def held(port: int) -> int:
    """How many messages the session is given."""
    numbers: list[int] = []
    with session(port, numbers):
        before = -1
        while before < len(numbers):
            before = len(numbers)
            time.sleep(1.0)
    return len(numbers)


def flooded(folder: Path, seconds: float, lines: str) -> str:
    """What becomes of the windows of one device while another floods the broker."""
    broker = Broker(folder, lines)
    collector = Collector(folder / "store", broker.port)
    code = (
        "import sys, time, paho.mqtt.client as m; c = m.Client(m.CallbackAPIVersion.VERSION2);"
        "c.connect('127.0.0.1', int(sys.argv[1])); end = time.monotonic() + float(sys.argv[2]);\n"
        "while time.monotonic() < end: c.publish('facetally/v1/evil/x/counts', b'x' * 200, 0); c.loop_write()\n"
    )
    flood = subprocess.Popen([sys.executable, "-c", code, str(broker.port), str(seconds)])
    player = players(1, 5)[0]
    waiting: dict[tuple[str, int], tuple[str, bytes, float]] = {}
    client, minute, made, again = Client(CallbackAPIVersion.VERSION2), 0, 0, 0
    receipts: list[Stored] = []
    client.on_message = lambda _c, _u, told: receipts.append(decode_receipt(told.payload))
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.subscribe(f"facetally/v1/{player.site}/{player.device}/stored/+")
    began = time.monotonic()
    try:
        while time.monotonic() - began < seconds + 60 and (waiting or time.monotonic() - began < seconds):
            if time.monotonic() - began < seconds:
                for counts in player.minute(minute):
                    made += (counts.boot, counts.seq) not in waiting
                    waiting.setdefault((counts.boot, counts.seq), (*message(counts), 0.0))
                minute += 1
            now = time.monotonic()
            for key, (name, payload, at) in list(waiting.items()):
                if now - at > 5.0:
                    again += at > 0
                    client.publish(name, payload, 1)
                    waiting[key] = (name, payload, now)
            while receipts:
                told = receipts.pop()
                for boot, seq in [key for key in waiting if told.holds(*key)]:
                    del waiting[boot, seq]
            time.sleep(0.005)
        took = time.monotonic() - began
        rows = sum(path.read_bytes().count(b"\n") - 1 for path in (folder / "store").glob("date=*/site=shop*/*.csv"))
        return (
            f"{rows} windows stored, {made} made (repeats among them), within {took:.0f} s, {len(waiting)} wait,"
            f" {again} sent again; collector {collector.memory_mb():.0f} MB, broker {broker.memory_mb():.0f} MB"
        )
    finally:
        flood.wait(60)
        client.disconnect()
        client.loop_stop()
        collector.kill()
        broker.end(signal.SIGTERM)


def main() -> int:
    """Measure, print; 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.broker", description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10_000, help="to queue (default: %(default)s)")
    parser.add_argument("--flood", type=float, metavar="S", help="flood for so many seconds, instead")
    parser.add_argument("--lines", action="append", default=[], help="of the configuration, after the shipped ones")
    chosen = parser.parse_args()
    lines = "".join(f"{line}\n" for line in chosen.lines)
    if chosen.flood:
        with tempfile.TemporaryDirectory() as name:
            print(flooded(Path(name), chosen.flood, lines))
        return 0
    print("saved | messages/s | bytes written a byte | lost by SIGKILL | memory")
    for name, how in SAVES.items():
        messages = min(chosen.messages, 2_000) if "each change" in name else chosen.messages
        with tempfile.TemporaryDirectory() as folder:
            rate, ratio, lost, memory = queued(Path(folder), messages, how + lines)
        print(f"{name} | {rate:,.0f} | {ratio:.1f} | {lost} of {messages} | {memory:.0f} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
