"""Label the detections that the face check is trained on: a face, a back of a head, or another look-alike.

Hand-drawn boxes come first. Where nobody drew boxes, a teacher network analyses each place.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from edge.vision.boxes import iou
from training.data import everyday_images
from training.data.hand_labels import TEACHER_BOX_RATIO, contains
from training.data.labelled_images import BOX, Floats

FACE_SCORE = 0.45
"""Mean score of the teacher from which a detection is a face."""
NO_FACE_SCORE, NO_FACE_HIGHEST, NO_FACE_DETECTED = 0.12, 0.35, 0.4
"""A detection is a look-alike if the teacher's mean score, its highest score and the detector's score are lower."""
UNDRAWN_SCORE, EMPTY_SCORE = 0.25, 0.3
"""In an image with hand-drawn boxes, a detection apart from them is a look-alike if the teacher's mean score is lower;
the second in an image in which people drew no face."""
SAME_HEAD_OVERLAP, APART_OVERLAP = 0.4, 0.1
"""A detection is of a hand-drawn head from the first intersection over union on, and apart from it below the second."""
BACK_WEIGHT = 2.0
"""Weight of a back of a head: look-alikes of this kind are rare in the data and frequent in a shop."""
TEACHER_NEGATIVE_WEIGHT = 0.6
"""Weight of a look-alike that only the teacher vouches for."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a detection shows."""

    target: float
    """1 for a face, also in profile; 0 for a look-alike."""
    weight: float = 1.0
    """How often the detection is drawn in training, compared with others."""
    back: bool = False
    """Whether it is a head seen from behind."""


@dataclass(frozen=True, slots=True)
class DrawnHeads:
    """The hand-drawn boxes of an image."""

    boxes: Floats = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """Left, top, width and height of each head, pixels, (n, 4)."""
    views: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))
    """``frontal``, ``profile`` or ``back`` of each head, (n,)."""


def read_drawn_heads(data: Path) -> dict[str, DrawnHeads]:
    """The hand-drawn boxes of ``faces.csv`` and, if it exists, of ``diverse_faces.csv``, by the name of the image."""
    scenes = pd.read_csv(data / "faces.csv")
    tables = [scenes[scenes.source == "human"].assign(view="frontal")]
    if (data / everyday_images.FACES).exists():
        tables.append(pd.read_csv(data / everyday_images.FACES))
    return {
        str(name): DrawnHeads(rows[BOX].to_numpy(np.float32), rows.view.to_numpy(np.str_))
        for table in tables
        for name, rows in table.groupby("image")
    }


def by_hand(box: Floats, heads: DrawnHeads, teacher: Callable[[], Floats] | None) -> Label | None:
    """Label a detection (4,) in an image with hand-drawn boxes; None if it is unclear what it shows.

    ``teacher`` returns its scores of this place (n,). It is asked about detections apart from all boxes, where people
    may have left out a face. Without it they are look-alikes.
    """
    if len(heads.boxes):
        overlap = np.maximum(iou(box, heads.boxes), iou(box, _tight(heads.boxes)))
        nearest = int(overlap.argmax())
        if overlap[nearest] >= SAME_HEAD_OVERLAP:
            return _of_head(str(heads.views[nearest]))
        centre = (box[:2] + box[2:] / 2)[None]
        if overlap[nearest] >= APART_OVERLAP or contains(heads.boxes, centre).any():
            return None
    limit = UNDRAWN_SCORE if len(heads.boxes) else EMPTY_SCORE
    return Label(0.0) if teacher is None or teacher().mean() < limit else None


def by_teacher(score: float, teacher: Floats) -> Label | None:
    """Label a detection of this score by the teacher's scores of its place (n,); None if the teacher is uncertain."""
    mean, highest = teacher.mean(), teacher.max()
    if mean >= FACE_SCORE:
        return Label(1.0)
    if mean < NO_FACE_SCORE and highest < NO_FACE_HIGHEST and score < NO_FACE_DETECTED:
        return Label(0.0, TEACHER_NEGATIVE_WEIGHT)
    return None


def _of_head(view: str) -> Label:
    if view == "back":
        return Label(0.0, BACK_WEIGHT, back=True)
    return Label(1.0)


def _tight(boxes: Floats) -> Floats:
    """Boxes (n, 4) shrunk from the whole head to brow and chin, as detectors are trained."""
    tight = boxes.copy()
    tight[:, :2] += boxes[:, 2:] * (1 - TEACHER_BOX_RATIO) / 2
    tight[:, 2:] *= TEACHER_BOX_RATIO
    return tight
