"""FER2013's faces, cut close -> scenes of one face each, for crowds: of many more people than there are scenes."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from contract.card import DetectorCard
from edge import bundle
from edge.detect import Detector
from edge.words import Face
from training import fer
from training.scenes import Scene
from training.targets import VOTES

KIND = "portrait"
WHOLE = (0.12, 0.04, 0.75, 0.92)
"""Left, top, width and height of a face that was not found, as shares of the picture's side: the median of those found
(98 in 100)."""
ENLARGED, FRAME, SURE = 120, 320, 0.5
"""A face is looked for at this side, pixels, in the middle of a grey frame, and is found from this score on."""


def portraits(folder: Path, broken: fer.Broken) -> Iterator[Scene]:
    """The folder of FER2013, if there is one -> its faces outside the test parts that nobody took for none.

    Boxes and landmarks are what the shipped detector finds; where it finds nothing the box is `WHOLE`.
    """
    held = fer.read(folder, broken)
    none = held.votes[:, VOTES.index("NF")] > 0 if len(held.votes) else np.zeros(0, bool)
    rows = np.flatnonzero(~np.isin(held.part, ["test", "private"]) & ~none)
    detector = Detector(bundle.load(bundle.SHIPPED / "face.json", DetectorCard), SURE)
    for row in tqdm(rows, desc="portraits"):
        yield _scene(f"fer2013/{row}", held.pixels[row], _found(detector, held.pixels[row]))


def _found(detector: Detector, face: NDArray[np.uint8]) -> Face | None:
    """The face in a close cut (h, h), in its pixels."""
    frame = np.full((FRAME, FRAME), 128, np.uint8)
    margin = (FRAME - ENLARGED) // 2
    frame[margin:-margin, margin:-margin] = cv2.resize(face, (ENLARGED, ENLARGED), interpolation=cv2.INTER_LINEAR)
    faces = detector.detect(frame)
    return max(faces, key=lambda each: each.score, default=None)


def _scene(name: str, face: NDArray[np.uint8], found: Face | None) -> Scene:
    """A close cut and the face in the enlarged frame, or none -> the scene."""
    side, scale, margin = len(face), len(face) / ENLARGED, (FRAME - ENLARGED) // 2
    box, points = np.array(WHOLE, np.float32) * side, np.full(10, np.nan, np.float32)
    if found is not None:
        box = (np.array(found.box, np.float32) - [margin, margin, 0, 0]) * scale
        points = (np.array(found.landmarks, np.float32).reshape(-1) - margin) * scale
    return Scene(name, KIND, "", face, box[None].astype(np.float32), points[None].astype(np.float32), np.ones(1, bool))
