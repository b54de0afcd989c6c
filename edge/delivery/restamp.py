"""Messages of windows -> the spool, once their time can be believed, or marked where it never could."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from base.logs import line
from contract.message import Counts
from edge.delivery.spool import Early, Spool
from edge.system.clock import GRAIN, SourceClock, round_to_grain
from edge.values import Window

log = logging.getLogger("edge.delivery.restamp")


@dataclass(slots=True)
class Settler:
    """Windows from before the clock was synchronised wait in the spool until it is and are stamped anew then
    (``restamped``); after ``hold_s`` seconds, or with the next start of the kernel, when their seconds mean nothing any
    more, they leave as they are (``unsynced``). Either way once and for good.
    """

    to_counts: Callable[[Window], Counts]
    clock: SourceClock
    kernel: str
    hold_s: float
    monotonic: Callable[[], float]
    boot: str | None = None
    """Of this start of the daemon, which numbers what leaves; the one before may have used the same numbers."""
    _waiting: bool = True
    """Whether the spool may hold early windows; at first it may, from the last run."""

    def add(self, window: Window, spool: Spool) -> None:
        """A finished window -> the spool; on disk when this returns. SpoolError if the disk refuses."""
        counts = self.to_counts(window)
        if counts.clock == "unsynced" and self.hold_s > 0:
            spool.add_early(Early(self.kernel, window.start, window.end, counts))
            self._waiting = True
            return
        self.settle(spool)  # what was earlier comes earlier
        spool.add(counts)

    def settle(self, spool: Spool) -> None:
        """Let early windows go that have a time now, or have waited long enough."""
        if not self._waiting:
            return
        synced, gone = self.clock.state == "synced", 0
        while early := spool.first_early():
            mine = early.boot == self.kernel
            if mine and not synced and self.monotonic() - early.end < self.hold_s:
                break
            counts = self._restamped(early) if mine and synced else early.counts
            spool.settle(early, replace(counts, boot=self.boot) if self.boot else counts)
            gone += 1
        else:
            self._waiting = False
        if gone:
            log.info(line("clock_settled", windows=gone, synced=synced))

    def _restamped(self, early: Early) -> Counts:
        """By the clock that is right now."""
        start, end = (round_to_grain(self.clock.utc(seconds)) for seconds in (early.start, early.end))
        return replace(early.counts, start=start, end=max(end, start + GRAIN), clock="restamped")
