"""Detect the faces of a clip once per detector and cache them under build/, to compare trackers quickly."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.card import DetectorCard
from edge.camera import file_source
from edge.camera_settings import File
from edge.values import Detection, Pixels
from edge.vision import bundle
from edge.vision.detect import Detector

CACHE = Path("build") / "accuracy"
LOWEST_SCORE = 0.2
"""Score threshold of the cached detections; callers apply their own, which is higher."""


@dataclass(frozen=True, slots=True)
class DetectorSource:
    """A detector, and the name under which its detections are cached."""

    name: str
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


def of_card(name: str) -> DetectorSource:
    """Load a shipped detector by name, or any detector by the path of its card."""
    path = bundle.card_path(name)
    loaded = bundle.load(path, DetectorCard)
    detector = Detector(loaded, LOWEST_SCORE)
    return DetectorSource(f"{path.stem}-{loaded.card.sha256[:12]}", detector.detect, loaded.card.threshold)


def of_yunet(model: Path, long_side: int, threshold: float) -> DetectorSource:
    """Load YuNet, with images resized to a long side in pixels."""
    from benchmarks.speed.yunet import YuNet  # noqa: PLC0415 (needs the model's file and OpenCV 5)

    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:12]
    return DetectorSource(f"yunet{long_side}-{digest}", YuNet(model, LOWEST_SCORE, long_side).detect, threshold)


def of_clip(path: Path, source: DetectorSource, cache: Path = CACHE) -> Clip:
    """Detect the faces of a clip, or read them from the cache."""
    cached = cache / source.name / f"{path.name}.json"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(json.dumps(_detect(path, source)))
    stored = json.loads(cached.read_text())
    frames = tuple((time, tuple(map(_face, faces))) for time, faces in stored["frames"])
    return Clip(path.name, (stored["shape"][0], stored["shape"][1]), frames)


def _detect(path: Path, source: DetectorSource) -> dict[str, object]:
    shape, frames = [0, 0], []
    for frame in file_source.read_frames(File(path=str(path))):
        shape = list(frame.pixels.shape)
        faces = [[face.box, face.score, face.landmarks] for face in source.detect(frame.pixels)]
        frames.append([frame.time, faces])
    return {"shape": shape, "frames": frames}


def _face(stored: Sequence[list[list[float]]]) -> Detection:
    box, score, landmarks = stored
    return Detection(tuple(box), score, tuple(map(tuple, landmarks)))
