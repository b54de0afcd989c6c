"""A Debian root -> a machine that has booted its own systemd, in namespaces of this kernel; it leaves no trace."""

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
"""For the collector, and what the installer's guide puts around it."""
JETSON = (*PACKAGES, "python3-opencv", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good")
"""As near to JetPack as Debian comes: an OpenCV of the system that has GStreamer. Some 1.1 GB."""
INSTALL = ("env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv/wheels", "/srv/systemd/install.sh")
"""The installer, where wheels and `systemd/` are bound into the machine at these places."""
BOOT_LIMIT_S = 120.0
PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
READS_CLOCK = "adjtimex clock_adjtime clock_adjtime64"
"""Calls that systemd-nspawn refuses by itself, and a device's systemd does not. Without a capability nothing is set."""


class NotBooted(Exception):
    """Not on this kernel, or not by this user; the last thing that was said."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One that runs: the process that is its PID 1, as this machine numbers it."""

    leader: int

    def command(self, *arguments: str) -> list[str]:
        """A command line inside -> the command line for here."""
        nsenter = shutil.which("nsenter") or "nsenter"
        return [nsenter, f"--target={self.leader}", "--all", "env", "-i", PATH, "HOME=/root", *arguments]

    def run(self, *arguments: str, check: bool = True) -> str:
        """What a program inside prints, both streams; RuntimeError with it if it fails."""
        done = subprocess.run(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: exit code {done.returncode}: {done.stdout}")
        return done.stdout.strip()

    def write(self, path: str, content: str | bytes) -> None:
        """A file inside."""
        given = content.encode() if isinstance(content, str) else content
        subprocess.run(self.command("tee", path), input=given, stdout=subprocess.DEVNULL, check=True)


def asked_of_a_jetson() -> list[str]:
    """What the installer asks of pip where it finds a Jetson, beside the wheel itself."""
    script = (Path(__file__).parents[2] / "systemd/install.sh").read_text()
    _, _, rest = script.partition("\nJETSON=(\n")
    return re.findall(r'^    "(.*)"$', rest.partition("\n)\n")[0], re.MULTILINE)


@contextmanager
def booted(
    root: Path, log: Path, binds: Mapping[Path, str], shared: Mapping[Path, str] | None = None
) -> Iterator[Machine]:
    """Boot; inside, all units are up. Folders and files of ``binds`` are seen read-only at their places; what is
    written is gone at the end, but in folders of ``shared``. No network but loopback. NotBooted if that is impossible
    here.
    """
    program = shutil.which("systemd-nspawn") or "systemd-nspawn"
    options = ["--register=no", "--keep-unit", "--private-network", "--volatile=overlay", "--console=pipe", "--quiet"]
    options.append(f"--system-call-filter={READS_CLOCK}")
    options += [f"--bind-ro={here}:{there}" for here, there in binds.items()]
    options += [f"--bind={here}:{there}" for here, there in (shared or {}).items()]
    with log.open("w") as out:
        process = subprocess.Popen([program, *options, f"--directory={root}", "--boot"], stdout=out, stderr=out)
        try:
            until(lambda: process.poll() is not None or _up(process), BOOT_LIMIT_S, "booted")
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


def until(condition: Callable[[], object], limit_s: float, what: str) -> None:
    """Return once the condition holds; TimeoutError, which says what did not come, after so many seconds."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not {what} after {limit_s:g} s")
        time.sleep(0.2)


def _child(process: "subprocess.Popen[bytes]") -> int:
    """The machine's PID 1, or 0 while there is none."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _up(process: "subprocess.Popen[bytes]") -> bool:
    leader = _child(process)
    state = Machine(leader).run("systemctl", "is-system-running", check=False) if leader else ""
    return state.endswith(("running", "degraded"))
