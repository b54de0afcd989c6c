"""Measure compaction: bytes a window before and after, time, and that kills at random moments change no row.

``python -m benchmarks.load.compaction --devices 50 --days 4 --kills 50 --root FOLDER``

FOLDER must not exist. The simulated shops have jitter in their windows' edges, varying coverage, restarts and windows
that were joined for ``k``, so that they do not compress better than real ones.
"""

import argparse
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import parquet

from benchmarks.load.year import DEVICES_PER_SITE, END, LABEL_PROBABILITIES, LABELS, OPENING_HOURS
from collector.store.file_names import counts_files
from collector.store.load import load
from collector.store.rows import header
from contract.labels import labelset

MINUTES = 24 * 60
RESTART_PROBABILITY = 1 / 2000
"""Of a device, in each minute."""
JOINED = 15
"""Windows are joined for ``k`` up to this many minutes while few people come."""


def fill(root: Path, devices: int, days: int, rng: np.random.Generator) -> int:
    """Write the windows of all devices, one file a day and site; return their number."""
    windows = 0
    for site in range(-(-devices // DEVICES_PER_SITE)):
        for number in range(days):
            day = END - timedelta(days=days - number)
            folder = root / f"date={day:%Y-%m-%d}" / f"site=shop-{site:04}"
            folder.mkdir(parents=True)
            names = range(site * DEVICES_PER_SITE, min((site + 1) * DEVICES_PER_SITE, devices))
            rows = [row for name in names for row in _rows(f"shop-{site:04}", f"camera-{name:05}", day, rng)]
            rng.shuffle(rows)  # devices' messages arrive mixed
            path = folder / f"counts-{labelset(LABELS)}-collector.csv"
            path.write_text(header(LABELS) + "".join(rows))
            windows += len(rows)
    return windows


def _rows(site: str, device: str, day: datetime, rng: np.random.Generator) -> list[str]:
    """Return a day of one device: a window a minute at best, fewer and longer ones while few people come."""
    rows, minute, seq, boot = [], 0, int(rng.integers(0, 100_000)), rng.bytes(8).hex()
    offset = timedelta(microseconds=int(rng.integers(0, 60_000_000)))
    end = day + offset
    busy = rng.uniform(0.3, 6.0)
    while minute < MINUTES:
        rate = busy if OPENING_HOURS[0] * 60 <= minute < OPENING_HOURS[1] * 60 else 0.0
        length = 1 if rate > 4 or rate == 0 else int(rng.integers(1, JOINED + 1))
        length = min(length, MINUTES - minute)
        visits = rng.multinomial(rng.poisson(rate * length), LABEL_PROBABILITIES)
        if rng.random() < RESTART_PROBABILITY:
            boot, seq, end = rng.bytes(8).hex(), 0, end + timedelta(microseconds=int(rng.integers(1, 9_000_000)))
        start, end = end, end + timedelta(minutes=length)
        coverage = round(float(rng.choice([1.0, 0.9983, 0.9967, rng.uniform(0.9, 1.0)])), 4)
        rows.append(
            f"1,{site},{device},{boot},{seq},{start:%Y-%m-%dT%H:%M:%S.%f}Z,{end:%Y-%m-%dT%H:%M:%S.%f}Z,synced,{coverage},"
            f"{'moved' if rng.random() < 0.001 else ''},{length},5,face-416x320@0123456789ab,expression@ba9876543210,"
            f"{','.join(map(str, visits.tolist()))}\n"
        )
        minute, seq = minute + length, seq + 1
    return rows


def stored_bytes(root: Path) -> int:
    """Return the bytes of all files that hold windows."""
    return sum(path.stat().st_size for folder in root.glob("date=*/site=*") for path in counts_files(folder))


def compact(root: Path, kill_after_s: float | None) -> bool:
    """Run ``facetally-collector compact``; return whether it was killed before it ended."""
    command = [sys.executable, "-m", "collector", "compact", "--root", str(root), "--days", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            status = process.wait(kill_after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    return False


def check(root: Path, whole: pd.DataFrame) -> None:
    """Raise AssertionError unless the files of a store hold each of these windows once."""
    pd.testing.assert_frame_equal(load(root), whole)
    files = [path for folder in root.glob("date=*/site=*") for path in counts_files(folder)]
    rows = sum(parquet.read_metadata(path).num_rows for path in files)
    assert rows == len(whole), f"the files hold {rows} rows, must hold {len(whole)}"


def kill_often(root: Path, copy: Path, whole: pd.DataFrame, kills: int, limit_s: float) -> int:
    """Compact copies of a store, killed at random moments up to ``limit_s``, until it was killed so often.

    Returns the number of copies. Each is checked once it is compacted.
    """
    rng, killed, copies = np.random.default_rng(1), 0, 0
    while killed < kills:
        shutil.copytree(root, copy)
        while compact(copy, rng.uniform(0, limit_s) if killed < kills else None):
            killed += 1
            pd.testing.assert_frame_equal(load(copy), whole)
        check(copy, whole)
        shutil.rmtree(copy)
        copies += 1
    return copies


def main() -> None:
    """Fill a store, compact it with and without kills, compare all rows, and print sizes and times."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load.compaction", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--root", type=Path, required=True, help="folder to make")
    options = parser.parse_args()
    root = options.root / "store"
    windows = fill(root, options.devices, options.days, np.random.default_rng(1))
    whole, csv_bytes = load(root), stored_bytes(root)
    shutil.copytree(root, options.root / "compacted")
    began = time.perf_counter()
    compact(options.root / "compacted", None)
    seconds = time.perf_counter() - began
    check(options.root / "compacted", whole)
    parquet_bytes = stored_bytes(options.root / "compacted")
    print(f"{windows} windows of {options.devices} devices in {options.days} days: {seconds:.1f} s")
    print(
        f"CSV {csv_bytes / windows:.1f} bytes a window, Parquet {parquet_bytes / windows:.2f},"
        f" 1/{csv_bytes / parquet_bytes:.1f}"
    )
    copies = kill_often(root, options.root / "killed", whole, options.kills, seconds)
    print(f"killed {options.kills} times in {copies} stores: rows equal, none twice")


if __name__ == "__main__":
    main()
