"""Kill ``facetally-collector sync`` at random while the store grows and PostgreSQL is restarted, and compare.

``python -m benchmarks.faults.postgresql_sync --kills 30 --restarts 6``

Proves that windows, counts and hours in PostgreSQL equal the store's afterwards: none is missing, none counts twice.
The store grows during the run, days are compacted, and a second writer stores windows again. The sync is killed with
SIGKILL at a random time after it has connected. PostgreSQL is stopped as by a crash or by an operator. It does not
prove anything about a disk that loses data.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg

from benchmarks.load.year import END, fill
from benchmarks.machines.postgresql import Cluster, postgresql
from collector.analysis.breakdown import break_down
from collector.store.columns import KEY_COLUMNS
from collector.store.compaction import compact
from collector.store.load import labels, load
from collector.store.writer import StoreWriter
from contract.labels import EXPRESSIONS, UNKNOWN
from contract.message import Counts, Models, Privacy

UTC = ZoneInfo("UTC")
HOUR_KEY = ["site", "device", "hour"]
MAX_ERROR = 1e-9
"""Largest relative difference of sums of floats that were added in another order."""


class Report(NamedTuple):
    """What a run has done and found."""

    kills: int
    restarts: int
    after_kill: tuple[int, ...]
    """Windows in PostgreSQL after each kill."""
    windows: int
    """Windows of the store, each once."""
    differences: tuple[str, ...]
    """How PostgreSQL differs from the store at the end."""


class GrowingStore(threading.Thread):
    """Adds windows to a store until it is stopped: new ones, repeats by another writer, and compacts old days."""

    def __init__(self, root: Path, seed: int, per_s: float) -> None:
        super().__init__()
        self._root, self._rng, self._pause_s = root, random.Random(seed), 1 / per_s
        self._stop_event = threading.Event()

    def run(self) -> None:
        """Add windows and compact days, oldest first."""
        with StoreWriter(self._root, "one") as one, StoreWriter(self._root, "two") as two:
            seq = 0
            while not self._stop_event.wait(self._pause_s):
                for writer in (one, two) if self._rng.random() < 0.3 else (one,):
                    writer.add(_window(seq, random.Random(seq)))
                    writer.flush()
                if seq % 40 == 39:
                    next(compact(self._root, END.date()), None)
                seq += 1

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stop_event.set()
        self.join()


def _window(seq: int, rng: random.Random) -> Counts:
    """Return a window of the last days: some are long, doubtful, without a clock or of another label set."""
    start = END - timedelta(days=rng.randrange(3), minutes=rng.randrange(1440), milliseconds=rng.randrange(1000))
    names = (*EXPRESSIONS, UNKNOWN) if rng.random() < 0.8 else ("calm", "busy", UNKNOWN)
    doubtful = {"schema": 2, "doubtful_low": 1, "doubtful_high": 2} if rng.random() < 0.2 else {"schema": 1}
    return Counts(
        site="grown", device=f"door-{rng.randrange(3)}", boot="f" * 16, seq=seq, start=start,
        end=start + timedelta(minutes=rng.choice([1, 1, 1, 15, 200])),
        clock=rng.choice(["synced", "synced", "synced", "unsynced", "restamped"]), coverage=rng.choice([0.5, 1.0]),
        degraded=(), merged=1, privacy=Privacy(k=5),
        visits={name: rng.randrange(4) + 2 * (name == names[0]) for name in names},
        model=Models(detector="faces@0123456789ab", expression="seven@ba9876543210"), **doubtful,  # type: ignore[arg-type]
    )  # fmt: skip


def run(
    cluster: Cluster, root: Path, *, kills: int, restarts: int, rng: random.Random, lifetime_s: tuple[float, float]
) -> Report:
    """Kill the sync ``kills`` times, each after a time of ``lifetime_s``; restart the server before some starts."""
    restarted_at = set(rng.sample(range(kills), restarts))
    grown = GrowingStore(root, rng.randrange(2**32), 20)
    grown.start()
    counted = []
    try:
        for number in range(kills):
            process = _start(cluster, root, "--every", "1")
            _wait_until_connected(cluster, process)
            delay_s = rng.uniform(*lifetime_s)
            if number in restarted_at:
                time.sleep(delay_s / 2)
                cluster.stop(rng.choice(["immediate", "fast"]))
                time.sleep(delay_s / 4)
                cluster.start()
            time.sleep(delay_s)
            process.kill()
            process.wait()
            counted.append(_count(cluster))
    finally:
        grown.stop()
    for _ in range(2):  # a second pass changes nothing
        assert _start(cluster, root).wait(600) == 0
    return Report(kills, restarts, tuple(counted), len(load(root)), tuple(differences(cluster.url(), root)))


def differences(url: str, root: Path) -> list[str]:
    """Return how the tables in PostgreSQL differ from the store."""
    frame, found = load(root), list[str]()
    with psycopg.connect(url, options="-c search_path=facetally -c timezone=UTC") as connection:
        windows = _table(connection, "SELECT * FROM windows")
        counts = _table(connection, "SELECT site, device, boot, seq, label, visits FROM counts")
        hours = _table(
            connection, "SELECT site, device, hour, label, sum(visits) AS visits FROM hour_counts GROUP BY 1, 2, 3, 4"
        )
        watched = _table(
            connection, "SELECT site, device, hour, sum(windows)::bigint AS windows, sum(watched_seconds) AS watched,"
            " sum(visits) AS visits, sum(doubtful_low) AS low FROM hours GROUP BY 1, 2, 3"
        )  # fmt: skip
    keys = list(KEY_COLUMNS)
    stored = frame.rename(columns={"start": "start_time", "end": "end_time"}).set_index(keys).sort_index()
    same = [name for name in windows.columns if name in stored.columns]
    kept = windows.set_index(keys).sort_index()
    if not kept.index.equals(stored.index):
        return [f"windows: {len(stored)} in the store, {len(kept)} in PostgreSQL"]
    found += [f"windows.{name}" for name in same if not (kept[name].to_numpy() == stored[name].to_numpy()).all()]
    wide = counts.pivot(index=keys, columns="label", values="visits").reindex(stored.index)
    found += [f"counts of {name}" for name in labels(frame) if not _equal(wide[name], stored[name])]
    summary = break_down(frame, ["hour", "device"], UTC)
    summary = summary[summary["windows"] > 0]
    at = watched.set_index(["hour", "site", "device"]).reindex(summary.index)
    expected = {"windows": summary["windows"], "visits": summary["visits"], "low": summary["doubtful_low"]}
    expected["watched"] = summary["coverage"] * 3600
    found += [f"hours.{name}" for name, values in expected.items() if not _equal(at[name], values)]
    if len(watched) != len(summary):
        found.append(f"hours: {len(summary)} in the store, {len(watched)} in PostgreSQL")
    by_label = hours.pivot(index=["hour", "site", "device"], columns="label", values="visits").reindex(summary.index)
    found += [f"hours of {name}" for name in labels(frame) if not _equal(by_label[name], summary[name])]
    return found


def _equal(one: "pd.Series[float]", other: "pd.Series[float]") -> bool:
    return bool(np.allclose(one.astype(float), other.astype(float), rtol=MAX_ERROR, atol=MAX_ERROR, equal_nan=True))


def _table(connection: psycopg.Connection, query: str) -> pd.DataFrame:
    with connection.cursor() as cursor:
        cursor.execute(query)
        assert cursor.description is not None
        return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])


def _start(cluster: Cluster, root: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "collector", "sync", "--root", str(root), *arguments, cluster.url()]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _wait_until_connected(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    """Return once the sync has a connection."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'facetally-collector sync'"
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        while connection.execute(query).fetchone() == (0,):
            assert process.poll() is None, "the sync has ended"
            time.sleep(0.01)


