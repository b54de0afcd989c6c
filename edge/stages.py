"""Interfaces of the pipeline's replaceable stages, and the observer that sees what each stage produced."""

from collections.abc import Collection, Iterator, Sequence
from typing import Literal, Protocol, TypeAlias

from edge.counting.admit import Admission
from edge.counting.tally import CountedVisit
from edge.counting.track import TrackUpdate
from edge.delivery.spool import Spool
from edge.values import Detection, Expression, Frame, MissingFrame, Pixels, Track, Window
from edge.vision.region import View

Stage: TypeAlias = Literal["quality", "motion", "detect", "track", "classify", "tally"]
"""Stages whose time is measured. ``track`` includes admission."""


class FrameSource(Protocol):
    """A camera, a file, or a script."""

    @property
    def frames(self) -> Iterator[Frame | MissingFrame]:
        """Frames in the order of their times, and missing frames with the reason."""


class FrameSelector(Protocol):
    """Decides on which frames the detector runs, and on which part."""

    def select(self, pixels: Pixels, time: float, /) -> View | None:
        """What the detector sees of a grey frame (height, width) of ``time``, seconds; None if it does not run."""

    def update_tracks(self, tracks: Collection[Track], time: float, /) -> None:
        """Pass on the tracks observed at ``time``, seconds."""


class FaceDetector(Protocol):
    """Finds faces in a frame."""

    def detect(self, pixels: Pixels, /) -> Sequence[Detection]:
        """Detections in a grey frame (height, width)."""


class DetectionChecker(Protocol):
    """Gives each detection its face score."""

    def check(self, pixels: Pixels, detections: Sequence[Detection], /) -> tuple[Detection, ...]:
        """Detections in a grey frame (height, width), best first, with their face scores; in the same order."""


class FaceTracker(Protocol):
    """Joins detections into tracks."""

    def update(
        self, detections: Sequence[Detection], time: float, shape: tuple[int, int], /, *, is_partial: bool = False
    ) -> TrackUpdate:
        """Continue and start tracks with the detections of a frame of ``shape`` (height, width).

        ``is_partial`` says that faces may be missing which other frames show.
        """

    def skip(self, time: float, /) -> TrackUpdate:
        """Let time pass without a frame."""

    def finish(self) -> TrackUpdate:
        """End all tracks."""


class ExpressionClassifier(Protocol):
    """Estimates the expression of faces."""

    def classify(self, pixels: Pixels, detections: Sequence[Detection], /) -> Sequence[Expression]:
        """One expression per detection of a grey frame (height, width), in the same order."""


class WindowPublisher(Protocol):
    """Sends finished windows."""

    acknowledged: int
    """Number of messages that the broker has acknowledged."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""

    def pump(self, spool: Spool, /) -> None:
        """Send what is in the spool, without blocking."""


class Observer:
    """Sees what each stage of the pipeline produced, and by default does nothing with it.

    Tests and benchmarks subclass it and override the methods they need. All methods are called in the pipeline's
    thread.
    """

    def on_detections(self, frame: Frame, detections: Sequence[Detection]) -> None:
        """The detector found faces in a frame."""

    def on_tracks(self, frame: Frame, update: TrackUpdate) -> None:
        """The tracker was updated with the detections of a frame."""

    def on_admission(self, frame: Frame, admission: Admission) -> None:
        """The gate decided which tracks of a frame may be classified."""

    def on_expressions(self, frame: Frame, tracks: Sequence[Track], expressions: Sequence[Expression]) -> None:
        """The classifier estimated the expressions of the admitted tracks, in the same order."""

    def on_visits(self, visits: Sequence[CountedVisit], gone: Sequence[int]) -> None:
        """Visits were counted, and the tracks whose numbers are in ``gone`` were forgotten afterwards."""

    def on_windows(self, windows: Sequence[Window]) -> None:
        """Windows ended."""

    def on_stage_time(self, stage: Stage, seconds: float) -> None:
        """A stage took this time for one frame. A stage may have several parts per frame."""
