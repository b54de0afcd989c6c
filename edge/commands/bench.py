"""Measure the time of each stage on this device, and of the bare networks on the same input."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import numpy as np
from numpy.typing import NDArray

from contract.card import CheckCard, ClassifierCard
from edge.analyzer import FrameAnalyzer
from edge.build import Bundles
from edge.camera.image_quality import ImageQuality
from edge.commands.try_images import image_paths, read_images
from edge.counting.admit import Admission, AdmissionGate
from edge.counting.tally import Tally
from edge.counting.track import Tracker
from edge.settings import AdmitSettings, DetectSettings, TallySettings, TrackSettings
from edge.stages import Observer, Stage
from edge.system.health import resident_mb
from edge.values import Detection, Frame, Pixels, Track
from edge.vision.classify import Classifier
from edge.vision.crop import crop_face
from edge.vision.detect import Detector, letterbox
from edge.vision.face_check import MAX_CHECKED, FaceCheck
from edge.vision.motion_gate import MotionGate
from edge.vision.region import View

BEGIN = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
FPS = 10.0
WARM_UP_FRAMES = 3
"""The first frames are not measured, because memory is allocated in them."""
NETWORKS = ("detect network", "check network", "classify network")
ROWS: dict[Stage, str] = {
    "quality": "condition",
    "motion": "motion",
    "detect": "detect",
    "track": "track and admit",
    "classify": "classify",
    "tally": "tally",
}
"""Row of the table for each stage."""
STAGES = tuple(ROWS.values())
TABLE = (
    "detect network", "check network", "condition", "motion", "detect", "track and admit", "classify network",
    "classify", "tally"
)  # fmt: skip
"""Rows in the order of the table. ``detect`` includes the face check."""


@dataclass(slots=True)
class StageTimes:
    """Milliseconds per frame, by row of the table: the stages, and the bare networks."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def measure(self, row: str) -> Iterator[None]:
        """Add the time that the block takes."""
        begin = time.perf_counter()
        yield
        self.values[row].append((time.perf_counter() - begin) * 1000)

    def percentiles(self) -> dict[str, tuple[float, float, float]]:
        """Percentiles 50, 95 and 99 of each row, milliseconds."""
        found = {}
        for row in TABLE:
            if self.values[row]:
                p50, p95, p99 = np.percentile(self.values[row], (50, 95, 99)).tolist()
                found[row] = (p50, p95, p99)
        return found

    def frame_ms(self) -> float:
        """Mean time of a frame in all stages, milliseconds."""
        return self._per_frame(STAGES)

    def glue_ms(self) -> float:
        """Mean time of a frame in all stages less the bare networks, milliseconds."""
        return self.frame_ms() - self._per_frame(NETWORKS)

    def _per_frame(self, names: tuple[str, ...]) -> float:
        frames = max(len(self.values["detect"]), 1)
        return sum(sum(self.values[name]) for name in names) / frames


@dataclass(slots=True)
class StageTimer(Observer):
    """Sums the times of a frame's stages, and keeps the detections, and the tracks that were classified."""

    detections: Sequence[Detection] = ()
    admitted: tuple[Track, ...] = ()
    _seconds: dict[Stage, float] = field(default_factory=lambda: defaultdict(float))

    def on_detections(self, frame: Frame, detections: Sequence[Detection]) -> None:
        """Keep the detections."""
        self.detections = detections

    def on_admission(self, frame: Frame, admission: Admission) -> None:
        """Keep the admitted tracks."""
        self.admitted = admission.admitted

    def on_stage_time(self, stage: Stage, seconds: float) -> None:
        """Add a part of a stage."""
        self._seconds[stage] += seconds

    def end_frame(self, times: StageTimes) -> None:
        """Move the frame's times to ``times``. Classification counts only if there was a face to classify."""
        for stage, seconds in self._seconds.items():
            if stage != "classify" or self.admitted:
                times.values[ROWS[stage]].append(seconds * 1000)
        self._seconds.clear()
        self.detections, self.admitted = (), ()


