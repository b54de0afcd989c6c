"""Measure compaction, roll-ups and sums by Dask with one and two workers, and that a killed worker changes no row.

``python -m benchmarks.load.cluster --devices 500 --days 5 --root FOLDER``

FOLDER must not exist, except that ``FOLDER/store`` may be one of an earlier run. Copies of a store of simulated shops
are compacted by one worker and by two, rolled up, and summed up, also with corrected shares. Each worker is a process
with one thread, and has a core of its own. The command and the scheduler have none: on two cores the second worker
shares its core with them. Each work is measured as a command, with its start, and without: in a process that is
connected and has imported all, as have the workers. Then a copy is compacted by two workers of which one is killed
(SIGKILL) in the middle. All copies must hold the same windows, each once.

Two cores of one machine share memory, caches and often a processor, so that two programs are slower there than one
alone. The first line says what that costs: plain processes, without a cluster, sum up the same store on one core and on
two. A cluster can hardly sum up faster on this machine.

CPU times are those of command, scheduler and workers. What other programs used meanwhile is printed, too: the times are
those of a machine of its own only if that is near 0. The ratio by CPU time, of command and busiest worker, is less
disturbed by them.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from benchmarks.load.arrivals import write_devices
from benchmarks.load.compaction import fill
from benchmarks.simulation.dask_cluster import DaskCluster, dask_cluster
from benchmarks.simulation.process_usage import busy_seconds, cpu_seconds
from collector.analysis.command_summary import summary_table
from collector.receive.receiver import utc_now
from collector.rollups.cells import HOUR_S
from collector.rollups.rollup_update import folder_cells
from collector.scale.build_rollups import build_rollups
from collector.scale.cluster import workers as connected
from collector.scale.load_cells import load_cells
from collector.store.columns import KEY_COLUMNS
from collector.store.compaction import compact
from collector.store.file_names import counts_files
from collector.store.load import folders as stored_folders
from collector.store.load import read
from collector.store.workers import ThisProcess, Workers

ZONE = ZoneInfo("UTC")
START_LIMIT_S = 60.0
BEFORE = date(9999, 1, 1)
COMMANDS = {
    "compact": ("--days", "1"),
    "rollup": (),
    "summary": ("--by", "day,site"),
    "summary --corrected": ("--by", "day,device", "--corrected"),
}
ALONE = ", without its start"
COPIES = ("by-1", "by-1-commands", "by-2", "by-2-commands", "killed")


@dataclass(frozen=True, slots=True)
class Took:
    """What one work took."""

    seconds: float
    client_s: float
    """CPU time of the command, or of this process."""
    scheduler_s: float
    workers_s: tuple[float, ...]
    """CPU time of each worker."""
    others: float
    """Cores that other programs used meanwhile."""

    @property
    def longest_s(self) -> float:
        """CPU time of the client and the busiest worker, which work one after the other on cores of their own."""
        return self.client_s + max(self.workers_s)

    def __str__(self) -> str:
        workers = " + ".join(f"{each:.1f}" for each in self.workers_s)
        return (
            f"{self.seconds:.1f} s; CPU: client {self.client_s:.1f}, scheduler {self.scheduler_s:.1f},"
            f" workers {workers} s; others used {self.others:.1f} cores"
        )


@dataclass(slots=True)
class Meter:
    """Measures works of one cluster."""

    cluster: DaskCluster
    took: dict[str, Took] = field(default_factory=dict)
    """By the name of the work."""

    def run(self, name: str, work: Callable[[], object]) -> None:
        """Run and measure a work."""
        began, before = time.perf_counter(), self._usage()
        work()
        seconds = time.perf_counter() - began
        client_s, scheduler_s, *workers_s, busy_s = (
            now - then for now, then in zip(self._usage(), before, strict=True)
        )
        others = (busy_s - client_s - scheduler_s - sum(workers_s)) / seconds
        self.took[name] = Took(seconds, client_s, scheduler_s, tuple(workers_s), others)

    def _usage(self) -> list[float]:
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        processes = [self.cluster.scheduler, *self.cluster.workers]
        return [
            sum(each.ru_utime + each.ru_stime for each in own),
            *(cpu_seconds(each.pid) for each in processes),
            busy_seconds(),
        ]


def plain_seconds(root: Path, number: int) -> float:
    """Sum up a store with ``number`` processes, each on a core of its own; return the time that takes, seconds."""
    context = get_context("spawn")
    ready = context.Barrier(number + 1)
    folders = list(stored_folders(root, None, None, None))
    cores = sorted(os.sched_getaffinity(0))
    processes = [
        context.Process(target=sum_up_folders, args=(folders[at::number], cores[at % len(cores)], ready))
        for at in range(number)
    ]
    for process in processes:
        process.start()
    ready.wait(START_LIMIT_S)
    began = time.perf_counter()
    join_all(processes)
    return time.perf_counter() - began


def join_all(processes: Sequence[BaseProcess]) -> None:
    """Wait until processes have ended; RuntimeError if one has failed, since its work is then not done."""
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError(f"exit codes must be 0, are {[process.exitcode for process in processes]}")


def sum_up_folders(folders: list[Path], core: int, ready: Barrier) -> None:
    """Sum up folders on one core, as a worker does for ``summary``, once all processes are ready."""
    os.sched_setaffinity(0, {core})
    folder_cells(folders[:1], cell_s=HOUR_S, since=None, until=None)
    ready.wait(START_LIMIT_S)
    folder_cells(folders, cell_s=HOUR_S, since=None, until=None)


def command(name: str, root: Path, scheduler: str, *options: str) -> None:
    """Run a command of the collector by a cluster."""
    arguments = [sys.executable, "-m", "collector", name, "--root", str(root), "--scheduler", scheduler, *options]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sum_up(root: Path, by: list[str], workers: Workers, *, is_corrected: bool) -> None:
    """Do what ``summary`` does, but print nothing."""
    cells = load_cells(root, None, None, None, ZONE, workers)
    summary_table(cells, by, ZONE, None, corrected_by=root if is_corrected else None, workers=workers)


def measure(root: Path, folder: Path, number: int) -> dict[str, Took]:
    """Let so many workers do everything; return what each work took."""
    alone, commanded = folder / f"by-{number}", folder / f"by-{number}-commands"
    for copy in (alone, commanded):
        shutil.copytree(root, copy)
    with (
        tempfile.TemporaryDirectory(prefix="facetally-dask-") as log,
        dask_cluster(Path(log), number, is_pinned=True) as cluster,
    ):
        with connected(cluster.address, at_least=number):
            pass
        meter = Meter(cluster)
        for name, options in COMMANDS.items():
            meter.run(name, partial(command, name.partition(" ")[0], commanded, cluster.address, *options))
        with connected(cluster.address, at_least=number) as workers:
            meter.run(f"compact{ALONE}", lambda: list(compact(alone, BEFORE, workers=workers)))
            meter.run(f"rollup{ALONE}", lambda: list(build_rollups(alone, ZONE, utc_now, workers)))
            meter.run(f"summary{ALONE}", partial(sum_up, alone, ["day", "site"], workers, is_corrected=False))
            correct = partial(sum_up, alone, ["day", "device"], workers, is_corrected=True)
            meter.run(f"summary --corrected{ALONE}", correct)
    return meter.took


def kill_one(root: Path, copy: Path, after_s: float) -> None:
    """Compact a copy of a store by two workers, and kill one of them after some time."""
    shutil.copytree(root, copy)
    with tempfile.TemporaryDirectory(prefix="facetally-dask-") as folder, dask_cluster(Path(folder), 2) as cluster:
        with connected(cluster.address, at_least=2):
            pass
        timer = threading.Timer(after_s, cluster.workers[0].kill)
        timer.start()
        began = time.perf_counter()
        command("compact", copy, cluster.address, "--days", "1")
        took_s = time.perf_counter() - began
        timer.join()
    if took_s <= after_s:
        raise SystemExit(f"compaction took {took_s:.1f} s, must take longer than {after_s:.1f} s: use more devices")


def check(root: Path, copy: Path) -> None:
    """Raise AssertionError unless each folder of a compacted copy holds the windows of a store's, each once."""
    names = [folder.relative_to(root) for folder in sorted(root.glob("date=*/site=*"))]
    for name in names:
        windows, found = (
            read(counts_files(each / name)).sort_values(list(KEY_COLUMNS), ignore_index=True) for each in (root, copy)
        )
        pd.testing.assert_frame_equal(found, windows)
    assert not list(copy.glob("date=*/site=*/*.csv")), f"{copy}: all CSV files must be compacted"


