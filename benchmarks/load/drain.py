"""Measure how fast collectors store and acknowledge a queue of messages, beside `mosquitto_sub`, and one beside two.

``python -m benchmarks.load.drain --messages 200000``
``python -m benchmarks.load.drain --messages 200000 --core-fraction 0.3``

The first command measures one collector and `mosquitto_sub`, which writes the same messages to a file, each alone. The
second one measures one collector, and two that share the messages (MQTT 5 shared subscription). Each of them may use
that fraction of a core (a control group, for which root is needed), so that two have twice the processor of one, and
the broker has what it needs, on a small machine, too.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.simulation.collector_process import Collector, new_rows
from benchmarks.simulation.connection_pool import BROKER_CONFIG, ConnectionPool
from benchmarks.simulation.devices import message, simulated_devices
from benchmarks.simulation.fleet import rows
from contract.topics import subscription
from demo.mosquitto import mosquitto

LIMIT_S = 600.0
IDLE_S = 3.0
"""A queue is drained when no row has come for this time."""
WRITERS = ("one", "two")
PERIOD_US = 20_000
"""Period over which the kernel limits CPU time, microseconds."""
CPU_GROUPS = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
"""Where control groups for CPU time are: version 1, version 2."""


def drain(folder: Path, devices: int, messages: int) -> int:
    """Queue messages for both, drain one queue after the other, and print the result; return 0 if all are stored."""
    root = folder / "store"
    with mosquitto(folder, *BROKER_CONFIG) as broker:
        peer = ["mosquitto_sub", "-V", "5", "-i", "peer", "-c", "-x", "3600", "-q", "1", "-t", subscription("counts")]
        peer += ["-p", str(broker.port), "-D", "connect", "receive-maximum", "1000"]
        subprocess.run([*peer, "-E"], check=True)  # subscribes, and leaves its session at the broker
        Collector(root, broker.port).stop()
        different = _queue(broker.port, devices, messages)
        began = time.monotonic()
        with (folder / "peer.txt").open("wb") as file:
            subprocess.run([*peer, "-C", str(messages)], stdout=file, check=True, timeout=LIMIT_S)
        peer_s = time.monotonic() - began
        began = time.monotonic()
        collector = Collector(root, broker.port)
        collector.wait_for(different, LIMIT_S)
        collector_s, cpu_s, memory = time.monotonic() - began, collector.cpu_s(), collector.memory_mb()
        collector.stop()
    stored = len(list(rows(root)))
    print(f"queued: {messages:,} messages of {devices} devices, {different:,} of them different")
    print(f"mosquitto_sub to a file: {messages / peer_s:,.0f} messages/s")
    print(f"collector, acknowledged after fsync: {messages / collector_s:,.0f} messages/s, {stored:,} rows")
    print(f"ratio: {peer_s / collector_s:.2f}; CPU time: {cpu_s:.1f} s; peak memory: {memory:.0f} MB")
    return 0 if stored == different else 1


def share(folder: Path, devices: int, messages: int, core_fraction: float) -> int:
    """Let one collector drain a queue, then two, and print the rows a second; return 0 if all are stored."""
    rates = []
    for count in (1, 2):
        place = folder / str(count)
        place.mkdir()
        rate, is_complete = _shared_rate(place, WRITERS[:count], devices, messages, core_fraction)
        print(f"collectors: {count}, {core_fraction:g} of a core each: {rate:,.0f} rows/s", flush=True)
        if not is_complete:
            return 1
        rates.append(rate)
    print(f"ratio: {rates[1] / rates[0]:.2f}")
    return 0


def _shared_rate(
    folder: Path, writers: tuple[str, ...], devices: int, messages: int, core_fraction: float
) -> tuple[float, bool]:
    """Return the rows a second that collectors with a common queue store, and whether they have stored all."""
    roots = [folder / name / "store" for name in writers]
    with mosquitto(folder, *BROKER_CONFIG) as broker, _limited_cpu(core_fraction, len(writers)) as groups:

        def start(name: str, root: Path) -> Collector:
            root.parent.mkdir(exist_ok=True)
            return Collector(root, broker.port, "broker.share=counts", f"store.writer={name}")

        for name, root in zip(writers, roots, strict=True):
            start(name, root).stop()  # leaves its session at the broker
        different = _queue(broker.port, devices, messages)
        collectors = [start(name, root) for name, root in zip(writers, roots, strict=True)]
        for collector, group in zip(collectors, groups, strict=True):
            (group / "cgroup.procs").write_text(str(collector.pid))
        read: dict[Path, int] = {}
        before, began = sum(new_rows(root, read) for root in roots), time.monotonic()
        ended = began
        while (now := time.monotonic()) < min(ended + IDLE_S, began + LIMIT_S):
            if sum(new_rows(root, read) for root in roots):
                ended = now
            time.sleep(0.1)
        for collector in collectors:
            collector.stop()
    stored = {line for root in roots for line in rows(root)}  # a repeated message may be in both stores
    return (different - before) / (ended - began), len(stored) == different


@contextmanager
def _limited_cpu(core_fraction: float, number: int) -> Iterator[list[Path]]:
    """Yield control groups whose processes may use a fraction of a core each. PermissionError without root."""
    is_old = CPU_GROUPS[0].is_dir()
    groups = [CPU_GROUPS[0 if is_old else 1] / f"facetally-drain-{each}" for each in range(number)]
    quota_us = round(core_fraction * PERIOD_US)
    for group in groups:
        group.mkdir()
        if is_old:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
    try:
        yield groups
    finally:
        for group in groups:
            group.rmdir()


def _queue(port: int, devices: int, messages: int) -> int:
    """Publish ``messages`` messages; return how many of them are different."""
    pool, fleet = ConnectionPool(port), simulated_devices(devices, 2)
    minute, sent, keys = 0, 0, set[tuple[str, str, str, int]]()
    while sent < messages:
        for number, device in enumerate(fleet):
            for counts in device.minute(minute):
                if sent < messages:
                    pool.publish(number, *message(counts))
                    keys.add(counts.key)
                    sent += 1
        minute += 1
    pool.wait_until_acknowledged()
    pool.close()
    return len(keys)


def main() -> int:
    """Measure, and print the result; return 1 if not all messages were stored once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.drain", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=1000, help="simulated devices (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=200_000, help="messages in the queue (default: %(default)s)")
    parser.add_argument("--core-fraction", type=float, help="compare one collector with two that have so much each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.core_fraction:
            return share(Path(name), options.devices, options.messages, options.core_fraction)
        return drain(Path(name), options.devices, options.messages)


if __name__ == "__main__":
    sys.exit(main())
