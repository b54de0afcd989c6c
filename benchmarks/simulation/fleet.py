"""Simulate a fleet through a real broker and collector, kill the collector, and compare the store with what was sent.

``python -m benchmarks.simulation.fleet --devices 1000 --minutes 10 --speed 40``

Simulated devices with faults publish through Mosquitto. The collector is killed (SIGKILL) ten times meanwhile. The
sorted lines of the store must equal, byte for byte, those computed from the messages: nothing lost, nothing twice.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.simulation.collector_process import Collector
from benchmarks.simulation.connection_pool import BROKER_CONFIG, CONNECTIONS, ConnectionPool
from benchmarks.simulation.devices import expected_row, message, simulated_devices
from demo.mosquitto import mosquitto


@dataclass(frozen=True, slots=True)
class Outcome:
    """Numbers of lines sent and stored, and their differences."""

    sent: int
    """Messages sent, repeats included."""
    expected: int
    """Different messages sent, which is how many rows the store must hold."""
    stored: int
    """Rows in the store."""
    lost: int
    """Expected rows that are not in the store."""
    extra: int
    """Rows of the store that are repeated or were never sent."""
    seconds: float
    memory_mb: float
    """Peak resident memory of the collector."""


def simulate(folder: Path, devices: int, minutes: int, minute_s: float, kills: int, seed: int = 1) -> Outcome:
    """Simulate devices for ``minutes`` minutes of ``minute_s`` seconds each, and kill the collector ``kills`` times."""
    fleet, expected, sent = simulated_devices(devices, seed), set[str](), 0
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    kill_at = sorted(rng.uniform(0, minutes) for _ in range(kills))
    began = time.monotonic()
    with mosquitto(folder, *BROKER_CONFIG) as broker:
        collector, memory = Collector(folder / "store", broker.port), 0.0
        pool = ConnectionPool(broker.port, min(CONNECTIONS, devices))
        for minute in range(minutes + 1):
            for number, device in enumerate(fleet):
                for counts in device.minute(minute) if minute < minutes else device.send_waiting():
                    topic, payload = message(counts)
                    expected.add(expected_row(payload))
                    pool.publish(number, topic, payload)
                    sent += 1
                    if kill_at and minute + number / devices >= kill_at[0]:
                        del kill_at[0]
                        memory = max(memory, collector.memory_mb())
                        collector.kill()
                        collector = Collector(folder / "store", broker.port)
            time.sleep(max(0.0, began + (minute + 1) * minute_s - time.monotonic()))
        pool.wait_until_acknowledged()
        pool.close()
        collector.wait_for(len(expected), 300)
        memory = max(memory, collector.memory_mb())
        collector.stop()
    stored = sorted(rows(folder / "store"))
    lost = len(expected.difference(stored))
    extra = len(stored) - len(expected) + lost
    assert (lost == extra == 0) == (stored == sorted(expected))
    return Outcome(sent, len(expected), len(stored), lost, extra, time.monotonic() - began, memory)


def rows(root: Path) -> Iterable[str]:
    """Yield every line of the store's files except the headers."""
    for path in root.glob("date=*/site=*/*.csv"):
        with path.open(encoding="utf-8", newline="\n") as file:
            next(file)
            yield from file


def main() -> int:
    """Simulate, and print the result; return 1 if the store is not as expected."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulation.fleet", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--devices", type=int, default=1000, help="simulated devices (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=10, help="real minutes (default: %(default)s)")
    parser.add_argument(
        "--speed", type=float, default=1, help="simulated minutes per real minute (default: %(default)s)"
    )
    parser.add_argument("--kills", type=int, default=10, help="kills of the collector (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        minutes = round(options.minutes * options.speed)
        outcome = simulate(Path(name), options.devices, minutes, 60 / options.speed, options.kills)
    print(f"{options.devices} devices, {minutes} simulated minutes, collector killed {options.kills} times")
    print(f"sent: {outcome.sent:,} messages in {outcome.seconds:.0f} s, {outcome.expected:,} of them different")
    print(f"stored: {outcome.stored:,}; lost: {outcome.lost}; repeated or never sent: {outcome.extra}")
    print(f"peak memory of the collector: {outcome.memory_mb:.0f} MB")
    return 1 if outcome.lost or outcome.extra else 0


if __name__ == "__main__":
    sys.exit(main())
