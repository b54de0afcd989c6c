"""Measure how fast the collector stores and acknowledges a queue of messages, beside `mosquitto_sub`.

Run by ``python -m benchmarks.simulation.fleet --drain N``.
"""

import subprocess
import time
from pathlib import Path

from benchmarks.simulation.collector_process import Collector
from benchmarks.simulation.connection_pool import BROKER_CONFIG, ConnectionPool
from benchmarks.simulation.devices import message, simulated_devices
from contract.topics import subscription
from demo.mosquitto import mosquitto

LIMIT_S = 600.0


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
    rows = sum(path.read_bytes().count(b"\n") - 1 for path in root.glob("date=*/site=*/*.csv"))
    print(f"queued: {messages:,} messages of {devices} devices, {different:,} of them different")
    print(f"mosquitto_sub to a file: {messages / peer_s:,.0f} messages/s")
    print(f"collector, acknowledged after fsync: {messages / collector_s:,.0f} messages/s, {rows:,} rows")
    print(f"ratio: {peer_s / collector_s:.2f}; CPU time: {cpu_s:.1f} s; peak memory: {memory:.0f} MB")
    return 0 if rows == different else 1


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
