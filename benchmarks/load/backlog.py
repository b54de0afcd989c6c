"""Measure how soon a fleet's backlog is stored after days without a collector, and what a killed broker loses.

``python -m benchmarks.load.backlog --devices 50 --days 7``

The windows of those days, one a minute, are written to spools by the daemon's own code. The daemon's own publishers
send them through Mosquitto as shipped. At first the collector is away, so each device may have `MAX_UNCONFIRMED`
windows at the broker. Mosquitto is killed (SIGKILL) while it holds these, the collector starts, and Mosquitto is killed
again when half of the windows are stored. It prints rates, the bytes that Mosquitto wrote to its disk per byte of the
backlog, and how many windows are lost or stored twice. Exit code 1 unless every window is stored once.

The publishers share one process, so the rate is at least that of this machine, not of 50 devices. Spools are in memory
where /dev/shm exists: the devices would not share one disk either.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from benchmarks.faults.processes import csv_rows
from benchmarks.load.outage import OLD_BOOT, fill
from benchmarks.simulation.collector_process import Collector
from contract.card import ClassifierCard, DetectorCard, model_of, read_card
from contract.message import Model
from demo.mosquitto import Mosquitto
from edge.delivery import spool
from edge.delivery.outbox import MAX_UNCONFIRMED
from edge.delivery.publish import Identity, Publisher
from edge.settings import BrokerSettings
from edge.vision.bundle import SHIPPED

SITE = "bench"
MINUTES_PER_DAY = 1440
QUEUE_LIMIT_S, LIMIT_S = 120.0, 3600.0
PAUSE_S = 0.002
MEMORY = Path("/dev/shm")  # noqa: S108 - not shared with others: a folder of its own is made in it


@dataclass(slots=True)
class Fleet:
    """The publishers of all devices, each with its spool."""

    units: list[tuple[Publisher, spool.Spool]]

    def pump_until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Serve all devices until ``done``, which is asked once a second; return False after the limit."""
        end, ask = time.monotonic() + limit_s, 0.0
        while (now := time.monotonic()) < end:
            if now >= ask:
                if done():
                    return True
                ask = now + 1.0
            for publisher, waiting in self.units:
                publisher.pump(waiting)
            time.sleep(PAUSE_S)
        return False

    def waiting(self) -> int:
        """Return how many windows are in the spools."""
        return sum(waiting.depth() for _, waiting in self.units)


