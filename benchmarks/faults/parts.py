"""Daemon, broker and collector as processes that are killed and started again, and what they wrote."""

import contextlib
import csv
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.broker import wait_for

ROOT = Path(__file__).parent.parent.parent
MOSQUITTO = ROOT / "systemd" / "broker" / "mosquitto.conf"
SITE, DOOR, PANE = "bench", "door", "pane"
PYTHON = (sys.executable, "-m")
EDGE = """\
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
[publish]
host = "127.0.0.1"
port = {port}
[spool]
path = {spool}
unsynced_hold_h = 0
"""


@dataclass(slots=True)
class Part:
    """A command that runs, is killed, and runs again; each start has a log of its own."""

    name: str
    command: tuple[str, ...]
    folder: Path
    environment: dict[str, str] | None = None
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Of the present start, or the last one."""
        return self.folder / f"{self.name}-{self.starts:03d}.log"

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Begin, under the next number."""
        self.starts += 1
        with self.log.open("w") as out:
            self._process = subprocess.Popen(self.command, stdout=out, stderr=out, cwd=ROOT, env=self.environment)

    def end(self, number: int = signal.SIGKILL, limit_s: float = 30.0) -> int:
        """Send a signal and wait; the exit status."""
        assert self._process is not None
        if self.running:
            self._process.send_signal(number)
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def wait(self, limit_s: float) -> int:
        """For its own end; the exit status."""
        assert self._process is not None
        return self._process.wait(limit_s)

    def close(self) -> None:
        """Nothing may be left."""
        if self.running:
            self.end(signal.SIGTERM)


def broker(folder: Path, port: int) -> Part:
    """Mosquitto with the configuration that the guides give, and a port and a folder of its own."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise SystemExit("the fault bench needs Mosquitto (apt install mosquitto)")
    kept = folder / "kept-by-mosquitto"
    kept.mkdir()
    text = MOSQUITTO.read_text() + f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence_location {kept}/\n"
    path = folder / "mosquitto.conf"
    path.write_text(f"{text}user root\n")
    return Part("broker", (program, "-c", str(path)), folder)


def wait_for_broker(port: int) -> None:
    """Until it takes connections."""
    wait_for(port)


def collector(folder: Path, port: int) -> Part:
    """The collector with its store in the folder."""
    command = (*PYTHON, "collector", "run", "--root", str(folder / "store"))
    return Part("collector", (*command, "--set", "broker.host=127.0.0.1", "--set", f"broker.port={port}"), folder)


def daemon(folder: Path, device: str, **words: Any) -> Part:
    """The daemon of a device. ``words``: capture (TOML), window_s, port, spool; ``environment`` of the process."""
    path = folder / f"{device}.toml"
    environment = words.pop("environment", None)
    path.write_text(EDGE.format(device=json.dumps(device), **words | {"spool": json.dumps(str(words["spool"]))}))
    return Part(device, (*PYTHON, "edge", "run", "--config", str(path)), folder, environment)


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """The rows of the store's CSV as they stand there, repeats and all."""
    for path in sorted((folder / "store").glob("date=*/site=*/counts-*.csv")):
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def waiting(spool: Path, boot: str) -> frozenset[int]:
    """``seq`` of the windows of one boot that a daemon left in its spool when it stopped."""
    with contextlib.closing(sqlite3.connect(spool)) as database:
        messages = [json.loads(payload) for (payload,) in database.execute("SELECT payload FROM ready")]
    return frozenset(message["seq"] for message in messages if message["boot"] == boot)


@dataclass(frozen=True, slots=True)
class Said:
    """What a start of the daemon said: its boot id, and how many windows it held in memory when it was last heard."""

    boot: str = ""
    in_memory: int = 0
    dropped: int = 0
    unsent: int | None = None
    unexpected: tuple[str, ...] = field(default=())


def said(log: Path) -> Said:
    """A daemon's log -> what matters here. A line that the kill tore is none."""
    boot, in_memory, dropped, unsent, unexpected = "", 0, 0, None, []
    for text in log.read_text(errors="replace").splitlines(keepends=True):
        words = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', text)) if text.endswith("\n") else {}
        match words.get("event"):
            case "boot":
                boot = words["id"]
            case "spool_failed":
                in_memory, dropped = int(words["in_memory"]), int(words["dropped"])
            case "spool_works":
                in_memory = 0
            case "dropped":
                dropped = int(words["windows"])
            case "stopped":
                unsent = int(words["unsent"])
            case "crash" | "spool_corrupt":
                unexpected.append(text.strip()[:300])
    return Said(boot, in_memory, dropped, unsent, tuple(unexpected))
