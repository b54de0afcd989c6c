"""Detect the faces of a clip once per detector and cache them under build/, to compare trackers quickly."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contract.card import CheckCard, DetectorCard
from edge.camera import file_source
from edge.camera_settings import File
from edge.settings import TrackSettings
from edge.values import Box, Detection, Pixels
from edge.vision import bundle
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck

CACHE = Path("build") / "accuracy"
LOWEST_SCORE = 0.2
"""Score threshold of the cached detections; callers apply their own, which is higher."""


@dataclass(frozen=True, slots=True)
class DetectorSource:
    """A detector, and the name under which its detections are cached."""

    name: str
    """Names everything that the detections depend on."""
    title: str
    """Heading of its column in a table."""
    detect: Callable[[Pixels], tuple[Detection, ...]]
    high_score: float
    """Score threshold of the detector."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The detections of a clip, frame by frame."""

    name: str
    shape: tuple[int, int]
    """Height and width, pixels."""
    frames: tuple[tuple[float, tuple[Detection, ...]], ...]
    """Second, and faces with a score of at least `LOWEST_SCORE`, best first."""

    def without_check(self) -> "Clip":
        """Return the clip with the detections as they were before the face check."""
        return replace(self, frames=tuple((time, without_check(faces)) for time, faces in self.frames))

    def every(self, step: int, first: int = 0) -> "Clip":
        """Return the clip with every ``step``-th frame, from the frame with the index ``first`` on."""
        return replace(self, frames=self.frames[first::step])


def shipped_check() -> FaceCheck:
    """Load the face check that runs with the shipped detectors."""
    return FaceCheck(bundle.load(bundle.DEFAULT_CHECK, CheckCard))


def without_check(faces: Sequence[Detection]) -> tuple[Detection, ...]:
    """Return detections as they were before the face check."""
    return tuple(replace(face, checked=None) for face in faces)


def of_card(name: str) -> DetectorSource:
    """Load a shipped detector by name, or any detector by the path of its card, with the shipped face check.

    Detections below the tracker's low score, which it ignores, are not checked.
    """
    path = bundle.card_path(name)
    loaded, check = bundle.load(path, DetectorCard), shipped_check()
    detector, low = Detector(loaded, LOWEST_SCORE), TrackSettings().for_detector(loaded.card.threshold).low

    def detect(pixels: Pixels) -> tuple[Detection, ...]:
        faces = detector.detect(pixels)
        used = [face for face in faces if face.score >= low]
        return (*check.check(pixels, used), *(face for face in faces if face.score < low))

    # The digest of the card, not of the model: it also names weight, bias and the crop.
    check_digest = hashlib.sha256(bundle.DEFAULT_CHECK.read_bytes()).hexdigest()[:12]
    cached_as = f"{path.stem}-{loaded.card.sha256[:12]}-check-{check_digest}-from-{low:g}"
    return DetectorSource(cached_as, path.stem, detect, loaded.card.threshold)


def of_yunet(model: Path, long_side: int, threshold: float) -> DetectorSource:
    """Load YuNet, with images resized to a long side in pixels, without face check."""
    from benchmarks.speed.yunet import YuNet  # noqa: PLC0415 (needs the model's file and OpenCV 5)

    digest, title = hashlib.sha256(model.read_bytes()).hexdigest()[:12], f"yunet{long_side}"
    return DetectorSource(f"{title}-{digest}", title, YuNet(model, LOWEST_SCORE, long_side).detect, threshold)


def of_clip(path: Path, source: DetectorSource, cache: Path = CACHE) -> Clip:
    """Detect the faces of a clip, or read them from the cache."""
    cached = cache / source.name / f"{path.name}.json"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(json.dumps(_detect(path, source)))
    stored = json.loads(cached.read_text())
    frames = tuple((time, tuple(_face(*face) for face in faces)) for time, faces in stored["frames"])
    return Clip(path.name, (stored["shape"][0], stored["shape"][1]), frames)


def _detect(path: Path, source: DetectorSource) -> dict[str, object]:
    shape, frames = [0, 0], []
    for frame in file_source.read_frames(File(path=str(path))):
        shape = list(frame.pixels.shape)
        faces = [[face.box, face.score, face.landmarks, face.checked] for face in source.detect(frame.pixels)]
        frames.append([frame.time, faces])
    return {"shape": shape, "frames": frames}


def _face(
    box: Sequence[float], score: float, landmarks: Sequence[Sequence[float]], checked: float | None = None
) -> Detection:
    left, top, width, height = box
    return Detection(Box(left, top, width, height), score, tuple((x, y) for x, y in landmarks), checked=checked)
