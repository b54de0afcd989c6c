"""A store with a year of windows, written in one command, and how long the page's views of it take.

``python -m benchmarks.load.year --devices 50 --days 365 --root FOLDER`` fills FOLDER unless it is filled already, has the
roll-ups made, and then looks at what the page shows: first in a new process, then again and again. Times are of this
machine; what can be compared is how they stand to reading the files themselves, which is measured beside them.
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
from collector.store.cells import HOUR_S
from collector.store.load import load
from collector.store.rollup import Rollups
from collector.store.rows import header
from contract.labels import EXPRESSIONS, UNKNOWN, labelset

LABELS = (*EXPRESSIONS, UNKNOWN)
MIX = np.array([0.05, 0.02, 0.03, 0.33, 0.08, 0.06, 0.38, 0.05])
END = datetime(2026, 7, 1, tzinfo=timezone.utc)
ZONE = ZoneInfo("Europe/Berlin")
PER_SITE = 5
OPEN = (7, 19)
"""Hours UTC in which visitors come."""


def fill(root: Path, devices: int, days: int, chance: np.random.Generator) -> None:
    """A window a minute of each device, five devices a site, ``days`` days up to END; visits in opening hours only."""
    for number in range(days):
        day = END - timedelta(days=days - number)
        for site in range(-(-devices // PER_SITE)):
            names = range(site * PER_SITE, min((site + 1) * PER_SITE, devices))
            folder = root / f"date={day:%Y-%m-%d}" / f"site=shop-{site:02}"
            folder.mkdir(parents=True, exist_ok=True)
            text = "".join(_day(f"shop-{site:02}", f"device-{name:03}", day, number, chance) for name in names)
            path = folder / f"counts-{labelset(LABELS)}-collector.csv"
            path.write_text(header(LABELS) + text)
            written = (day + timedelta(days=1)).timestamp()
            os.utime(path, (written, written))  # as if it had been written on its day


def _day(site: str, device: str, day: datetime, number: int, chance: np.random.Generator) -> str:
    """The 1440 rows of one device and day."""
    minute = np.arange(1440)
    rate = np.where((minute >= OPEN[0] * 60) & (minute < OPEN[1] * 60), chance.uniform(0.2, 1.5), 0.0)
    visits = chance.multinomial(chance.poisson(rate), MIX)
    cells = [",".join(map(str, row)) for row in visits.tolist()]
    head, seq = f"1,{site},{device},{'0' * 16},", number * 1440
    stamps = [f"{day:%Y-%m-%d}T{at // 60:02}:{at % 60:02}:00Z" for at in range(1440)]
    stamps.append(f"{day + timedelta(days=1):%Y-%m-%d}T00:00:00Z")
    tail = "synced,0.98,,1,5,face@0123456789ab,expression@ba9876543210"
    return "".join(f"{head}{seq + at},{stamps[at]},{stamps[at + 1]},{tail},{cells[at]}\n" for at in range(1440))


def views(rollups: Rollups, root: Path, days: int) -> dict[str, Callable[[], object]]:
    """What the page shows, by name."""

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
    """p50 and p95 of a view, milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        view()
        took.append((time.perf_counter() - began) * 1000)
    return float(np.percentile(took, 50)), float(np.percentile(took, 95))


def size_mb(root: Path, pattern: str) -> float:
    """Megabytes of the files of a pattern."""
    return sum(path.stat().st_size for path in root.glob(pattern)) / 1e6


def now() -> datetime:
    """The time, aware of being UTC."""
    return datetime.now(timezone.utc)


FIRST = """
import sys, time
began = time.perf_counter()
from benchmarks.load.year import views, now, Rollups, HOUR_S, Path
root = Path(sys.argv[1])
views(Rollups(root, HOUR_S, now), root, int(sys.argv[2]))["a year by day"]()
print(f"{(time.perf_counter() - began) * 1000:.0f}")
"""


def main() -> None:
    """Fill, make roll-ups, measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.year", description=__doc__)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--root", type=Path, default=Path("out/year"))
    parser.add_argument("--times", type=int, default=20, help="how often each view is looked at")
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
    command = [sys.executable, "-c", FIRST, str(options.root), str(options.days)]
    print(f"a year by day in a new process: {subprocess.check_output(command, text=True).strip()} ms")
    print(f"{'':28}{'p50 ms':>9}{'p95 ms':>9}")
    for name, view in views(rollups, options.root, options.days).items():
        p50, p95 = measure(view, options.times)
        print(f"{name:28}{p50:9.0f}{p95:9.0f}")


if __name__ == "__main__":
    main()
