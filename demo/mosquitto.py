"""Start, kill and stop Mosquitto with a configuration of its own: for the demonstration, benchmarks and tests.

The demonstration uses `Mosquitto` through `demo.broker`, which falls back to amqtt where Mosquitto is not installed.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"))
"""Debian installs Mosquitto in /usr/sbin, which is on the PATH of root only."""
SHIPPED_CONFIG = Path(__file__).parents[1] / "systemd" / "broker" / "mosquitto.conf"


def free_port() -> int:
    """Return a TCP port of the loopback interface that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a process accepts connections on a port, by default of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def wait_for(port: int, limit_s: float = START_LIMIT_S, host: str = "127.0.0.1") -> None:
    """Return once a process listens on the port; raise TimeoutError after the limit, seconds."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if listens(port, host):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{host}, port {port}: no process listens after {limit_s:g} s")


def program() -> str | None:
    """Return the path of the Mosquitto executable, or None if it is not installed."""
    return shutil.which("mosquitto", path=SEARCH_PATH)


class Mosquitto:
    """One broker on a loopback port. It can be killed and started again, and then restores its saved sessions.

    ``lines`` are lines of mosquitto.conf. Anonymous clients are allowed unless a line sets ``allow_anonymous``. With
    ``shipped`` the lines follow systemd/broker/mosquitto.conf, and the broker saves its sessions in ``folder``.
    """

    def __init__(self, folder: Path, *lines: str, port: int | None = None, shipped: bool = False) -> None:
        self.port = port or free_port()
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._log = self._config.with_suffix(".log")
        anonymous = [] if any(line.startswith("allow_anonymous") for line in lines) else ["allow_anonymous true"]
        text = [f"listener {self.port} 127.0.0.1", *anonymous, *lines]
        if os.getuid() == 0:
            text.append("user root")  # by default it changes to a user that cannot write to the folder
        if shipped:
            saved = folder / f"mosquitto-{self.port}"
            saved.mkdir()
            text = [SHIPPED_CONFIG.read_text(), *text, f"persistence_location {saved}/"]
        self._config.write_text("\n".join(text) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of the latest start; RuntimeError before the first."""
        if self._process is None:
            raise RuntimeError("Mosquitto: must be started first")
        return self._process

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process, without waiting for it to listen; FileNotFoundError if Mosquitto is not installed."""
        command = program()
        if command is None:
            raise FileNotFoundError("mosquitto: not installed (Debian: apt install mosquitto)")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([command, "-c", str(self._config)], stdout=log, stderr=log)

    def start(self) -> None:
        """Start the process and wait until it listens; RuntimeError with its log if it ends instead."""
        self.launch()
        end = time.monotonic() + START_LIMIT_S
        while not listens(self.port) and self.running and time.monotonic() < end:
            time.sleep(0.02)
        if not self.running:
            raise RuntimeError(f"mosquitto: exit code {self.process.returncode}: {self._log.read_text()[-2000:]}")
        wait_for(self.port)

    def kill(self) -> None:
        """End the process with SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process with SIGTERM; it saves its sessions first if it is configured to."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.running:
            self.process.send_signal(number)
        if self._process is not None:
            self._process.wait(STOP_LIMIT_S)


@contextmanager
def mosquitto(folder: Path, *lines: str, port: int | None = None, shipped: bool = False) -> Iterator[Mosquitto]:
    """Run a broker that listens, and stop it at the end; arguments as of `Mosquitto`."""
    broker = Mosquitto(folder, *lines, port=port, shipped=shipped)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
