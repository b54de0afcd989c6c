"""Boot a Debian root folder with its own systemd in a container (systemd-nspawn), without changing the root folder."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("mmdebstrap", "systemd-nspawn", "nsenter")
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "python3-venv", "mosquitto", "mosquitto-clients")
SERVER = (*PACKAGES, "openssl", "nginx")
"""Packages for the collector, and for the proxy and TLS of docs/installer.md."""
JETSON = (*PACKAGES, "python3-opencv", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good")
"""The closest to JetPack that Debian has: a system OpenCV with GStreamer. About 1.1 GB."""
INSTALL = ("env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv/wheels", "/srv/systemd/install.sh")
"""The installer, with wheels and `systemd/` bound to these places in the container."""
BOOT_LIMIT_S = 120.0
PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
CLOCK_CALLS = "adjtimex clock_adjtime clock_adjtime64"
"""System calls that read the clock. systemd-nspawn refuses them by default; the systemd of a device does not."""


class NotBooted(Exception):
    """The container cannot be booted on this kernel or by this user; the message is the last line of its log."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A running container; ``leader`` is the process id of its PID 1 on this machine."""

    leader: int

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs a command in the container."""
        nsenter = shutil.which("nsenter") or "nsenter"
        return [nsenter, f"--target={self.leader}", "--all", "env", "-i", PATH, "HOME=/root", *arguments]

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run a command in the container; return its output, both streams; RuntimeError if it fails."""
        done = subprocess.run(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: exit code must be 0, is {done.returncode}: {done.stdout}")
        return done.stdout.strip()

    def write(self, path: str, content: str | bytes) -> None:
        """Write a file in the container."""
        data = content.encode() if isinstance(content, str) else content
        subprocess.run(self.command("tee", path), input=data, stdout=subprocess.DEVNULL, check=True)


def jetson_requirements() -> list[str]:
    """Return the requirements that install.sh passes to pip on a Jetson, besides the wheel."""
    script = (Path(__file__).parents[2] / "systemd/install.sh").read_text()
    _, _, rest = script.partition("\nJETSON=(\n")
    return re.findall(r'^    "(.*)"$', rest.partition("\n)\n")[0], re.MULTILINE)


@contextmanager
def boot(
    root: Path, log: Path, binds: Mapping[Path, str], shared: Mapping[Path, str] | None = None
) -> Iterator[Machine]:
    """Boot a container, and yield it once all its units have started; raise NotBooted if that is impossible here.

    ``binds`` and ``shared`` map folders and files of this machine to places in the container: read-only, and writable.
    Everything else that is written is discarded at the end. The only network is loopback.
    """
    program = shutil.which("systemd-nspawn") or "systemd-nspawn"
    options = ["--register=no", "--keep-unit", "--private-network", "--volatile=overlay", "--console=pipe", "--quiet"]
    options.append(f"--system-call-filter={CLOCK_CALLS}")
    options += [f"--bind-ro={source}:{target}" for source, target in binds.items()]
    options += [f"--bind={source}:{target}" for source, target in (shared or {}).items()]
    with log.open("w") as out:
        process = subprocess.Popen([program, *options, f"--directory={root}", "--boot"], stdout=out, stderr=out)
        try:
            wait_until(lambda: process.poll() is not None or _up(process), BOOT_LIMIT_S, "booted")
            if process.poll() is not None:
                raise NotBooted(log.read_text().strip().rpartition("\n")[2])
            machine = Machine(_child(process))
            yield machine
            machine.run("systemctl", "poweroff", check=False)
            process.wait(BOOT_LIMIT_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_until(condition: Callable[[], object], limit_s: float, what: str) -> None:
    """Poll until the condition is true; raise TimeoutError with ``what`` after ``limit_s``."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not {what} within {limit_s:g} s")
        time.sleep(0.2)


def _child(process: "subprocess.Popen[bytes]") -> int:
    """Return the process id of the container's PID 1; 0 while there is none."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _up(process: "subprocess.Popen[bytes]") -> bool:
    leader = _child(process)
    state = Machine(leader).run("systemctl", "is-system-running", check=False) if leader else ""
    return state.endswith(("running", "degraded"))
