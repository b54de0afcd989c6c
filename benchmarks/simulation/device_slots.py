"""A device as a folder: real slots with real environments and a real daemon, and what systemd does with them.

The first slot runs this checkout; the updater installs the others from wheels. The packages that they need, 180 MB in
each slot of a device, are shared: a small wheel leads to those of the Python that runs this.
"""

import base64
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge.system.progress import NAME, Progress
from edge.update.layout import COMPLETE, SETUPS, Layout, replace_link
from edge.update.proof import read_progress
from edge.update.trial import RESTART_FILE

ROOT = Path(__file__).parents[2]
RESTART_S = 0.5
"""Pause before a daemon that has ended is started again, seconds; 5 in the unit."""
STOP_LIMIT_S = 10.0
UNIT = "facetally-edge"


def shared_packages(folder: Path, packages: str | None = None) -> Path:
    """Write a wheel that adds a folder of packages to an environment, this Python's unless given; return its path."""
    name, lines = "facetally_shared_packages-1.0", f"{packages or sysconfig.get_path('purelib')}\n"
    files = {
        "facetally_shared_packages.pth": lines,
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\nName: facetally-shared-packages\nVersion: 1.0\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_record_hash(text)},{len(text)}\n" for path, text in files.items())
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for each, text in (*files.items(), (f"{name}.dist-info/RECORD", f"{record}{name}.dist-info/RECORD,,\n")):
            wheel.writestr(each, text)
    return path