@dataclass(frozen=True, slots=True)
class EveryFrame:
    """The motion gate at its full cost, but every frame is passed to the detector."""

    gate: MotionGate

    def select(self, pixels: Pixels, time: float) -> View:
        """The whole frame, after asking the gate."""
        self.gate.select(pixels, time)
        return View.whole(pixels.shape)

    def update_tracks(self, tracks: Collection[Track], time: float) -> None:
        """Pass the tracks on to the gate."""
        self.gate.update_tracks(tracks, time)


def measure(path: str, bundles: Bundles) -> StageTimes:
    """Run the pipeline's stages on all frames of an image, clip or folder, and measure each of them."""
    detector, check, classifier = bundles.detector, bundles.check, bundles.classifier
    times, timer = StageTimes(), StageTimer()
    analyzer = _analyzer(bundles, timer)
    images = (pixels for file in image_paths([path]) for _, pixels in read_images(file))
    for index, pixels in enumerate(images):
        if index == WARM_UP_FRAMES:
            times.values.clear()
        network_input = letterbox(pixels, (detector.card.input.height, detector.card.input.width))[0][None, :, :, None]
        with times.measure("detect network"):
            detector.model.run(network_input)
        analyzer.add_frame(Frame(pixels, index / FPS))
        if check and (faces := _checked(timer.detections, check.card)):
            checked = [_crops(pixels, [face], check.card) for face in faces]
            with times.measure("check network"):
                for crop in checked:
                    check.model.run(crop)
        if timer.admitted:
            crops = _crops(pixels, [track.face for track in timer.admitted], classifier.card)
            with times.measure("classify network"):
                classifier.model.run(crops)
        timer.end_frame(times)
    return times


def table(times: StageTimes) -> str:
    """The percentiles, the mean time of a frame and the memory of this process, as lines of text."""
    rows = [f"{'stage':20}{'frames':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"]
    for name, (p50, p95, p99) in times.percentiles().items():
        rows.append(f"{name:20}{len(times.values[name]):8}{p50:9.3f}{p95:9.3f}{p99:9.3f}")
    rows.append(f"a frame: {times.frame_ms():.3f} ms, of which {times.glue_ms():.3f} ms are not the networks")
    rows.append(f"resident memory: {resident_mb():.0f} MB")
    return "\n".join(rows)


def _analyzer(bundles: Bundles, observer: Observer) -> FrameAnalyzer:
    """The stages as the daemon builds them by default, with the detector on every frame."""
    detect, window_s = DetectSettings(), TallySettings().window_s
    detector, check, classifier = bundles.detector, bundles.check, bundles.classifier
    track = TrackSettings().for_detector(detector.card.threshold)
    return FrameAnalyzer(
        detector=Detector(detector, track.low),
        check=FaceCheck(check) if check else None,
        tracker=Tracker(track),
        gate=AdmissionGate(AdmitSettings(staff_zones=())),
        classifier=Classifier(classifier),
        tally=Tally(classifier.card.labels, window_s, 0.0, window_s),
        utc=lambda seconds: BEGIN + timedelta(seconds=seconds),
        quality=ImageQuality(live=False),
        motion=EveryFrame(MotionGate(detect.max_fps, track.gap_s, detect.follow_motion)),
        observer=observer,
    )


def _checked(detections: Sequence[Detection], card: CheckCard) -> list[Detection]:
    """Detections of a frame that the network has checked; the others have a high score or are too many."""
    return [face for face in detections if face.score < card.checked_below][:MAX_CHECKED]


def _crops(pixels: Pixels, faces: Sequence[Detection], card: CheckCard | ClassifierCard) -> NDArray[np.uint8]:
    """The input of the check or the classifier for faces of a frame: uint8 (n, height, width, 1)."""
    size = (card.input.height, card.input.width)
    return np.stack([crop_face(pixels, face, card.crop, size) for face in faces])[..., None]
