"""The stages wired: one frame goes in, at times a window comes out."""

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
from edge.camera.capture import Source
from edge.camera.image_quality import BLIND, Condition
from edge.counting.admit import AdmissionGate
from edge.counting.tally import Tally
from edge.counting.track import Tracker, TrackUpdate
from edge.delivery.printer import Printer
from edge.delivery.publish import Identity, Publisher
from edge.delivery.restamp import Settler
from edge.delivery.spool import Spool
from edge.errors import ClipError, SpoolError
from edge.system.clock import GRAIN, SourceClock, round_to_grain
from edge.system.health import HealthMonitor
from edge.system.thermal import ThermalThrottle
from edge.values import Frame, Missing, Window
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from edge.vision.motion_gate import MotionGate

log = logging.getLogger("edge.pipeline")
MAX_BUFFERED_WINDOWS = 1440
"""While the disk refuses, so many windows are kept in memory, a day of minutes."""


@dataclass(slots=True)
class Pipeline:
    """capture -> detect -> track -> admit -> classify -> tally -> spool -> publish."""

    source: Source
    detector: Detector
    tracker: Tracker
    gate: AdmissionGate
    classifier: Classifier
    tally: Tally
    spool: Spool
    publisher: Publisher | Printer
    settler: Settler
    report: Callable[[HealthMonitor], None]
    alive: Callable[[], None]
    every: int = 1
    watch: HealthMonitor = field(default_factory=HealthMonitor)
    condition: Condition = field(default_factory=Condition)
    governor: ThermalThrottle = field(default_factory=lambda: ThermalThrottle(lambda: None))
    motion: MotionGate | None = None
    """Decides on which frames the detector runs; on all without one."""
    _index: int = 0
    _unspooled: deque[Window] = field(default_factory=deque)
    _refused: int | None = None
    """While the disk refuses: how many windows were in memory or dropped when that was last said."""

    def run(self) -> None:
        """Until the source ends. A file that is cut off counts as far as it goes; then its ClipError is raised."""
        error = None
        try:
            for item in self.source.frames:
                self._deliver(self._see(item) if isinstance(item, Frame) else self._miss(item))
                if isinstance(item, Frame) or item.tried:
                    self.alive()
        except ClipError as cut_off:
            self.tally.note("truncated")
            error = cut_off
        self._end(self.tracker.finish(), math.inf)
        self._deliver(self.tally.finish())
        if error:
            raise error

    def drain(self, limit_s: float, stop: threading.Event) -> int:
        """Send what waits for at most so many seconds, or until told to stop; how many messages still wait then."""
        end = time.monotonic() + limit_s
        self._deliver([])
        while self._left() and time.monotonic() < end and not stop.wait(0.02):
            self._deliver([])
        return self._left()

    @property
    def dropped(self) -> int:
        """Finished windows that are lost if the process ends now: those for which neither disk nor memory had room, and
        those that are in memory only.
        """
        return self.spool.dropped + len(self._unspooled)

    def _left(self) -> int:
        """Messages that wait; of those on a disk that cannot be read nothing is known, and nothing can be sent."""
        try:
            return len(self._unspooled) + self.spool.depth()
        except SpoolError:
            return len(self._unspooled)

    def _see(self, frame: Frame) -> list[Window]:
        """One frame through all stages; the windows that are over."""
        wrong = self.condition.look(frame.pixels, frame.time)
        if wrong in BLIND:
            if wrong == "frozen":
                self.source.reopen()
            return self._miss(Missing(frame.time, wrong))
        windows = self.tally.look(frame.time)
        if wrong:
            self.tally.note(wrong)
        self.watch.frame()
        factor = self.governor.update(frame.time)
        if factor > 1:
            self.tally.note("hot")
        self._index += 1
        if (self._index - 1) % (self.every * factor):
            return windows
        if not self._is_wanted(frame):
            return windows
        with self.watch.stage("detect"):
            faces = self.detector.detect(frame.pixels)
        with self.watch.stage("track"):
            height, width = frame.pixels.shape
            tracks = self.tracker.update(faces, frame.time, (height, width))
            if self.motion:
                self.motion.saw([track.number for track in tracks.seen], frame.time)
            self._end(tracks, frame.time)  # first: a new track may go on where one has vanished
            admission = self.gate.admit(tracks.seen, (height, width), frame.time, self.source.clock.utc(frame.time))
        with self.watch.stage("classify"):
            looks = self.classifier.classify(frame.pixels, [track.face for track in admission.admitted])
        self.tally.bar(admission.barred)
        self.tally.add_observations(admission.admitted, looks)
        return windows

    def _is_wanted(self, frame: Frame) -> bool:
        """Whether the detector runs on a frame. The tracker is told nothing of the others: nobody in them is missed."""
        if self.motion is None:
            return True
        with self.watch.stage("motion"):
            wanted = self.motion.wants(frame.pixels, frame.time)
        self.watch.gate(wanted)
        return wanted

    def _miss(self, missing: Missing) -> list[Window]:
        """No frame: time goes on, and visits end; the windows that are over."""
        windows = self.tally.miss(missing.time, missing.reason)
        self._end(self.tracker.miss(missing.time), missing.time)
        return windows

    def _end(self, tracks: TrackUpdate, time: float) -> None:
        """Count the visits that are over, forget the tracks that are."""
        self.tally.count(*self.gate.release(tracks.visits, tracks.gone, time))

    def _deliver(self, windows: list[Window]) -> None:
        """Windows into the spool, the spool to the broker, health once a minute. What the disk refuses waits here, and
        keeps nothing from being sent.
        """
        self._unspooled.extend(windows)
        try:
            self._keep()
        except SpoolError as error:
            self._bound(error)
        with contextlib.suppress(SpoolError):  # said already: what cannot be deleted now is sent again
            self.publisher.pump(self.spool)
            if self.watch.due():
                self.report(self.watch)

    def _keep(self) -> None:
        """Windows into the spool; SpoolError from the one on that the disk refuses."""
        while self._unspooled:
            self.settler.add(self._unspooled[0], self.spool)
            self._unspooled.popleft()
        self.settler.settle(self.spool)
        if self._refused is not None:
            log.info(line("spool_works"))
            self._refused = None

    def _bound(self, error: SpoolError) -> None:
        """Drop the oldest of what memory has no room for, count it, and say what waits as often as that changes."""
        while len(self._unspooled) > MAX_BUFFERED_WINDOWS:
            self._unspooled.popleft()
            self.spool.dropped += 1
        if self.dropped != self._refused:
            self._refused = self.dropped
            log.error(line("spool_failed", reason=error, in_memory=len(self._unspooled), dropped=self.spool.dropped))


def stamp(identity: Identity, clock: SourceClock, privacy: Privacy, models: Models) -> Callable[[Window], Counts]:
    """What turns a window of the source's clock into a message; its ``seq`` is set when it may leave."""

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
