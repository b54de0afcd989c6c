"""Restamp windows that were recorded before the clock was synchronised, and spool all finished windows."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from base.logs import line
from contract.message import Counts
from edge.delivery.spool import Spool, UnsyncedWindow
from edge.system.clock import GRAIN, SourceClock, round_to_grain
from edge.values import Window

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Restamper:
    """Holds windows back while the clock is not synchronised.

    They wait in the spool. Once the clock is synchronised they get their time (``restamped``). After ``hold_s`` seconds
    they leave as they are (``unsynced``), and so they do after a reboot, when their monotonic seconds mean nothing any
    more. Each window is restamped or released once.
    """

    to_counts: Callable[[Window], Counts]
    clock: SourceClock
    kernel: str
    """Boot id of the kernel: monotonic seconds count from its start."""
    hold_s: float
    monotonic: Callable[[], float]
    boot: str | None = None
    """Id of this start of the daemon. Released windows are numbered under it: an earlier start may have used the same
    numbers."""
    _waiting: bool = True
    """Whether the spool may hold unsynced windows; at first it may, from the last run."""

    def add(self, window: Window, spool: Spool) -> None:
        """Spool a finished window; it is on disk when this returns. Raise SpoolError if it cannot be written."""
        counts = self.to_counts(window)
        if counts.clock == "unsynced" and self.hold_s > 0:
            spool.add_unsynced(UnsyncedWindow(self.kernel, window.start, window.end, counts))
            self._waiting = True
            return
        self.restamp(spool)  # older windows go first
        spool.add(counts)

    def restamp(self, spool: Spool) -> None:
        """Release the waiting windows whose time is known now, or that have waited long enough."""
        if not self._waiting:
            return
        synced, released = self.clock.state == "synced", 0
        while window := spool.first_unsynced():
            this_boot = window.boot == self.kernel
            if this_boot and not synced and self.monotonic() - window.end < self.hold_s:
                break
            counts = self._restamped(window) if this_boot and synced else window.counts
            spool.release_unsynced(window, replace(counts, boot=self.boot) if self.boot else counts)
            released += 1
        else:
            self._waiting = False
        if released:
            log.info(line("unsynced_windows_released", windows=released, synced=synced))

    def _restamped(self, window: UnsyncedWindow) -> Counts:
        """The window's counts, stamped by the clock that is now synchronised."""
        start, end = (round_to_grain(self.clock.utc(seconds)) for seconds in (window.start, window.end))
        return replace(window.counts, start=start, end=max(end, start + GRAIN), clock="restamped")
