"""Measure the page's views of the present at several sizes of a fleet: time and memory, in one table.

``python -m benchmarks.load.views --devices 50 1000 10000 --root FOLDER``

FOLDER must not exist, and is deleted at the end. For each size it gets the windows of some hours, one a minute and
device, in CSV files of five devices a site: 165 bytes a window, so 0.2 GB for two hours of ten thousand devices. A new
process takes them, then the windows of each further minute, and draws the views after each. Times are CPU times of one
core in milliseconds, so that other programs on the machine matter little. With ``--hours 24`` the store is a whole day.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.load.year import DEVICES_PER_SITE, END, LABEL_PROBABILITIES, LABELS
from collector.analysis.query import Reader
from collector.devices.registry import DeviceRegistry
from collector.language.language import english
from collector.page.first_screen import FirstScreen
from collector.page.views import View
from collector.store.rows import header
from contract.labels import labelset
from contract.message import Status
from contract.topics import Address

MINUTE = timedelta(minutes=1)
ONE_SITE = "shop-0003"
CONTROLS = {"days": "1", "by": "hour", "zone": "Europe/Berlin"}
HEADS = (
    "devices",
    "read at start",
    "a minute's windows",
    "last hour",
    "of one site",
    "fleet",
    "banner",
    "memory MB",
    "sums MB",
)


def add_minutes(root: Path, devices: int, first: datetime, minutes: int, rng: np.random.Generator) -> None:
    """Append the windows of some minutes to the files of all sites."""
    visits = rng.multinomial(rng.poisson(2, 997), LABEL_PROBABILITIES)
    cells = [",".join(map(str, row)) for row in visits.tolist()]
    stamps = [f"{first + number * MINUTE:%Y-%m-%dT%H:%M:%SZ}" for number in range(minutes + 1)]
    number = int((first - END + timedelta(days=2)) / MINUTE)
    tail = "synced,0.98,,1,5,face@0123456789ab,expression@ba9876543210"
    folder = root / f"date={first:%Y-%m-%d}"
    for site in range(-(-devices // DEVICES_PER_SITE)):
        name = f"shop-{site:04}"
        lines = [
            f"1,{name},camera-{device:05},{'0' * 16},{number + at},{stamps[at]},{stamps[at + 1]},{tail},"
            f"{cells[(device * 31 + at) % 997]}\n"
            for at in range(minutes)
            for device in range(site * DEVICES_PER_SITE, min((site + 1) * DEVICES_PER_SITE, devices))
        ]
        path = folder / f"site={name}" / f"counts-{labelset(LABELS)}-collector.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write("".join(lines) if path.stat().st_size else header(LABELS) + "".join(lines))


def add_devices(root: Path, devices: int, now: datetime) -> None:
    """Write the registry of a fleet in which one device of fifty is offline."""
    registry = DeviceRegistry(root)
    for device in range(devices):
        state: Literal["online", "offline"] = "online" if device % 50 else "offline"
        sender = Address(f"shop-{device // DEVICES_PER_SITE:04}", f"camera-{device:05}", "status")
        registry.record(sender, Status(schema=1, state=state, boot="0" * 16), False, now)
    registry.save()


def cpu_ms(act: Callable[[], object]) -> float:
    """Return the CPU time of a call, milliseconds."""
    began = time.process_time()
    act()
    return (time.process_time() - began) * 1000


def measure(root: Path, devices: int, hours: float, times: int) -> None:
    """Print the row of one size. The store must be filled up to ``hours`` after the start of the last day."""
    now, rng = END - timedelta(days=1) + timedelta(hours=hours), np.random.default_rng(2)
    reader = Reader(root, lambda: now)
    view, live = View(reader, lambda: now), reader.live
    start_ms = cpu_ms(live.update)
    add_devices(root, devices, now)
    first = FirstScreen(reader, lambda: now)
    found: dict[str, list[float]] = {"update": [], "all": [], "site": [], "devices": [], "banner": []}
    live.is_followed = True  # as in `collector.web.serve`, whose thread calls `update`
    for _ in range(times):
        add_minutes(root, devices, now, 1, rng)
        now += MINUTE
        found["update"].append(cpu_ms(live.update))
        found["all"].append(cpu_ms(lambda: view.live(CONTROLS)))
        found["site"].append(cpu_ms(lambda: view.live(CONTROLS | {"sites": [ONE_SITE]})))
        found["devices"].append(cpu_ms(lambda: view.device_table(CONTROLS)))
        found["banner"].append(cpu_ms(lambda: first.banner(english())))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cells = [f"{devices:,}", f"{start_ms / 1000:.1f} s"]
    cells += [f"{np.percentile(each, 50):.0f} / {np.percentile(each, 95):.0f}" for each in found.values()]
    print(row((*cells, f"{memory_mb:.0f}", f"{live.bytes / 1e6:.0f}")), flush=True)


def row(cells: tuple[str, ...]) -> str:
    """Return a row of the table."""
    return "".join(f"{cell:>20}" for cell in cells)


def main() -> None:
    """Fill a store of each size, and measure it in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.views", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, nargs="+", default=[50, 1000, 10_000])
    parser.add_argument("--hours", type=float, default=2, help="hours of windows, at most 23 (default: %(default)s)")
    parser.add_argument("--times", type=int, default=20, help="measurements of each view (default: %(default)s)")
    parser.add_argument("--root", type=Path, required=True, help="folder to make")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.root, options.measure, options.hours, options.times)
        return
    print("CPU ms, p50 / p95\n" + row(HEADS), flush=True)
    for devices in options.devices:
        options.root.mkdir(parents=True)
        try:
            first = END - timedelta(days=1)
            for hour in range(int(np.ceil(options.hours))):
                minutes = int(min(60, (options.hours - hour) * 60))
                add_minutes(options.root, devices, first + timedelta(hours=hour), minutes, np.random.default_rng(hour))
            same = [f"--{name}={getattr(options, name)}" for name in ("hours", "times", "root")]
            command = [sys.executable, "-m", "benchmarks.load.views", f"--measure={devices}", *same]
            subprocess.run(command, check=True)
        finally:
            shutil.rmtree(options.root)


if __name__ == "__main__":
    main()