@dataclass(slots=True)
class WatchedBroker:
    """Mosquitto as shipped, and the bytes that all its processes have written to the disk."""

    broker: Mosquitto
    kills: int = 0
    _written: list[int] = field(default_factory=list)

    def kill_and_start(self) -> None:
        """Kill Mosquitto (SIGKILL), and start it again from its last saved state."""
        self._written.append(self._written_now())
        self.broker.kill()
        self.broker.start()
        self.kills += 1

    def written(self) -> int:
        """Return the bytes written to the disk so far (``write_bytes`` of proc(5))."""
        return sum(self._written) + self._written_now()

    def _written_now(self) -> int:
        lines = Path(f"/proc/{self.broker.process.pid}/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])


@dataclass(frozen=True, slots=True)
class Backlog:
    """The result of one run."""

    queued: int
    """Windows that the broker took while no collector was there."""
    queued_s: float
    """Until the broker held `MAX_UNCONFIRMED` windows of each device."""
    stored_s: float | None
    """From the collector's return until no window was left in a spool; None after `LIMIT_S`."""
    expected: int
    rows: int
    different: int
    """Different windows among the rows."""
    payload: int
    """Bytes of the backlog's messages."""
    written: int
    """Bytes that the broker wrote to its disk."""
    kills: int
    collector_mb: float


@contextmanager
def fleet(folder: Path, devices: int, days: float, port: int) -> Iterator[Fleet]:
    """Write the spools, and connect a publisher to each."""
    model, settings = _model(), BrokerSettings(host="127.0.0.1", port=port)
    with ExitStack() as stack:
        units = []
        for number in tqdm(range(devices), desc="spools", unit="device"):
            device, path = f"device-{number}", folder / f"{number}.sqlite"
            fill(path, SITE, device, round(days * MINUTES_PER_DAY))
            waiting = stack.enter_context(spool.opened(path, 100 * MINUTES_PER_DAY))
            publisher = Publisher(settings, Identity(SITE, device, OLD_BOOT), model, random.Random(number))  # noqa: S311
            stack.callback(publisher.close)
            units.append((publisher, waiting))
        yield Fleet(units)


def _model() -> Model:
    detector, expression = (
        read_card((SHIPPED / f"{name}.json").read_bytes(), name) for name in ("face-320x240", "expression")
    )
    assert isinstance(detector, DetectorCard) and isinstance(expression, ClassifierCard)
    return model_of(detector, expression)


def measure(folder: Path, spools: Path, devices: int, days: float) -> Backlog:
    """Run one backlog; the broker's state and the store are written to ``folder``."""
    broker, root = WatchedBroker(Mosquitto(folder, shipped=True)), folder / "store"
    with ExitStack() as stack:
        stack.callback(broker.broker.stop)
        broker.broker.start()
        Collector(root, broker.broker.port).stop()  # leaves its subscription
        devices_in = stack.enter_context(fleet(spools, devices, days, broker.broker.port))
        expected = devices_in.waiting()
        payload = sum(len(row) for _, waiting in devices_in.units for _, row in waiting.waiting(0, expected))
        began = time.monotonic()
        at_broker = min(MAX_UNCONFIRMED, expected // devices) * devices
        devices_in.pump_until(lambda: _unconfirmed(devices_in) >= at_broker, QUEUE_LIMIT_S)
        queued, queued_s = _unconfirmed(devices_in), time.monotonic() - began
        broker.kill_and_start()
        collector = Collector(root, broker.broker.port)
        stack.callback(collector.kill)
        began = time.monotonic()
        devices_in.pump_until(lambda: devices_in.waiting() <= expected // 2, LIMIT_S / 2)
        broker.kill_and_start()
        complete = devices_in.pump_until(lambda: devices_in.waiting() == 0, LIMIT_S / 2)
        stored_s = time.monotonic() - began if complete else None
        keys = [(row["device"], row["boot"], row["seq"]) for row in csv_rows(folder)]
        return Backlog(
            queued, queued_s, stored_s, expected, len(keys), len(set(keys)), payload, broker.written(), broker.kills,
            collector.memory_mb(),
        )  # fmt: skip


def _unconfirmed(devices: Fleet) -> int:
    return sum(publisher.unconfirmed for publisher, _ in devices.units)


def main() -> int:
    """Measure and print the result; return 0 if every window is stored once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.backlog", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=50, help="number of devices (default: %(default)s)")
    parser.add_argument("--days", type=float, default=7.0, help="days without a collector (default: %(default)s)")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="facetally-backlog-") as folder,
        tempfile.TemporaryDirectory(prefix="facetally-spools-", dir=MEMORY if MEMORY.is_dir() else None) as spools,
    ):
        result = measure(Path(folder), Path(spools), arguments.devices, arguments.days)
    print(report(result, arguments.devices, arguments.days))
    return 0 if result.stored_s is not None and result.expected == result.rows == result.different else 1


def report(result: Backlog, devices: int, days: float) -> str:
    """Return the figures as text."""
    if result.stored_s is None:
        stored = f"not within {LIMIT_S:g} s"
    else:
        stored = f"{result.stored_s:.0f} s, {result.expected / result.stored_s:,.0f} windows a second"
    return "\n".join(
        (
            f"backlog: {result.expected:,} windows, {result.payload / 1e6:.0f} MB, {devices} devices, {days:g} days",
            f"taken by the broker while the collector is away: {result.queued:,} in {result.queued_s:.1f} s",
            f"stored after the collector's return: {stored}; collector: {result.collector_mb:.0f} MB",
            f"broker killed {result.kills} times; written to its disk: {result.written:,} bytes,"
            f" {result.written / result.payload:.2f} per byte of the backlog",
            f"lost: {result.expected - result.different}; stored twice: {result.rows - result.different}",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
