"""Measure what a fleet costs: CPU time, memory, disk and latency of broker and collector for several sizes.

``python -m benchmarks.load.costs --devices 100 1000 10000 --minutes 3``

Each fleet sends for some minutes in real time (`benchmarks.load.fleet`): each device a window and its health once a
minute. One collector stores and confirms them; nothing is killed. Bytes and CPU time of compaction are those of
simulated shops with realistic noise (`benchmarks.load.compaction`). It writes ``benchmarks/reference/costs.csv`` and
prints the tables of docs/scale.md: what was measured, and a plan on paper for larger fleets.
"""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.load.compaction import fill, stored_bytes
from benchmarks.load.fleet import Plan, report, simulate
from collector.devices.registry import MAX_DEVICES
from collector.store.compaction import compact

REFERENCE = Path("benchmarks/reference/costs.csv")
MINUTES_PER_DAY, MINUTE_S = 1440, 60.0
SHOP_DEVICES = 50
"""Devices of the store that is compacted. Each file holds a day of one site, so larger fleets have more files, not
larger ones."""
PLANNED = (100_000, 1_000_000)
CORE_FRACTION = 0.5
"""Fraction of a core that the collector or broker of a region is planned with; the rest is for the time after an
outage."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one size of fleet costs."""

    devices: int
    windows_per_s: float
    payload_bytes: float
    """Of a window and a health message together."""
    collector_us: float
    """CPU time for one window, one health message and its part of receipts, microseconds."""
    broker_us: float
    collector_mb: float
    """Peak memory."""
    broker_mb: float
    receipt_median_s: float
    receipt_p95_s: float
    csv_bytes: float
    """Of one window."""
    parquet_bytes: float
    compaction_us: float
    """CPU time to compact and verify one window."""


def measure(devices: int, minutes: int, disk: tuple[float, float, float]) -> Cost:
    """Run a fleet; ``disk`` is what `measure_disk` returned."""
    with tempfile.TemporaryDirectory(prefix="facetally-costs-") as name:
        plan = Plan(devices, minutes, MINUTE_S, collector_kills=0, broker_kills=0, collectors=1)
        outcome = simulate(Path(name), plan)
    print(report(plan, outcome), file=sys.stderr)
    if not outcome.is_right:
        raise SystemExit("the store differs from what was sent")
    (collector,), windows = outcome.collectors, outcome.expected
    return Cost(
        devices, devices / MINUTE_S, outcome.payload_bytes / windows, collector.cpu_s / windows * 1e6,
        outcome.broker.cpu_s / windows * 1e6, collector.memory_mb, outcome.broker.memory_mb,
        *outcome.latencies_s[:2], *disk,
    )  # fmt: skip


def measure_disk() -> tuple[float, float, float]:
    """Return bytes a window of CSV and of Parquet, and the CPU time of compaction a window, microseconds."""
    with tempfile.TemporaryDirectory(prefix="facetally-costs-") as name:
        root = Path(name)
        windows = fill(root, SHOP_DEVICES, 1, np.random.default_rng(1))
        before, began = stored_bytes(root), time.process_time()
        for _ in compact(root, date.max):
            pass
        return before / windows, stored_bytes(root) / windows, (time.process_time() - began) / windows * 1e6


def write(path: Path, found: Sequence[Cost]) -> None:
    """Write the figures as CSV."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(field.name for field in fields(Cost))
        rows.writerows([cost.devices, *(f"{value:.4g}" for value in astuple(cost)[1:])] for cost in found)


def read(path: Path) -> list[Cost]:
    """Read the figures that `write` has written."""
    with path.open(newline="") as file:
        return [
            Cost(int(row.pop("devices")), **{key: float(value) for key, value in row.items()})
            for row in csv.DictReader(file)
        ]


def table(found: Sequence[Cost]) -> str:
    """Return the figures as a table of Markdown."""
    rows = [
        "| devices | windows a second | collector: cores, MB | broker: cores, MB | receipt: median, 95 % | CSV a day"
        " | Parquet a day |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for cost in found:
        per_day = cost.devices * MINUTES_PER_DAY
        rows.append(
            f"| {cost.devices:,} | {cost.windows_per_s:,.1f}"
            f" | {cores(cost, cost.collector_us)}, {cost.collector_mb:.0f}"
            f" | {cores(cost, cost.broker_us)}, {cost.broker_mb:.0f}"
            f" | {cost.receipt_median_s:.2f} s, {cost.receipt_p95_s:.2f} s"
            f" | {size(cost.csv_bytes * per_day)} | {size(cost.parquet_bytes * per_day)} |"
        )
    return "\n".join(rows)


def cores(cost: Cost, us: float) -> str:
    """Return the cores that the windows of a fleet need, at a CPU time for each."""
    return f"{cost.windows_per_s * us / 1e6:.3f}"


def plan(found: Sequence[Cost]) -> str:
    """Return what larger fleets need by the figures of the largest one, as a table of Markdown.

    Each region has a broker and a collector of its own, and at most as many devices as a collector knows. Everything
    else grows in proportion to the devices.
    """
    largest = max(found, key=lambda cost: cost.devices)
    rows = [
        "| devices | messages a second | payload a day | regions | collectors: cores, GB | brokers: cores, GB"
        " | CSV a day | Parquet a year | compaction a day |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for devices in PLANNED:
        windows_s, per_day = devices / MINUTE_S, devices * MINUTES_PER_DAY
        needed = [windows_s * us / 1e6 for us in (largest.collector_us, largest.broker_us)]
        collectors, brokers = (
            f"{each:.1f}, {memory_mb * devices / largest.devices / 1000:.1f}"
            for each, memory_mb in zip(needed, (largest.collector_mb, largest.broker_mb), strict=True)
        )
        regions = max(*(each / CORE_FRACTION for each in needed), devices / MAX_DEVICES)
        rows.append(
            f"| {devices:,} | {3 * windows_s:,.0f} | {size(largest.payload_bytes * per_day)}"
            f" | {int(np.ceil(regions))} | {collectors} | {brokers}"
            f" | {size(largest.csv_bytes * per_day)} | {size(largest.parquet_bytes * per_day * 365)}"
            f" | {largest.compaction_us * per_day / 1e6 / 3600:.1f} core hours |"
        )
    return "\n".join(rows)


def size(number: float) -> str:
    """Return a number of bytes in the unit that gives it one to three digits before the point."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def main() -> int:
    """Measure all sizes, write the reference, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.costs", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--minutes", type=int, default=3, help="minutes that each fleet sends (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=REFERENCE, help="CSV to write (default: %(default)s)")
    options = parser.parse_args()
    disk = measure_disk()
    found = [measure(devices, options.minutes, disk) for devices in options.devices]
    write(options.out, found)
    print(f"{table(found)}\n\n{plan(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
