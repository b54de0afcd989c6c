"""Run ``facetally-collector hours`` once an hour in a process of its own, so that the receiver needs no pandas."""

import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import IO

from base.logs import line
from collector.publish.full_hours import HOUR, hour_before
from collector.settings import Store
from contract.errors import BadMessage
from contract.hour import Hour, decode_hour

AFTER_HOUR = timedelta(minutes=1)
"""Time after the end of an hour until it is summed up. By then devices have sent what they release."""
AGAIN = timedelta(minutes=5)
"""Shortest time between two runs: for windows that come later, and after a failure."""
STOP_LIMIT_S = 5.0

_log = logging.getLogger(__name__)


class HourProcess:
    """Starts the process when an hour is over, and again when a window of that hour has come later."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._summed: datetime | None = None
        self._is_stale = True
        self._not_before = now()

    def note(self, start: datetime, end: datetime) -> None:
        """Take start and end of a window that was stored."""
        summed = self._summed
        self._is_stale = self._is_stale or (summed is not None and start < summed + HOUR and end > summed)

    def update(self) -> list[Hour]:
        """Start the process if it is due; return the hours that it has printed when it has ended. Never waits."""
        now = self._now()
        if self._process is not None:
            return self._finish() if self._process.poll() is not None else []
        last = hour_before(now - AFTER_HOUR)
        if (self._is_stale or last != self._summed) and now >= self._not_before:
            self._start(last)
        return []

    def stop(self) -> None:
        """Stop the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_LIMIT_S)
            self._close()

    def _start(self, start: datetime) -> None:
        self._not_before = self._now() + AGAIN
        command = [sys.executable, "-m", "collector", "hours", "--root", self._store.root, "--start", start.isoformat()]
        try:
            self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process; a pipe would fill up
            self._process = subprocess.Popen(command, stdout=self._output)
        except OSError as error:
            _log.warning(line("hours_failed", reason=error))
            self._close()
            return
        self._summed, self._is_stale = start, False

    def _finish(self) -> list[Hour]:
        """Return the hours that the process has printed; after a failure it is tried again."""
        assert self._process is not None and self._output is not None
        status = self._process.returncode
        try:
            if status:
                raise BadMessage(f"exit status {status}")
            self._output.seek(0)
            return [decode_hour(text) for text in self._output.read().splitlines()]
        except BadMessage as error:
            self._is_stale = True
            _log.warning(line("hours_failed", reason=error, again=self._not_before))
            return []
        finally:
            self._close()

    def _close(self) -> None:
        if self._output is not None:
            self._output.close()
        self._process = self._output = None
