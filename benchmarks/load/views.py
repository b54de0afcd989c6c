"""Measure the page's views at several sizes of a fleet: time and memory, in two tables.

``python -m benchmarks.load.views --devices 50 1000 10000 --root FOLDER``

FOLDER must not exist, and is deleted at the end. Times are CPU times of one core in milliseconds, p50 and p95, so that
other programs on the machine matter little. Each size is measured in a new process.

- The present: FOLDER gets the windows of some hours, one a minute and device, in CSV files of five devices a site: 165
  bytes a window, so 0.2 GB for two hours of ten thousand devices. The process takes them, then the windows of each
  further minute, and draws the views after each. With ``--hours 23`` the store has nearly a whole day.
- A year: FOLDER gets the hourly roll-ups of a year (`benchmarks.load.sparse_year`): 36 MB for a thousand devices. With
  ``--before`` it gets those of two years, so that the year is compared with the one before it. One process makes the
  sums of all sites. Then processes measure a year of one site, a year of all sites, and 30 days of all sites, which
  are compared with the days before them. Each view is drawn half a minute after the one before.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.load import sparse_year
from benchmarks.load.year import DEVICES_PER_SITE, END, LABEL_PROBABILITIES, LABELS, size_mb
from benchmarks.simulation.process_usage import peak_memory_mb
from collector.devices.registry import DeviceRegistry
from collector.language.language import english
from collector.page.first_screen.first_screen import FirstScreen
from collector.page.sections.views import View
from collector.reading.reader import Reader
from collector.store.rows import header
from collector.web.warm_up import freeze_objects
from contract.labels import labelset
from contract.message import BundleIdentity, Model, Status
from contract.topics import Address

MINUTE = timedelta(minutes=1)
PARTS = ("live", "sums", "one", "all", "month")
ONE_SITE = "shop-0003"
CONTROLS = {"days": "1", "by": "hour", "zone": "Europe/Berlin"}
YEAR = {"days": "365", "by": "day", "zone": "Europe/Berlin"}
"""Compared with the year before by day."""
MONTH = YEAR | {"days": "30"}
"""Compared with the 30 days before, those of the same weekdays, by hour."""
PERIODS = {"year": YEAR, "30 days": MONTH}
LIVE_HEADS = (
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
YEAR_HEADS = (
    "devices", "sites", "period", "first view", "its figures", "by day", "heat map", "figures, ranking", "memory MB",
    "disk MB",
)  # fmt: skip


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


def add_devices(root: Path, devices: int, now: datetime, prefix: str = "camera") -> None:
    """Write the registry of a fleet in which one device of fifty is offline. All devices report one matrix."""
    registry, model = DeviceRegistry(root), _model()
    for device in range(devices):
        state: Literal["online", "offline"] = "online" if device % 50 else "offline"
        site, name = f"shop-{device // DEVICES_PER_SITE:04}", f"{prefix}-{device:05}"
        registry.record(Address(site, name, "status"), Status(schema=1, state=state, boot="0" * 16), False, now)
        registry.record(Address(site, name, "model"), model, False, now)
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
    add_devices(root, devices, now + times * MINUTE)  # none becomes silent
    first = FirstScreen(reader, lambda: now)
    found: dict[str, list[float]] = {"update": [], "all": [], "site": [], "devices": [], "banner": []}
    freeze_objects()
    live.is_followed = True  # both as in `collector.web.serve`, whose thread calls `update`
    for _ in range(times):
        add_minutes(root, devices, now, 1, rng)
        now += MINUTE
        found["update"].append(cpu_ms(live.update))
        found["all"].append(cpu_ms(lambda: view.live(CONTROLS)))
        found["site"].append(cpu_ms(lambda: view.live(CONTROLS | {"sites": [ONE_SITE]})))
        found["devices"].append(cpu_ms(lambda: view.device_table(CONTROLS)))
        found["banner"].append(cpu_ms(lambda: first.banner(english())))
    cells = [f"{devices:,}", f"{start_ms / 1000:.1f} s"]
    cells += [f"{np.percentile(each, 50):.0f} / {np.percentile(each, 95):.0f}" for each in found.values()]
    print(row((*cells, f"{peak_memory_mb(os.getpid()):.0f}", f"{live.bytes / 1e6:.0f}")), flush=True)


def measure_period(root: Path, devices: int, period: str, sites: list[str], times: int) -> None:
    """Print the row of one size for some sites, or for all. Each view is drawn half a minute after the one before."""
    now = _end_of_year()

    def clock() -> datetime:
        return now

    reader = Reader(root, clock)
    view, first = View(reader, clock), FirstScreen(reader, clock)
    controls = PERIODS[period] | {"sites": sites}
    views: list[Callable[[], object]] = [
        lambda: view.overview(controls), lambda: view.heatmap(controls, "visits"), lambda: first.figures(controls),
    ]  # fmt: skip
    cells = [f"{devices:,}", "one" if sites else "all", period]
    cells += [f"{cpu_ms(each):.0f}" for each in (views[0], views[2])]
    freeze_objects()  # as `collector.web.serve` does after its first view
    for each in views:
        times_ms = []
        for _ in range(times):
            now += MINUTE / 2
            times_ms.append(cpu_ms(each))
        cells.append(f"{np.percentile(times_ms, 50):.0f} / {np.percentile(times_ms, 95):.0f}")
    print(row((*cells, f"{peak_memory_mb(os.getpid()):.0f}", f"{size_mb(root, '_rollup/**/*.*'):.0f}")), flush=True)


def _end_of_year() -> datetime:
    """Return when the first view is drawn: early in an hour, because the first view of an hour takes longer."""
    return sparse_year.START + timedelta(days=364, hours=20, minutes=10)


def prepare_year(root: Path, devices: int) -> None:
    """Register the devices, and make the sums of all sites, which stay on the disk. Print the time of that."""
    now = _end_of_year()
    add_devices(root, devices, now, "door")
    first = FirstScreen(Reader(root, lambda: now), lambda: now)
    for period, controls in PERIODS.items():
        seconds = cpu_ms(lambda controls=controls: first.figures(controls)) / 1000
        print(f"{devices:,} devices: sums of the {period} made in {seconds:.0f} s", flush=True)


def _model() -> Model:
    """Return the message of the classifier that has counted; eight of ten predictions are correct."""
    size = len(LABELS) - 1
    matrix = tuple(map(tuple, (np.eye(size, dtype=int) * 400 + 100 // (size - 1)).tolist()))
    expression = BundleIdentity(
        name="expression", sha256="ba9876543210" + "0" * 52, labels=LABELS[:size], confusion=matrix
    )
    return Model(
        schema=1, detector=BundleIdentity(name="face", sha256="0123456789ab" + "0" * 52), expression=expression
    )


def row(cells: tuple[str, ...]) -> str:
    """Return a row of the table."""
    return "".join(f"{cell:>20}" for cell in cells)


def run(options: argparse.Namespace, devices: int, part: str) -> None:
    """Measure one part in a process of its own."""
    same = [f"--{name}={getattr(options, name)}" for name in ("hours", "times", "root")]
    subprocess.run(
        [sys.executable, "-m", "benchmarks.load.views", f"--devices={devices}", f"--part={part}", *same], check=True
    )


def fill_hours(root: Path, devices: int, hours: float) -> None:
    """Write the first hours of the last day."""
    for hour in range(int(np.ceil(hours))):
        minutes = int(min(60, (hours - hour) * 60))
        add_minutes(
            root, devices, END - timedelta(days=1) + timedelta(hours=hour), minutes, np.random.default_rng(hour)
        )


def main() -> None:
    """Fill a store of each size, and measure it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load.views",
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--devices", type=int, nargs="+", default=[50, 1000, 10_000])
    parser.add_argument("--hours", type=float, default=2, help="hours of windows, at most 23")
    parser.add_argument("--days", type=int, default=31, help="days of each month that have roll-ups")
    parser.add_argument(
        "--before", action="store_true", help="also fill the year before, so that the year is compared with it"
    )
    parser.add_argument("--times", type=int, default=20, help="measurements of each view")
    parser.add_argument("--root", type=Path, required=True, help="folder to make")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part == "live":
        return measure(options.root, options.devices[0], options.hours, options.times)
    if options.part == "sums":
        return prepare_year(options.root, options.devices[0])
    if options.part:
        sites = [ONE_SITE] if options.part == "one" else []
        period = "30 days" if options.part == "month" else "year"
        return measure_period(options.root, options.devices[0], period, sites, options.times)
    for heads, parts in ((LIVE_HEADS, PARTS[:1]), (YEAR_HEADS, PARTS[1:])):
        print(("the present" if "live" in parts else "a year") + "\n" + row(heads), flush=True)
        for devices in options.devices:
            options.root.mkdir(parents=True)
            try:
                if "live" in parts:
                    fill_hours(options.root, devices, options.hours)
                else:
                    rng = np.random.default_rng(1)
                    sparse_year.fill(options.root, devices, options.days, rng, with_year_before=options.before)
                for part in parts:
                    run(options, devices, part)
            finally:
                shutil.rmtree(options.root)
    return None


if __name__ == "__main__":
    main()
