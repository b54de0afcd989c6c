"""Compare engines on the hourly roll-ups of a year: pandas, pyarrow and DuckDB.

None of them sums the hours of a large fleet in the time of a view, so the page keeps sums (`collector.rollups.fleet`).

``python -m benchmarks.load.engines --devices 1000 --root FOLDER``

FOLDER must not exist, and is deleted at the end; `benchmarks.load.sparse_year` fills it with 36 MB for a thousand
devices. Each engine sums labels and watched time in a new process with one thread. The first time includes reading the
files; pandas keeps all of them in memory.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute, dataset

from benchmarks.load import sparse_year
from benchmarks.load.views import ONE_SITE, cpu_ms, row
from benchmarks.load.year import LABELS, size_mb
from benchmarks.simulation.process_usage import peak_memory_mb
from collector.rollups.cells import HOUR_S
from collector.rollups.rollup import FOLDER

SUMS = [*LABELS, "seconds", "windows"]
KEYS = {"by day": "day", "one site by day": "day", "by site": "site", "by hour": "start"}
"""What a view groups by."""
Tabulate = Callable[[str, str | None], object]
"""Sums up by a key, of one site if named."""


def duckdb_engine(files: str) -> Tabulate:
    """Return a function that queries the files with DuckDB."""
    connection = duckdb.connect(config={"threads": 1})
    sums = ", ".join(f"sum({name})" for name in SUMS)

    def tabulate(key: str, site: str | None) -> object:
        column = "date_trunc('day', start)" if key == "day" else key
        where = "" if site is None else f"WHERE site = '{site}'"
        query = f"SELECT {column}, {sums} FROM '{files}' {where} GROUP BY 1"  # noqa: S608 - nothing from outside
        return connection.execute(query).fetchall()

    return tabulate


def pyarrow_engine(files: str) -> Tabulate:
    """Return a function that reads the needed columns of the files with pyarrow."""
    source = dataset.dataset([str(path) for path in Path(files).parent.glob("*.parquet")])

    def tabulate(key: str, site: str | None) -> object:
        start = compute.field("start")
        columns = {name: compute.field(name) for name in SUMS}
        columns[key] = compute.floor_temporal(start, unit="day") if key == "day" else compute.field(key)
        chosen = None if site is None else compute.field("site") == site
        table: pa.Table = source.scanner(columns=columns, filter=chosen, use_threads=False).to_table()
        return table.group_by([key], use_threads=False).aggregate([(name, "sum") for name in SUMS])

    return tabulate


def pandas_engine(files: str) -> Tabulate:
    """Return a function that reads all files at its first call and keeps them."""
    kept: list[pd.DataFrame] = []

    def tabulate(key: str, site: str | None) -> object:
        if not kept:
            paths = sorted(Path(files).parent.glob("*.parquet"))
            kept.append(pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True))
        frame = kept[0] if site is None else kept[0][kept[0]["site"] == site]
        return frame.groupby(frame["start"].dt.floor("D") if key == "day" else key)[SUMS].sum()

    return tabulate


ENGINES = {"pandas": pandas_engine, "pyarrow": pyarrow_engine, "duckdb": duckdb_engine}


def measure(root: Path, name: str, times: int) -> None:
    """Print the row of one engine."""
    tabulate = ENGINES[name](str(root / FOLDER / str(HOUR_S) / "*.parquet"))
    cells = [name, f"{cpu_ms(lambda: tabulate('day', None)):.0f}"]
    for view, key in KEYS.items():
        site = ONE_SITE if view.startswith("one site") else None
        times_ms = [cpu_ms(lambda key=key, site=site: tabulate(key, site)) for _ in range(times)]  # type: ignore[misc]
        cells.append(f"{np.percentile(times_ms, 50):.0f} / {np.percentile(times_ms, 95):.0f}")
    print(row((*cells, f"{peak_memory_mb(os.getpid()):.0f}")), flush=True)


def main() -> None:
    """Fill a store, and measure each engine in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.engines", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=1000, help="(default: %(default)s)")
    parser.add_argument("--days", type=int, default=31, help="days of each month (default: %(default)s)")
    parser.add_argument("--times", type=int, default=5, help="measurements of each view (default: %(default)s)")
    parser.add_argument("--root", type=Path, required=True, help="folder to make")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        measure(options.root, options.engine, options.times)
        return
    try:
        sparse_year.fill(options.root, options.devices, options.days, np.random.default_rng(1))
        print(f"{options.devices:,} devices, {size_mb(options.root, '_rollup/*/*'):.0f} MB; CPU ms, p50 / p95")
        print(row(("engine", "first by day", *KEYS, "memory MB")), flush=True)
        for engine in ENGINES:
            same = [f"--root={options.root}", f"--times={options.times}", f"--engine={engine}"]
            subprocess.run([sys.executable, "-m", "benchmarks.load.engines", *same], check=True)
    finally:
        shutil.rmtree(options.root)


if __name__ == "__main__":
    main()
