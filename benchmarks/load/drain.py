"""A queue at the broker -> how fast the collector stores and acknowledges it, beside mosquitto_sub."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.simulation.devices import message, players
from benchmarks.simulation.collector_process import Collector, mosquitto
from contract.topics import subscription

LONGEST_S = 600.0


def drain(folder: Path, devices: int, messages: int, pool_of: Callable[[int], Any]) -> int:
    """Queue for both, drain one after the other, print; 0 if the store holds all."""
    root = folder / "store"
    peer = ["mosquitto_sub", "-V", "5", "-i", "peer", "-c", "-x", "3600", "-q", "1", "-t", subscription("counts")]
    with mosquitto(folder) as port:
        peer += ["-p", str(port), "-D", "connect", "receive-maximum", "1000"]
        subprocess.run([*peer, "-E"], check=True)
        Collector(root, port).stop()
        pool = pool_of(port)
        fleet, minute, sent, different = players(devices, 2), 0, 0, set[tuple[str, str, str, int]]()
        while sent < messages:
            for number, player in enumerate(fleet):
                for counts in player.minute(minute):
                    if sent < messages:
                        pool.publish(number, *message(counts))
                        different.add(counts.key)
                        sent += 1
            minute += 1
        pool.settle()
        pool.close()
        began = time.monotonic()
        with (folder / "peer.txt").open("wb") as file:
            subprocess.run([*peer, "-C", str(messages)], stdout=file, check=True, timeout=LONGEST_S)
        peer_s = time.monotonic() - began
        began = time.monotonic()
        collector = Collector(root, port)
        collector.wait_for(len(different), LONGEST_S)
        own_s, cpu_s, memory = time.monotonic() - began, collector.cpu_s(), collector.memory_mb()
        collector.stop()
    rows = sum(path.read_bytes().count(b"\n") - 1 for path in root.glob("date=*/site=*/*.csv"))
    print(f"{messages:,} messages of {devices} devices waited, {len(different):,} of them different")
    print(f"mosquitto_sub to a file: {messages / peer_s:,.0f} messages/s")
    print(f"collector, acknowledged after fsync: {messages / own_s:,.0f} messages/s, {rows:,} rows")
    print(f"ratio {peer_s / own_s:.2f}; of a core {cpu_s:.1f} s; memory at most {memory:.0f} MB")
    return 0 if rows == len(different) else 1
