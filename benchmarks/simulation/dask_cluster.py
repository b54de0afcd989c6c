"""Run a dask.distributed cluster on this machine: a scheduler and workers with one thread, each a process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.mosquitto import free_port, wait_for

ROOT = Path(__file__).parents[2]
START_LIMIT_S, STOP_LIMIT_S = 60.0, 30.0


@dataclass(frozen=True, slots=True)
class DaskCluster:
    """A cluster that runs."""

    address: str
    """Of the scheduler, for ``--scheduler``."""
    scheduler: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]


@contextmanager
def dask_cluster(folder: Path, workers: int, *, is_pinned: bool = False) -> Iterator[DaskCluster]:
    """Run a cluster whose log is ``folder/dask.log``. Workers may still be starting when this returns.

    If it ``is_pinned``, each worker has one core, which it shares with a worker only where there are more than cores.
    """
    address = f"tcp://127.0.0.1:{(port := free_port())}"
    worker = ["worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack, (folder / "dask.log").open("wb") as log:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "dask", *arguments]
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
            stack.callback(_stop, process)
            return process

        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        running = [
            start(*worker, "--name", str(number), "--local-directory", str(folder / f"worker-{number}"))
            for number in range(workers)
        ]
        cores = sorted(os.sched_getaffinity(0))
        for number, process in enumerate(running if is_pinned else ()):
            os.sched_setaffinity(process.pid, {cores[number % len(cores)]})  # its threads, which start later, too
        wait_for(port, START_LIMIT_S)
        yield DaskCluster(address, scheduler, tuple(running))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process; kill it if it does not end in time, as a worker of Dask did once."""
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
