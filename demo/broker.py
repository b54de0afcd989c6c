"""Run an MQTT broker on a free port: Mosquitto if it is installed, otherwise amqtt in this process."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.mosquitto import START_LIMIT_S, free_port, mosquitto, program, wait_for


@contextmanager
def broker(folder: Path, kind: str | None = None) -> Iterator[tuple[str, int]]:
    """Run a broker, and yield its name and its port on the loopback interface.

    ``kind`` selects ``mosquitto`` or ``amqtt``; None takes Mosquitto if it is installed. Logs go to ``folder``.
    """
    if kind == "mosquitto" or (kind is None and program()):
        with mosquitto(folder) as running:
            yield "mosquitto", running.port
    else:
        port = free_port()
        with _amqtt(port, folder):
            yield "amqtt", port


@contextmanager
def _amqtt(port: int, folder: Path) -> Iterator[None]:
    """Run amqtt in a thread. It speaks MQTT 3.1.1 only.

    For each client that tries MQTT 5 first it logs a traceback. The log goes to a file to keep the console clean.
    """
    from amqtt.broker import Broker  # noqa: PLC0415 (not needed where Mosquitto is installed)

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
