"""Measure compaction and summary by Dask with one and two workers, and that a killed worker changes no row.

``python -m benchmarks.load.cluster --devices 200 --days 4 --root FOLDER``

FOLDER must not exist. Copies of a store of simulated shops are compacted by one worker and by two, each a process with
one thread, and summed up by them. Then a copy is compacted by two workers of which one is killed (SIGKILL) in the
middle. All copies must hold the same windows, each once. The times include the start of the command. Workers that share
cores with others are not twice as fast.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.load.compaction import check, fill
from benchmarks.simulation.dask_cluster import dask_cluster
from collector.scale.cluster import workers as connected
from collector.store.load import load


def run(command: str, root: Path, scheduler: str, *options: str) -> float:
    """Run a command of the collector by a cluster; return the seconds that it took."""
    began = time.perf_counter()
    arguments = [sys.executable, "-m", "collector", command, "--root", str(root), "--scheduler", scheduler, *options]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(root: Path, copy: Path, workers: int) -> tuple[float, float]:
    """Compact a copy of a store and sum it up; return the seconds of both."""
    shutil.copytree(root, copy)
    with (
        tempfile.TemporaryDirectory(prefix="facetally-dask-") as folder,
        dask_cluster(Path(folder), workers) as cluster,
    ):
        with connected(cluster.address, at_least=workers):
            pass
        compaction_s = run("compact", copy, cluster.address, "--days", "1")
        return compaction_s, run("summary", copy, cluster.address, "--by", "day,site")


def kill_one(root: Path, copy: Path, after_s: float) -> None:
    """Compact a copy of a store by two workers, and kill one of them after some time."""
    shutil.copytree(root, copy)
    with tempfile.TemporaryDirectory(prefix="facetally-dask-") as folder, dask_cluster(Path(folder), 2) as cluster:
        with connected(cluster.address, at_least=2):
            pass
        timer = threading.Timer(after_s, cluster.workers[0].kill)
        timer.start()
        took_s = run("compact", copy, cluster.address, "--days", "1")
        timer.join()
    if took_s <= after_s:
        raise SystemExit(f"compaction took {took_s:.1f} s, must take longer than {after_s:.1f} s: use more devices")


def main() -> None:
    """Fill a store, measure it with one and two workers, kill one, and compare all rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--root", type=Path, required=True, help="folder to make")
    options = parser.parse_args()
    root = options.root / "store"
    windows = fill(root, options.devices, options.days, np.random.default_rng(1))
    whole = load(root)
    took = {number: measure(root, options.root / f"by-{number}", number) for number in (1, 2)}
    kill_one(root, options.root / "killed", took[2][0] * 0.6)
    for name in ("by-1", "by-2", "killed"):
        check(options.root / name, whole)
    print(f"{windows} windows of {options.devices} devices in {options.days} days")
    for at, what in enumerate(("compact", "summary")):
        one, two = (took[number][at] for number in (1, 2))
        print(f"{what}: one worker {one:.1f} s, two workers {two:.1f} s, {one / two:.2f} times as fast")
    print("a worker killed in the middle: rows equal, none twice")


if __name__ == "__main__":
    main()
