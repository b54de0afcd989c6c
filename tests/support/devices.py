"""Devices for tests, with a thread that does what systemd does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.simulation.device_slots import Device
from tests.support.brokers import wait_until


@contextmanager
def running(device: Device) -> Iterator[None]:
    """Let the daemon of a device run and count; its updater runs only when a test starts it."""
    stop = threading.Event()
    device.enabled = True

    def supervise() -> None:
        while not stop.wait(0.1):
            device.supervise()

    thread = threading.Thread(target=supervise)
    thread.start()
    try:
        wait_until(device.progress, "the daemon counts")
        yield
    finally:
        stop.set()
        thread.join()
        device.stop()