def _count(cluster: Cluster) -> int:
    """Return the number of windows in PostgreSQL; 0 while there is no table."""
    with psycopg.connect(cluster.url()) as connection:
        try:
            row = connection.execute("SELECT count(*) FROM facetally.windows").fetchone()
        except psycopg.errors.UndefinedTable:
            return 0
    return int(row[0]) if row else 0


def main() -> int:
    """Run, print the report, and return 1 if there is a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults.postgresql_sync", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--kills", type=int, default=30, help="SIGKILLs (default: %(default)s)")
    parser.add_argument("--restarts", type=int, default=6, help="restarts of PostgreSQL (default: %(default)s)")
    parser.add_argument("--days", type=int, default=40, help="days of windows at the start (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers (default: %(default)s)")
    options = parser.parse_args()
    began = time.monotonic()
    with postgresql() as cluster, tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        fill(root, 5, options.days, np.random.default_rng(options.seed))
        rng = random.Random(options.seed)
        report = run(cluster, root, kills=options.kills, restarts=options.restarts, rng=rng, lifetime_s=(0.0, 3.0))
    print(f"{report.kills} kills, {report.restarts} restarts of PostgreSQL in {time.monotonic() - began:.0f} s")
    print("windows in PostgreSQL after each kill:", *report.after_kill)
    print(f"windows of the store at the end: {report.windows:,}")
    print("differences:", ", ".join(report.differences) or "none")
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
