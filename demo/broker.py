"""A broker on a free port: Mosquitto if it is installed, else amqtt in this process (a demonstration only)."""

import asyncio
import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_LIMIT_S = 10.0


@contextmanager
def broker(folder: Path, kind: str | None = None) -> Iterator[tuple[str, int]]:
    """Its name and its port on this machine, as long as the block lasts; ``kind`` asks for one of the two."""
    port = free_port()
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program and kind != "amqtt":
        with _mosquitto(program, port, folder):
            yield "mosquitto", port
    else:
        with _amqtt(port, folder):
            yield "amqtt", port


def free_port() -> int:
    """A TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _mosquitto(program: str, port: int, folder: Path) -> Iterator[None]:
    """Mosquitto with no more configuration than a listener on loopback."""
    configuration = folder / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with (folder / "mosquitto.log").open("w") as log:
        process = subprocess.Popen([program, "-c", str(configuration)], stdout=log, stderr=log)
        try:
            wait_for(port)
            yield
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def _amqtt(port: int, folder: Path) -> Iterator[None]:
    """Amqtt in a thread of its own. It speaks MQTT 3.1.1 only, and says so in its log of each client that tries 5 at
    first, with asyncio's traceback.
    """
    from amqtt.broker import Broker  # noqa: PLC0415 (not needed where there is Mosquitto)

    settings = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    log = logging.FileHandler(folder / "amqtt.log")
    loggers = [logging.getLogger(name) for name in ("amqtt", "asyncio")]
    for each in loggers:
        each.addHandler(log)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Broker:
        made = Broker(settings)
        await made.start()
        return made

    running = asyncio.run_coroutine_threadsafe(start(), loop).result(START_LIMIT_S)
    try:
        wait_for(port)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(running.shutdown(), loop).result(START_LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_LIMIT_S)
        for each in loggers:
            each.removeHandler(log)
        log.close()


def wait_for(port: int) -> None:
    """Return once somebody listens on the port; TimeoutError after ten seconds."""
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens on port {port} after {START_LIMIT_S:g} s")
