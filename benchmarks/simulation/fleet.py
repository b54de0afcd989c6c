"""A fleet in a box: devices with faults, a real broker, and a collector that is killed; then the store is compared.

``python -m benchmarks.simulation.fleet --devices 1000 --minutes 10 --speed 40`` plays so many minutes, of so many devices, that
fast, through Mosquitto; the collector is killed (SIGKILL) ten times meanwhile. What was sent is remembered line by
line: the store must hold that, sorted, byte for byte, nothing lost and nothing twice.

``--drain 200000`` has so many messages wait at the broker instead, and measures how fast the collector stores and
acknowledges them beside `mosquitto_sub` writing the same to a file, in the same run.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.load.drain import drain
from benchmarks.simulation.devices import expected, message, players
from benchmarks.simulation.collector_process import Collector, mosquitto

CONNECTIONS = 20
"""Devices share so many connections: a thousand threads would measure the threads."""


class Pool:
    """Some connections that messages of devices go out by, QoS 1."""

    def __init__(self, port: int, connections: int = CONNECTIONS) -> None:
        self._clients = [Client(CallbackAPIVersion.VERSION2) for _ in range(connections)]
        self._sent: list[MQTTMessageInfo] = []
        for client in self._clients:
            client.max_inflight_messages_set(1000)
            client.connect("127.0.0.1", port)
            client.loop_start()

    def publish(self, number: int, topic: str, payload: bytes) -> None:
        """Hand over one message, by the connection of this device."""
        self._sent.append(self._clients[number % len(self._clients)].publish(topic, payload, 1))
        if len(self._sent) >= 20_000:
            self.settle()

    def settle(self) -> None:
        """Return when the broker has acknowledged all."""
        for sent in self._sent:
            sent.wait_for_publish(120)
        self._sent.clear()

    def close(self) -> None:
        """Hang up."""
        for client in self._clients:
            client.disconnect()
            client.loop_stop()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was sent, of it what was different, the lines stored, and of both those that the other has not."""

    sent: int
    expected: int
    stored: int
    lost: int
    extra: int
    seconds: float
    memory_mb: float


def play(folder: Path, devices: int, minutes: int, pace_s: float, kills: int, seed: int = 1) -> Outcome:
    """Play the devices for so many of their minutes, each ``pace_s`` seconds long; kill the collector so often."""
    fleet, oracle, sent = players(devices, seed), set[str](), 0
    chance = random.Random(seed)  # noqa: S311
    fatal = sorted(chance.uniform(0, minutes) for _ in range(kills))
    began = time.monotonic()
    with mosquitto(folder) as port:
        collector, pool, memory = Collector(folder / "store", port), Pool(port, min(CONNECTIONS, devices)), 0.0
        for minute in range(minutes + 1):
            for number, player in enumerate(fleet):
                for counts in player.minute(minute) if minute < minutes else player.end():
                    topic, payload = message(counts)
                    oracle.add(expected(payload))
                    pool.publish(number, topic, payload)
                    sent += 1
                    if fatal and minute + number / devices >= fatal[0]:
                        del fatal[0]
                        memory = max(memory, collector.memory_mb())
                        collector.kill()
                        collector = Collector(folder / "store", port)
            time.sleep(max(0.0, began + (minute + 1) * pace_s - time.monotonic()))
        pool.settle()
        pool.close()
        collector.wait_for(len(oracle), 300)
        memory = max(memory, collector.memory_mb())
        collector.stop()
    stored = sorted(lines(folder / "store"))
    lost = len(oracle.difference(stored))
    extra = len(stored) - len(oracle) + lost
    assert (lost == extra == 0) == (stored == sorted(oracle))
    return Outcome(sent, len(oracle), len(stored), lost, extra, time.monotonic() - began, memory)


def lines(root: Path) -> Iterable[str]:
    """Every line of the store's files but the headers, as it stands there."""
    for path in root.glob("date=*/site=*/*.csv"):
        with path.open(encoding="utf-8", newline="\n") as file:
            next(file)
            yield from file


def main() -> int:
    """Play or drain, print, and exit with 1 if the store is not what it must be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation.fleet", description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10, help="of this clock")
    parser.add_argument("--speed", type=float, default=1, help="minutes of the devices in one of this clock")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--drain", type=int, metavar="MESSAGES", help="measure how fast a queue is stored, instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.drain:
            return drain(Path(name), options.devices, options.drain, Pool)
        played = round(options.minutes * options.speed)
        outcome = play(Path(name), options.devices, played, 60 / options.speed, options.kills)
    print(f"{options.devices} devices, {played} minutes of theirs, collector killed {options.kills} times")
    print(f"sent {outcome.sent:,} in {outcome.seconds:.0f} s, {outcome.expected:,} of them different")
    print(f"stored {outcome.stored:,}, lost {outcome.lost}, doubled or invented {outcome.extra}")
    print(f"the collector's memory at most {outcome.memory_mb:.0f} MB")
    return 1 if outcome.lost or outcome.extra else 0


if __name__ == "__main__":
    sys.exit(main())
