"""Run the pipeline: take frames from the source, analyse them, and deliver the windows that end."""

import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import UNSET

from base.logs import line
from contract.message import Counts, Models, Privacy
from edge.analyzer import FrameAnalyzer
from edge.delivery.publish import Identity
from edge.delivery.restamp import Restamper
from edge.delivery.spool import Spool
from edge.errors import ClipError, SpoolError
from edge.stages import FrameSource, WindowPublisher
from edge.system.clock import GRAIN, SourceClock, round_to_grain
from edge.system.health import HealthMonitor
from edge.values import Frame, MissingFrame, Window

log = logging.getLogger("edge.pipeline")
MAX_BUFFERED_WINDOWS = 1440
"""Maximum number of windows buffered in memory while the disk is full: a day of one-minute windows."""


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """Source -> analyzer -> spool -> publisher."""

    source: FrameSource
    analyzer: FrameAnalyzer
    restamper: Restamper
    spool: Spool
    publisher: WindowPublisher
    report: Callable[[HealthMonitor], None]
    """Publishes a health message; called some seconds after the first frames, and once a minute."""
    alive: Callable[[], None]
    """Called after every frame, and every second of a wait after an attempt to get one that has returned."""
    _buffered: deque[Window] = field(default_factory=deque)
    """Windows that are not in the spool yet."""
    _logged_dropped: int | None = None
    """Value of `dropped` when a full disk was last logged; None while the disk takes windows."""

    def run(self) -> None:
        """Count until the source ends. Raises ClipError, after counting what was read, if a file is cut off."""
        error = None
        try:
            for item in self.source.frames:
                self._deliver(self._analyse(item))
                if isinstance(item, Frame) or item.attempt_returned:
                    self.alive()
        except ClipError as cut_off:
            self.analyzer.tally.add_reason("truncated")
            error = cut_off
        self._deliver(self.analyzer.finish(math.inf))
        if error:
            raise error

    def drain(self, limit_s: float, stop: threading.Event) -> int:
        """Send what is in the spool, for at most ``limit_s`` seconds or until ``stop`` is set.

        Returns the number of messages that are left.
        """
        end = time.monotonic() + limit_s
        self._deliver([])
        while self._unsent() and time.monotonic() < end and not stop.wait(0.02):
            self._deliver([])
        return self._unsent()

    @property
    def dropped(self) -> int:
        """Number of finished windows lost if the process ends now: dropped ones, and those only in memory."""
        return self.spool.dropped + len(self._buffered)

    def _analyse(self, item: Frame | MissingFrame) -> list[Window]:
        return self.analyzer.add_frame(item) if isinstance(item, Frame) else self.analyzer.add_missing(item)

    def _unsent(self) -> int:
        """Number of messages that wait to be sent. A spool that cannot be read counts as empty: nothing can be sent."""
        try:
            return len(self._buffered) + self.spool.depth()
        except SpoolError:
            return len(self._buffered)

    def _deliver(self, windows: list[Window]) -> None:
        """Store windows in the spool, send what is in the spool, and report health when it is due.

        Windows that the disk refuses stay in memory; sending goes on.
        """
        self._buffered.extend(windows)
        try:
            self._store()
        except SpoolError as error:
            self._bound_buffer(error)
        with contextlib.suppress(SpoolError):  # logged above; a message that cannot be deleted now is sent again
            self.publisher.pump(self.spool)
            health = self.analyzer.health
            if health.is_due() or (self.publisher.connected and health.is_first_due()):
                self.report(health)

    def _store(self) -> None:
        """Move buffered windows to the spool. Raises SpoolError at the first one that the disk refuses."""
        while self._buffered:
            self.restamper.add(self._buffered[0], self.spool)
            self._buffered.popleft()
        self.restamper.restamp(self.spool)
        if self._logged_dropped is not None:
            log.info(line("spool_works"))
            self._logged_dropped = None

    def _bound_buffer(self, error: SpoolError) -> None:
        """Drop and count the oldest windows beyond the bound. Log whenever the number of lost windows changes."""
        while len(self._buffered) > MAX_BUFFERED_WINDOWS:
            self._buffered.popleft()
            self.spool.dropped += 1
        if self.dropped != self._logged_dropped:
            self._logged_dropped = self.dropped
            log.error(line("spool_failed", reason=error, in_memory=len(self._buffered), dropped=self.spool.dropped))


def window_converter(
    identity: Identity, clock: SourceClock, privacy: Privacy, models: Models
) -> Callable[[Window], Counts]:
    """Make the function that converts a window to a counts message. The spool sets ``seq`` when it releases one."""

    def to_counts(window: Window) -> Counts:
        start = round_to_grain(clock.utc(window.start))
        doubtful = window.doubtful_low > 0 or window.doubtful_high > 0
        return Counts(
            schema=2 if doubtful else 1,
            site=identity.site,
            device=identity.device,
            boot=identity.boot,
            seq=0,
            start=start,
            end=max(round_to_grain(clock.utc(window.end)), start + GRAIN),
            clock=clock.state,
            coverage=window.coverage,
            degraded=window.degraded,
            visits=window.visits,
            merged=1,
            privacy=privacy,
            model=models,
            doubtful_low=window.doubtful_low if doubtful else UNSET,
            doubtful_high=window.doubtful_high if doubtful else UNSET,
        )

    return to_counts
