"""Detections of a clip, made once per detector and kept under build/, so that a tracker can be tried many times."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.card import DetectorCard
from edge.camera import file_source
from edge.settings import File
from edge.values import Detection, Pixels
from edge.vision import bundle
from edge.vision.detect import Detector

CACHE = Path("build") / "accuracy"
LOWEST = 0.2
"""Detectors run at this score; what a run needs is picked from it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A detector with the name its results are kept under."""

    name: str
    detect: Callable[[Pixels], tuple[Detection, ...]]
    high_score: float
    """Its own threshold."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The faces found in a clip, frame by frame."""

    name: str
    shape: tuple[int, int]
    """Height and width, pixels."""
    frames: tuple[tuple[float, tuple[Detection, ...]], ...]
    """Second and faces with a score of ``LOWEST`` or more, best first."""


def of_card(name: str) -> Source:
    """A shipped detector by name, or any by the path of its card."""
    path = bundle.card_path(name)
    loaded = bundle.load(path, DetectorCard)
    detector = Detector(loaded, LOWEST)
    return Source(f"{path.stem}-{loaded.card.sha256[:12]}", detector.detect, loaded.card.threshold)


def of_yunet(model: Path, long_side: int, threshold: float) -> Source:
    """YuNet at a long side, pixels."""
    from benchmarks.speed.yunet import YuNet  # noqa: PLC0415 (needs the model's file and OpenCV 5)

    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:12]
    return Source(f"yunet{long_side}-{digest}", YuNet(model, LOWEST, long_side).detect, threshold)


def of_clip(path: Path, source: Source, cache: Path = CACHE) -> Clip:
    """A video through a detector, or what is kept of it from before."""
    kept = cache / source.name / f"{path.name}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(_detected(path, source)))
    told = json.loads(kept.read_text())
    frames = tuple((time, tuple(map(_face, faces))) for time, faces in told["frames"])
    return Clip(path.name, (told["shape"][0], told["shape"][1]), frames)


def _detected(path: Path, source: Source) -> dict[str, object]:
    shape, frames = [0, 0], []
    for frame in file_source.read_frames(File(path=str(path))):
        shape = list(frame.pixels.shape)
        faces = [[face.box, face.score, face.landmarks] for face in source.detect(frame.pixels)]
        frames.append([frame.time, faces])
    return {"shape": shape, "frames": frames}


def _face(told: Sequence[list[list[float]]]) -> Detection:
    box, score, landmarks = told
    return Detection(tuple(box), score, tuple(map(tuple, landmarks)))
