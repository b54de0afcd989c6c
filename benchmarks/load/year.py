"""Write a store with a year of windows, and measure how long the page's views of it take.

``python -m benchmarks.load.year --devices 50 --days 365 --root FOLDER``

It fills FOLDER unless it exists, and lets the roll-ups be computed. Then it measures the views of the page, first in a
new process, then repeatedly. The times are those of this machine.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from collector.analysis.summarise import by_device, by_time, by_weekday
from collector.rollups.cells import HOUR_S
from collector.rollups.rollup import Rollups
from collector.store.load import load
from collector.store.rows import header
from contract.labels import EXPRESSIONS, UNKNOWN, labelset

LABELS = (*EXPRESSIONS, UNKNOWN)
LABEL_PROBABILITIES = np.array([0.05, 0.02, 0.03, 0.33, 0.08, 0.06, 0.38, 0.05])
END = datetime(2026, 7, 1, tzinfo=timezone.utc)
ZONE = ZoneInfo("Europe/Berlin")
DEVICES_PER_SITE = 5
TAIL = "synced,0.98,,1,5,face@0123456789ab,expression@ba9876543210"
"""Columns of a row between its times and its visits."""
OPENING_HOURS = (7, 19)
"""Hours UTC in which visitors come."""


def fill(root: Path, devices: int, days: int, rng: np.random.Generator) -> None:
    """Write one window a minute of each device, for ``days`` days before END; visits in opening hours only."""
    for number in range(days):
        day = END - timedelta(days=days - number)
        for site in range(-(-devices // DEVICES_PER_SITE)):
            names = range(site * DEVICES_PER_SITE, min((site + 1) * DEVICES_PER_SITE, devices))
            folder = root / f"date={day:%Y-%m-%d}" / f"site=shop-{site:02}"
            folder.mkdir(parents=True, exist_ok=True)
            text = "".join(_day(f"shop-{site:02}", f"device-{name:03}", day, number, rng) for name in names)
            path = folder / f"counts-{labelset(LABELS)}-collector.csv"
            path.write_text(header(LABELS) + text)
            written = (day + timedelta(days=1)).timestamp()
            os.utime(path, (written, written))  # as if written at the end of its day


def _day(site: str, device: str, day: datetime, number: int, rng: np.random.Generator) -> str:
    """Return the 1440 rows of one device and day."""
    minute = np.arange(1440)
    rate = np.where((minute >= OPENING_HOURS[0] * 60) & (minute < OPENING_HOURS[1] * 60), rng.uniform(0.2, 1.5), 0.0)
    visits = rng.multinomial(rng.poisson(rate), LABEL_PROBABILITIES)
    cells = [",".join(map(str, row)) for row in visits.tolist()]
    head, seq = f"1,{site},{device},{'0' * 16},", number * 1440
    stamps = [f"{day:%Y-%m-%d}T{at // 60:02}:{at % 60:02}:00Z" for at in range(1440)]
    stamps.append(f"{day + timedelta(days=1):%Y-%m-%d}T00:00:00Z")
    return "".join(f"{head}{seq + at},{stamps[at]},{stamps[at + 1]},{TAIL},{cells[at]}\n" for at in range(1440))


def views(rollups: Rollups, root: Path, days: int) -> dict[str, Callable[[], object]]:
    """Return functions that compute what the page shows, by name."""

    def last(back: int, site: str | None = None) -> "tuple[datetime, datetime, str | None]":
        return END - timedelta(days=back), END, site

    def trend(back: int, step_s: int | None, site: str | None = None) -> object:
        since, until, _ = last(back)
        return by_time(rollups.cells(since, until, site), step_s, ZONE, (since, until))

    return {
        "a week by hour": lambda: trend(7, HOUR_S),
        "30 days by hour": lambda: trend(30, HOUR_S),
        "a year by day": lambda: trend(days, None),
        "a year by day, one site": lambda: trend(days, None, "shop-03"),
        "a year by device": lambda: by_device(rollups.cells(*last(days))),
        "a year by weekday": lambda: by_weekday(rollups.cells(*last(days)), ZONE),
        "the last hour": lambda: by_time(load(root, END - timedelta(hours=1), END), 60, ZONE),
    }


def measure(view: Callable[[], object], times: int) -> tuple[float, float]:
    """Return p50 and p95 of the time of a view, milliseconds."""
    times_ms = []
    for _ in range(times):
        began = time.perf_counter()
        view()
        times_ms.append((time.perf_counter() - began) * 1000)
    return float(np.percentile(times_ms, 50)), float(np.percentile(times_ms, 95))


def size_mb(root: Path, pattern: str) -> float:
    """Return the total size of the files that match a pattern, megabytes."""
    return sum(path.stat().st_size for path in root.glob(pattern)) / 1e6


def now() -> datetime:
    """Return the current time, UTC."""
    return datetime.now(timezone.utc)


FIRST_VIEW = """
import sys, time
began = time.perf_counter()
from benchmarks.load.year import views, now, Rollups, HOUR_S, Path
root = Path(sys.argv[1])
views(Rollups(root, HOUR_S, now), root, int(sys.argv[2]))["a year by day"]()
print(f"{(time.perf_counter() - began) * 1000:.0f}")
"""


def main() -> None:
    """Fill the store, compute the roll-ups, and print the measurements."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.year", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=50, help="simulated devices (default: %(default)s)")
    parser.add_argument("--days", type=int, default=365, help="days of windows (default: %(default)s)")
    parser.add_argument("--root", type=Path, default=Path("out/year"), help="store (default: %(default)s)")
    parser.add_argument("--times", type=int, default=20, help="measurements of each view (default: %(default)s)")
    options = parser.parse_args()
    if not options.root.is_dir():
        began = time.perf_counter()
        fill(options.root, options.devices, options.days, np.random.default_rng(1))
        print(f"filled with {options.devices * options.days * 1440:,} windows in {time.perf_counter() - began:.0f} s")
    began = time.perf_counter()
    rollups = Rollups(options.root, HOUR_S, now)
    rows = len(rollups.cells())
    print(f"{rows:,} cells in {time.perf_counter() - began:.1f} s")
    kept, windows = size_mb(options.root, "_rollup/*/*"), size_mb(options.root, "date=*/*/*.csv")
    print(f"on disk: windows {windows:.0f} MB, roll-ups {kept:.1f} MB")
    command = [sys.executable, "-c", FIRST_VIEW, str(options.root), str(options.days)]
    print(f"a year by day in a new process: {subprocess.check_output(command, text=True).strip()} ms")
    print(f"{'':28}{'p50 ms':>9}{'p95 ms':>9}")
    for name, view in views(rollups, options.root, options.days).items():
        p50, p95 = measure(view, options.times)
        print(f"{name:28}{p50:9.0f}{p95:9.0f}")


if __name__ == "__main__":
    main()
