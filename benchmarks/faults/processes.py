"""Run daemon and collector as processes that can be killed and restarted, and read what they wrote."""

import contextlib
import csv
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SITE, REPLAY_DEVICE, LIVE_DEVICE = "bench", "replay", "live"
PYTHON = (sys.executable, "-m")
LOGGED_LINES = 10
"""Lines of a log that are shown with a complaint."""
EDGE_CONFIG = """\
site = "bench"
device = {device}
[capture]
{capture}
[admit]
staff_zones = []
[track]
gap_s = 0.5
[tally]
window_s = {window_s}
[privacy]
k = 1
[broker]
host = "127.0.0.1"
port = {port}
[spool]
path = {spool}
unsynced_hold_h = 0
"""


@dataclass(slots=True)
class RestartableProcess:
    """A command that can be killed and started again; each start writes a log of its own."""

    name: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] | None = None
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Log file of the current or latest start."""
        return self.folder / f"{self.name}-{self.starts:03d}.log"

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the latest start."""
        return self._started.pid

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name}: must be started first")
        return self._process

    def start(self) -> None:
        """Start the command, with the next log number."""
        self.starts += 1
        with self.log.open("w") as out:
            self._process = subprocess.Popen(self.command, stdout=out, stderr=out, cwd=ROOT, env=self.environment)

    def kill(self) -> int:
        """End the process with SIGKILL; return its exit status."""
        return self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End the process with SIGTERM, and with SIGKILL after 30 s; return its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self.running:
            self._started.send_signal(number)
        try:
            return self._started.wait(30.0)
        except subprocess.TimeoutExpired:
            self._started.kill()
            return self._started.wait()

    def wait(self, limit_s: float) -> int:
        """Wait until the process ends by itself; return its exit status, or raise subprocess.TimeoutExpired."""
        return self._started.wait(limit_s)

    def complaint(self, text: str) -> str:
        """Return a text about the latest start, with the last lines of its log."""
        last = self.log.read_text(errors="replace").splitlines()[-LOGGED_LINES:]
        return "\n".join([f"{self.log.name}: {text}", *(f"    {each[:300]}" for each in last)])

    def close(self) -> None:
        """Stop the process if it runs."""
        if self.running:
            self.stop()


def collector(folder: Path, port: int) -> RestartableProcess:
    """Return the collector, with its store in ``folder / "store"``."""
    settings = ("--set", "broker.host=127.0.0.1", "--set", f"broker.port={port}")
    command = (*PYTHON, "collector", "run", "--root", str(folder / "store"), *settings)
    return RestartableProcess("collector", command, folder)


def daemon(
    folder: Path,
    device: str,
    *,
    capture: str,
    window_s: float,
    port: int,
    spool: Path,
) -> RestartableProcess:
    """Return the daemon of a device. ``capture`` is the TOML of its [capture] section."""
    values: dict[str, Any] = {"capture": capture, "window_s": window_s, "port": port, "spool": json.dumps(str(spool))}
    path = folder / f"{device}.toml"
    path.write_text(EDGE_CONFIG.format(device=json.dumps(device), **values))
    return RestartableProcess(device, (*PYTHON, "edge", "run", "--config", str(path)), folder)


def csv_rows(folder: Path) -> Iterator[dict[str, str]]:
    """Yield every row of the store's CSV files, repeats included."""
    for path in sorted((folder / "store").glob("date=*/site=*/counts-*.csv")):
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def windows_in_spool(spool: Path, boot: str) -> frozenset[int]:
    """Return the ``seq`` of the windows of one boot that a daemon has left in its spool."""
    with contextlib.closing(sqlite3.connect(spool)) as database:
        messages = [json.loads(payload) for (payload,) in database.execute("SELECT payload FROM ready")]
    return frozenset(message["seq"] for message in messages if message["boot"] == boot)


@dataclass(frozen=True, slots=True)
class LogSummary:
    """What one start of the daemon has logged."""

    boot: str = ""
    """Boot id; empty if the daemon was killed before it logged one."""
    in_memory: int = 0
    """Finished windows held in memory because the disk was full, at the last report."""
    dropped: int = 0
    """Windows dropped because memory was full, too."""
    unsent: int | None = None
    """Windows left in the spool at an orderly stop; None if there was none."""
    unexpected: tuple[str, ...] = ()
    """Lines about crashes and corrupt spools."""


def read_log(log: Path) -> LogSummary:
    """Read a daemon's log. A last line without its end was torn by a kill and is ignored."""
    boot, in_memory, dropped, unsent, unexpected = "", 0, 0, None, []
    for text in log.read_text(errors="replace").splitlines(keepends=True):
        fields = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', text)) if text.endswith("\n") else {}
        match fields.get("event"):
            case "boot":
                boot = fields["id"]
            case "spool_failed":
                in_memory, dropped = int(fields["in_memory"]), int(fields["dropped"])
            case "spool_works":
                in_memory = 0
            case "dropped":
                dropped = int(fields["windows"])
            case "stopped":
                unsent = int(fields["unsent"])
            case "crash" | "spool_corrupt":
                unexpected.append(text.strip()[:300])
    return LogSummary(boot, in_memory, dropped, unsent, tuple(unexpected))