def devices_of(root: Path) -> list[tuple[str, str]]:
    """Return site and name of each device of a store."""
    names = load_cells(root, None, None, None, ZONE, ThisProcess())[["site", "device"]].drop_duplicates()
    return list(names.itertuples(index=False, name=None))


def main() -> None:
    """Fill a store, measure it with one and two workers, kill one, and compare all rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--root", type=Path, required=True, help="folder to make")
    options = parser.parse_args()
    root = options.root / "store"
    if not root.is_dir():
        fill(root, options.devices, options.days, np.random.default_rng(1))
    write_devices(root, devices_of(root))
    one_s, two_s = (min(plain_seconds(root, number) for _ in range(3)) for number in (1, 2))
    print(f"two cores of this machine, without a cluster: {one_s / two_s:.2f} times as fast as one", flush=True)
    took = {number: measure(root, options.root, number) for number in (1, 2)}
    for work, one in took[1].items():
        two = took[2][work]
        print(f"{work}: {one.seconds / two.seconds:.2f} times as fast, by CPU time {one.longest_s / two.longest_s:.2f}")
        print(f"  one worker {one}\n  two workers {two}", flush=True)
    kill_one(root, options.root / "killed", took[2]["compact"].seconds * 0.6)
    for name in COPIES:
        check(root, options.root / name)
    print("a worker killed in the middle: rows equal, none twice")


if __name__ == "__main__":
    main()
