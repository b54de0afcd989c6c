"""Run one frame through all stages, from image quality to counting, and return the windows that ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter

from contract.fields import Reason
from contract.labels import UNKNOWN
from edge.camera.image_quality import BLIND, ImageQuality
from edge.counting.admit import AdmissionGate, Release
from edge.counting.tally import CountedVisit, Tally
from edge.counting.totals import TrackTotals
from edge.counting.track import TrackUpdate
from edge.stages import (
    DetectionChecker,
    ExpressionClassifier,
    FaceDetector,
    FaceTracker,
    FrameSelector,
    Observer,
    Stage,
)
from edge.system.health import HealthMonitor
from edge.system.thermal import ThermalThrottle
from edge.values import Frame, MissingFrame, Window
from edge.vision.region import View, detect_in_view

REPORTED_STAGES: frozenset[Stage] = frozenset(("motion", "detect", "track", "classify"))
"""Stages whose latency is in the health message."""


@dataclass(slots=True, kw_only=True)
class FrameAnalyzer:
    """The stages of one frame: quality, motion, detect, track, admit, classify, tally.

    It opens nothing and sends nothing. The same frames give the same windows.
    """

    detector: FaceDetector
    check: DetectionChecker | None = None
    """The face check; None if the detector's scores are the face scores."""
    tracker: FaceTracker
    gate: AdmissionGate
    classifier: ExpressionClassifier
    tally: Tally
    utc: Callable[[float], datetime]
    """Converts a second on the source's clock to UTC."""
    reopen: Callable[[], None] = lambda: None
    """Opens the camera again; called when its image is frozen."""
    every: int = 1
    """The detector runs on every n-th frame only."""
    quality: ImageQuality = field(default_factory=ImageQuality)
    throttle: ThermalThrottle = field(default_factory=lambda: ThermalThrottle(lambda: None))
    motion: FrameSelector | None = None
    """Decides on which frames the detector runs, and on which part; None for all frames, whole."""
    health: HealthMonitor = field(default_factory=HealthMonitor)
    observer: Observer = field(default_factory=Observer)
    shadow: Observer = field(default_factory=Observer)
    """Compares a second classifier (`edge.shadow`); it changes nothing here."""
    totals: TrackTotals = field(default_factory=TrackTotals)
    _frames: int = 0

    def add_frame(self, frame: Frame) -> list[Window]:
        """Analyse a frame. Returns the windows that ended before it."""
        self.totals.pass_time(frame.time)
        with self._timed("quality"):
            problem = self.quality.assess(frame.pixels, frame.time)
        if problem in BLIND:
            if problem == "frozen":
                self.reopen()
            return self.add_missing(MissingFrame(frame.time, problem))
        self.health.add_frame()
        factor = self.throttle.update(frame.time)
        with self._timed("tally"):
            windows = self._cover(frame.time, problem, is_hot=factor > 1)
        self._frames += 1
        if (self._frames - 1) % (self.every * factor) == 0 and (view := self._select(frame)):
            self._analyse(frame, view)
        return windows

    def add_missing(self, missing: MissingFrame) -> list[Window]:
        """Let time pass without a frame, so that visits end. Returns the windows that ended."""
        self.totals.pass_time(missing.time)
        windows = self.tally.add_missing(missing.time, missing.reason)
        self._count(self.tracker.skip(missing.time), missing.time)
        if windows:
            self.observer.on_windows(windows)
        return windows

    def finish(self, time: float) -> list[Window]:
        """End all tracks at the end of the source and close the open window.

        At a ``time`` of ``math.inf`` visits that are held back are decided, too.
        """
        self._count(self.tracker.finish(), time)
        windows = self.tally.finish()
        if windows:
            self.observer.on_windows(windows)
        return windows

    def _cover(self, time: float, problem: Reason | None, *, is_hot: bool) -> list[Window]:
        """Add a frame to the coverage, with the reasons why the window is degraded."""
        windows = self.tally.add_frame(time)
        if problem:
            self.tally.add_reason(problem)
        if is_hot:
            self.tally.add_reason("hot")
        if windows:
            self.observer.on_windows(windows)
        return windows

    def _select(self, frame: Frame) -> View | None:
        """What the detector sees of a frame; None if it does not run. The tracker skips such frames."""
        if self.motion is None:
            return View.whole(frame.pixels.shape)
        with self._timed("motion"):
            view = self.motion.select(frame.pixels, frame.time)
        self.health.add_motion_decision(view is not None)
        return view

    def _analyse(self, frame: Frame, view: View) -> None:
        """Detect, track, admit, classify and count."""
        with self._timed("detect"):
            detections = detect_in_view(self.detector, frame.pixels, view)
            if self.check:
                detections = self.check.check(frame.pixels, detections)
        self.observer.on_detections(frame, detections)
        height, width = frame.pixels.shape
        with self._timed("track"):
            update = self.tracker.update(detections, frame.time, (height, width), is_partial=view.is_partial)
            if self.motion:
                self.motion.update_tracks(update.seen, frame.time)
            # released first, because a new track may continue the dwell time of one that has just ended
            released = self.gate.release(update.visits, update.gone, frame.time)
            admission = self.gate.admit(update.seen, (height, width), frame.time, self.utc(frame.time))
        self.observer.on_tracks(frame, update)
        self.observer.on_admission(frame, admission)
        self.shadow.on_admission(frame, admission)
        with self._timed("classify"):
            expressions = self.classifier.classify(frame.pixels, [track.face for track in admission.admitted])
        self.observer.on_expressions(frame, admission.admitted, expressions)
        self.shadow.on_expressions(frame, admission.admitted, expressions)
        with self._timed("tally"):
            counted = self._decide(update, released)
            self.tally.exclude(admission.excluded)
            self.tally.add_observations(admission.admitted, expressions)
        self._tell(counted, released)

    def _count(self, update: TrackUpdate, time: float) -> None:
        """Count the visits that ended, without a frame."""
        released = self.gate.release(update.visits, update.gone, time)
        self._tell(self._decide(update, released), released)

    def _tell(self, counted: tuple[CountedVisit, ...], released: Release) -> None:
        self.observer.on_visits(counted, released.gone)
        self.shadow.on_visits(counted, released.gone)

    def _decide(self, update: TrackUpdate, released: Release) -> tuple[CountedVisit, ...]:
        """Count the visits that are decided, and add them and the tracks that are no visits to the totals."""
        counted = self.tally.count(released.visits, released.gone)
        unknown = sum(visit.label == UNKNOWN for visit in counted)
        self.totals.add((*update.rejected, *released.outcomes), unknown)
        return counted

    @contextmanager
    def _timed(self, stage: Stage) -> Iterator[None]:
        """Measure the time of a stage, or of a part of it."""
        begin = perf_counter()
        yield
        seconds = perf_counter() - begin
        if stage in REPORTED_STAGES:
            self.health.add_time(stage, seconds)
        self.observer.on_stage_time(stage, seconds)
