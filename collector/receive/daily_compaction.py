"""Compact closed days once a day, in a process of its own, so that the receiver needs no pyarrow and never waits."""

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from base.logs import line
from collector.settings import Store

RETRY = timedelta(hours=1)
"""Time after a failure until the next attempt."""
STOP_LIMIT_S = 5.0

_log = logging.getLogger(__name__)


class DailyCompaction:
    """Starts ``facetally-collector compact`` at the first call, and again when a new day begins in UTC."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        """``store.compact_after_days`` must be set."""
        self._store, self._now = store, now
        self._process: subprocess.Popen[bytes] | None = None
        self._done: date | None = None
        self._not_before = now()

    def update(self) -> None:
        """Start the process if it is due, and log how it has ended. Never waits."""
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._process = None
            if status == 0:
                self._done = self._now().date()
            else:
                self._not_before = self._now() + RETRY
                _log.warning(line("compaction_failed", status=status, again=self._not_before.isoformat()))
        if self._done != self._now().date() and self._now() >= self._not_before:
            self._start()

    def stop(self) -> None:
        """Stop the process; what it has not compacted stays as it is."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(self._command(), stdout=subprocess.DEVNULL)
        except OSError as error:
            self._not_before = self._now() + RETRY
            _log.warning(line("compaction_failed", reason=error))

    def _command(self) -> Sequence[str]:
        store = self._store
        settings = (f"store.compact_after_days={store.compact_after_days}", f"store.keep_csv={store.keep_csv}".lower())
        options = [word for setting in settings for word in ("--set", setting)]
        return [sys.executable, "-m", "collector", "compact", "--root", store.root, *options]
