"""What the daemon does -> systemd: ready, alive, stopping (sd_notify(3)'s protocol; nothing without systemd)."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

from base.logs import line

log = logging.getLogger("edge.system.notify")
EVERY_S = 1.0
"""``WATCHDOG=1`` is said no more often than this."""


class Notifier:
    """Speaks to the socket that systemd names in the environment; silent where there is none."""

    def __init__(self, environment: Mapping[str, str] = os.environ, now: Callable[[], float] = time.monotonic) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        self._now, self._said = now, -EVERY_S

    def ready(self) -> None:
        """Everything is open and checked."""
        self._send("READY=1")

    def alive(self) -> None:
        """A frame has been processed, or an attempt to get one has come back. Never called by a timer, so that a stall
        is seen."""
        if self._now() - self._said >= EVERY_S:
            self._said = self._now()
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon ends on purpose."""
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
