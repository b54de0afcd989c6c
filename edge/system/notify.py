"""Tell systemd that the daemon is ready, alive or stopping (sd_notify(3)); do nothing without systemd."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

from base.logs import line

log = logging.getLogger("edge.system.notify")
MIN_INTERVAL_S = 1.0
"""``WATCHDOG=1`` is sent at most once in this time, seconds."""


class Notifier:
    """Sends datagrams to the socket that systemd names in the environment."""

    def __init__(self, environment: Mapping[str, str] = os.environ, now: Callable[[], float] = time.monotonic) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        self._now, self._last_alive = now, -MIN_INTERVAL_S

    def ready(self) -> None:
        """Report that everything is open and checked."""
        self._send("READY=1")

    def alive(self) -> None:
        """Report that a frame was processed, or that an attempt to get one has returned.

        Never call this from a timer: systemd must notice a stall.
        """
        if self._now() - self._last_alive >= MIN_INTERVAL_S:
            self._last_alive = self._now()
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that the daemon stops on purpose."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(state.encode(), address)
        except OSError as error:
            log.warning(line("notify_failed", reason=error))