def _record_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def changed_wheel(wheel: Path, folder: Path, changes: Mapping[str, str]) -> Path:
    """Copy a wheel with lines added to the end of some of its files, and return the copy's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + changes.get(name, "").encode())
    return path


@dataclass(slots=True)
class Device:
    """The folders of one device, its daemon, and its updater."""

    folder: Path
    site: str
    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the daemon besides those of this process."""
    prefix: tuple[str, ...] = ()
    """Command before each program of the device, such as one that gives it file systems of its own."""
    daemon: subprocess.Popen[bytes] | None = None
    updating: subprocess.Popen[bytes] | None = None
    enabled: bool = False
    """Whether the daemon is started when it does not run."""
    starts: int = 0
    windows: dict[int, int] = field(default_factory=dict)
    """Windows that each start of the daemon has finished at least, by the number of the start."""
    _restart_seen: int = 0
    _due: float = 0.0
    _stop_limit: float | None = None
    """When a daemon that was asked to end is killed, monotonic seconds."""
    _recovering: bool = False

    @property
    def program(self) -> Path:
        """What is ``/opt/facetally`` on a device."""
        return self.folder / "disk/opt"

    @property
    def state(self) -> Path:
        """What is ``/var/lib/facetally-update`` on a device."""
        return self.folder / "disk/update"

    @property
    def runtime(self) -> Path:
        """What is ``/run`` on a device."""
        return self.folder / "run"

    @property
    def log(self) -> Path:
        """Log of the latest start of the daemon."""
        return self.folder / f"daemon-{self.starts:03d}.log"

    @property
    def release(self) -> str | None:
        """The release that the link ``current`` leads to as a whole."""
        layout = Layout(self.program)
        setup = layout.current_setup()
        return layout.release_of(setup) if setup else None

    def install(self, configuration: str) -> None:
        """Do what ``install.sh`` does, with this checkout as the slot ``installed``; all links lead to it."""
        slot, setup = self.program / "slots/installed", self.program / SETUPS / "installed"
        for path in (slot.parent, setup, self.state, self.runtime, self.folder / "etc"):
            path.mkdir(parents=True)
        venv = [sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", str(slot)]
        subprocess.run(venv, env=clean_environment(), check=True)
        (packages,) = slot.glob("lib/python3.*/site-packages")
        (packages / "facetally_checkout.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
        for command, module in (("facetally-edge", "edge"), ("facetally-update", "edge.update")):
            script = slot / "bin" / command
            script.write_text(f"#!{slot}/bin/python\nfrom {module}.__main__ import main\nraise SystemExit(main())\n")
            script.chmod(0o755)
        (slot / COMPLETE).write_text("installed by hand\n")
        (slot / "bundles").mkdir()
        self.link(configuration)

    def link(self, configuration: str) -> None:
        """Make the setup ``installed`` and the links."""
        setup = self.program / SETUPS / "installed"
        config = self.folder / "etc/edge.toml"
        config.write_text(configuration)
        (setup / "program").symlink_to("../../slots/installed")
        (setup / "bundles").symlink_to("../../slots/installed/bundles")
        (setup / "edge.toml").symlink_to(config)
        (setup / "device.pem").symlink_to(self.folder / "etc/device.pem")
        replace_link(self.program / "current", f"{SETUPS}/installed")
        replace_link(self.program / "updater", "slots/installed")

    def configure_updater(self, repository: str, trusted_root: bytes, lines: str = "") -> None:
        """Write the updater's configuration."""
        (self.folder / "etc/root.json").write_bytes(trusted_root)
        (self.folder / "etc/update.toml").write_text(
            f'site = "{self.site}"\ndevice = "{self.name}"\nrepository = "{repository}"\n'
            f'root = "{self.folder}/etc/root.json"\nprogram = "{self.program}"\nstate = "{self.state}"\n'
            f'runtime = "{self.runtime}"\nrequire_synchronised_clock = false\n{lines}'
        )

    def update(self, command: str = "run") -> "subprocess.Popen[bytes]":
        """Start the updater of the last good release, as its unit does."""
        with (self.folder / "update.log").open("ab") as out:
            self.updating = subprocess.Popen(
                [
                    *self.prefix,
                    self.program / "updater/bin/facetally-update",
                    command,
                    "--config",
                    self.folder / "etc/update.toml",
                ],
                stdout=out,
                stderr=out,
                env=clean_environment(),
                start_new_session=True,
            )
        return self.updating

    @property
    def is_updating(self) -> bool:
        """Whether the updater runs."""
        return self.updating is not None and self.updating.poll() is None

    def kill_updater(self) -> None:
        """End the updater and all programs that it has started, with SIGKILL."""
        if self.updating is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.updating.pid, signal.SIGKILL)
            self.updating.wait()

    def boot(self) -> None:
        """Do what a device does when its power returns: recover, then let `supervise` start the daemon."""
        self.update("recover")
        self._recovering = True

    def cut_power(self) -> None:
        """End everything at once, with SIGKILL."""
        self.enabled = self._recovering = False
        self.kill_updater()
        self.kill()

    def progress(self) -> Progress | None:
        """What the daemon reports now."""
        return read_progress(self.runtime).get(UNIT)

    def supervise(self) -> None:
        """Do what systemd does, without waiting: start the daemon after boot or its end, restart it when asked."""
        progress = self.progress()
        if self.daemon is not None and progress is not None:
            self.windows[self.starts] = max(self.windows.get(self.starts, 0), progress.windows)
        if self._recovering and not self.is_updating:
            self._restart_asked()
            self._recovering, self.enabled, self._due = False, True, 0.0
        if self._restart_asked() and self.daemon is not None and self._stop_limit is None:
            self.daemon.send_signal(signal.SIGTERM)
            self._stop_limit = time.monotonic() + STOP_LIMIT_S
        if self.daemon is not None and self.daemon.poll() is not None:
            was_asked = self._stop_limit is not None
            self._ended()
            self._due = 0.0 if was_asked else self._due
        elif self.daemon is not None and self._stop_limit is not None and time.monotonic() > self._stop_limit:
            self.daemon.kill()
        if self.enabled and self.daemon is None and time.monotonic() >= self._due:
            self._start()

    @property
    def is_steady(self) -> bool:
        """Whether the daemon counts, and no restart is asked for."""
        counts = self.daemon is not None and self.windows.get(self.starts, 0) > 0
        return counts and self._stop_limit is None and self._asked_ns() in (None, self._restart_seen)

    def _restart_asked(self) -> bool:
        asked = self._asked_ns()
        if asked is None:
            return False
        before, self._restart_seen = self._restart_seen, asked
        return asked != before

    def _asked_ns(self) -> int | None:
        """When a restart was last asked for, nanoseconds of the file's time; None before the first."""
        try:
            return (self.state / RESTART_FILE).stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _start(self) -> None:
        run = self.runtime / UNIT
        run.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        with self.log.open("wb") as log:
            self.daemon = subprocess.Popen(
                [
                    *self.prefix,
                    self.program / "current/program/bin/facetally-edge",
                    "run",
                    "--config",
                    self.program / "current/edge.toml",
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**clean_environment(), **self.environment, "RUNTIME_DIRECTORY": str(run)},
                start_new_session=True,
            )

    def _ended(self) -> None:
        self.daemon, self._due, self._stop_limit = None, time.monotonic() + RESTART_S, None
        (self.runtime / UNIT / NAME).unlink(missing_ok=True)

    def stop(self) -> None:
        """End the daemon as ``systemctl stop`` does."""
        self.kill(signal.SIGTERM)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the daemon a signal, and wait for its end."""
        if self.daemon is not None:
            self.daemon.send_signal(number)
            try:
                self.daemon.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
            self._ended()
            self._due = 0.0


def clean_environment() -> dict[str, str]:
    """Return the environment without the variables that change what Python imports."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_"))}
