"""A Mosquitto and a collector as processes, for the fleet."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.broker import free_port, wait_for

PATH = os.environ["PATH"] + os.pathsep + "/usr/sbin:/usr/local/sbin"
"""Debian puts Mosquitto where only root looks."""
ROOT = Path(__file__).parents[2]


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """Its port; it drops nothing that waits, as a broker of a fleet is set up."""
    port = free_port()
    told = [f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "max_inflight_messages 5000"]
    config = folder / "mosquitto.conf"
    config.write_text("\n".join([*told, *(["user root"] if os.getuid() == 0 else [])]) + "\n")
    command = [shutil.which("mosquitto", path=PATH) or "mosquitto", "-c", str(config)]
    with (folder / "mosquitto.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


class Collector:
    """The real command in a process of its own, from when it has subscribed to all."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        command = [sys.executable, "-m", "collector", "run", "--root", str(root), "--set", f"broker.port={port}"]
        for bound in ("past_days", "future_days"):
            command += ["--set", f"limits.{bound}=36500"]  # the windows that are played have fixed dates
        with (root.parent / "collector.log").open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(command, stderr=log, cwd=ROOT)
        while b"+/health" not in (root.parent / "collector.log").read_bytes()[begin:]:
            if self._process.poll() is not None:
                raise RuntimeError((root.parent / "collector.log").read_text()[-2000:])
            time.sleep(0.01)

    def wait_for(self, rows: int, limit_s: float) -> float:
        """Seconds until so many rows are in the store, or until the limit."""
        began = time.monotonic()
        read: dict[Path, int] = {}
        while (rows := rows - _new_rows(self.root, read)) > 0 and time.monotonic() - began < limit_s:
            time.sleep(0.2)
        return time.monotonic() - began

    def memory_mb(self) -> float:
        """The most memory it has had resident, from /proc."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def cpu_s(self) -> float:
        """Seconds of a core it has used, from /proc."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and until it has ended."""
        self._process.terminate()
        if self._process.wait(30):
            raise RuntimeError(f"the collector ended with {self._process.returncode}")


def _new_rows(root: Path, read: dict[Path, int]) -> int:
    """Lines of the store's files, headers left out, that came since the last call; ``read`` holds the bytes counted."""
    lines = 0
    for path in root.glob("date=*/site=*/*.csv"):
        with path.open("rb") as file:
            begin = read.get(path, 0)
            file.seek(begin)
            text = file.read()
        lines += text.count(b"\n") - (begin == 0 and b"\n" in text)
        read[path] = begin + text.rfind(b"\n") + 1
    return lines
