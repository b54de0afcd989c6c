"""Run the real collector in a process of its own, and measure its memory, CPU time and rows."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.simulation.process_usage import cpu_seconds, peak_memory_mb

ROOT = Path(__file__).parents[2]


class Collector:
    """The collector's command; the constructor returns once it has subscribed.

    RuntimeError with the end of its log if it ends instead. It accepts windows of any date, because simulated windows
    have fixed dates. ``overrides`` are settings as ``key=value``. Its log is ``collector.log`` beside the store.
    ``prefix`` is a command that runs it, such as on another host. As a context manager it is stopped at the end.
    """

    def __init__(self, root: Path, port: int, *overrides: str, prefix: Sequence[str] = ()) -> None:
        self.root = root
        command = [
            *prefix,
            sys.executable,
            "-m",
            "collector",
            "run",
            "--root",
            str(root),
            "--set",
            f"broker.port={port}",
        ]
        for limit in ("past_days", "future_days"):
            command += ["--set", f"limits.{limit}=36500"]
        for override in overrides:
            command += ["--set", override]
        path = root.parent / "collector.log"
        with path.open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(command, stderr=log, cwd=ROOT)
        while b"+/health" not in path.read_bytes()[begin:]:
            if self._process.poll() is not None:
                raise RuntimeError(path.read_text()[-2000:])
            time.sleep(0.01)

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for(self, rows: int, limit_s: float) -> float:
        """Wait until ``rows`` rows are in the store, at most ``limit_s``; return the seconds it took."""
        began = time.monotonic()
        read: dict[Path, int] = {}
        while (rows := rows - new_rows(self.root, read)) > 0 and time.monotonic() - began < limit_s:
            time.sleep(0.2)
        return time.monotonic() - began

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def memory_mb(self) -> float:
        """Return the peak resident memory."""
        return peak_memory_mb(self.pid)

    def cpu_s(self) -> float:
        """Return the CPU time used, user and system, in seconds."""
        return cpu_seconds(self.pid)

    def kill(self) -> None:
        """End the process with SIGKILL, as a power cut would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the process with SIGTERM; RuntimeError if its exit code is not 0."""
        self._process.terminate()
        if self._process.wait(30):
            raise RuntimeError(f"collector: exit code must be 0, is {self._process.returncode}")


def new_rows(root: Path, read: dict[Path, int]) -> int:
    """Count the rows added to the store since the last call; ``read`` holds the bytes of each file counted so far."""
    lines = 0
    for path in root.glob("date=*/site=*/*.csv"):
        with path.open("rb") as file:
            begin = read.get(path, 0)
            file.seek(begin)
            text = file.read()
        lines += text.count(b"\n") - (begin == 0 and b"\n" in text)
        read[path] = begin + text.rfind(b"\n") + 1
    return lines
