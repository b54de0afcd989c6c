"""The benchmark of a cluster, with a store that is too small for figures."""

import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="dask.distributed is not installed (extra scale)")

from benchmarks.load.cluster import join_all

ROOT = Path(__file__).parents[2]


def test_all_works_are_measured_and_no_row_is_lost_by_a_killed_worker(tmp_path: Path) -> None:
    """Each work is compared between one worker and two, as a command and alone; the copies hold the same rows."""
    command = [sys.executable, "-m", "benchmarks.load.cluster", "--devices", "10", "--days", "1"]
    done = subprocess.run(
        [*command, "--root", str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    works = [line.partition(":")[0] for line in done.stdout.splitlines() if "times as fast, by CPU time" in line]
    alone = [f"{name}, without its start" for name in ("compact", "rollup", "summary", "summary --corrected")]
    assert works == ["compact", "rollup", "summary", "summary --corrected", *alone]
    assert "rows equal, none twice" in done.stdout


def test_a_process_that_fails_gives_no_time() -> None:
    """One that ends early would look fast."""
    processes = [get_context("spawn").Process(target=sys.exit, args=(code,)) for code in (0, 3)]
    for process in processes:
        process.start()
    with pytest.raises(RuntimeError, match=r"exit codes must be 0, are \[0, 3\]"):
        join_all(processes)
