"""Combine boxes that people drew with the labels of a teacher network."""

import numpy as np
from numpy.typing import NDArray

from edge.vision.boxes import iou
from training.data.labelled_images import FaceLabels, Floats

SAME_FACE_OVERLAP = 0.25
"""A teacher's box and a hand-drawn box are of the same face if their intersection over union exceeds this and each is
the other's best match."""
TEACHER_BOX_RATIO = 0.75
"""Sides of a teacher's box as a fraction of those of a hand-drawn box. On the hand-labelled training images the median
is 0.73 of the width and 0.75 of the height."""


def tighten_boxes(human: Floats, teacher: Floats) -> Floats:
    """Shrink hand-drawn boxes (m, 4) to the size that the teacher gives its boxes (k, 4); return (m, 4).

    People draw around the whole head, the teacher from brow to chin. A hand-drawn box is replaced by the teacher's box
    of the same face; without one it is shrunk about its centre. A detector that is trained on both sizes predicts a
    size between them, and too large a box for a face that is half hidden.
    """
    boxes = human.copy()
    boxes[:, :2] += human[:, 2:] * (1 - TEACHER_BOX_RATIO) / 2
    boxes[:, 2:] *= TEACHER_BOX_RATIO
    if len(human) and len(teacher):
        shared = np.stack([iou(box, teacher) for box in human])
        match = shared.argmax(1)
        mutual = (shared.argmax(0)[match] == np.arange(len(human))) & (shared.max(1) > SAME_FACE_OVERLAP)
        boxes[mutual] = teacher[match[mutual]]
    return boxes


def contains(boxes: Floats, points: Floats) -> NDArray[np.bool_]:
    """Which of the points (n, 2) lie inside which of the boxes (m, 4), as (m, n)."""
    low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    return np.asarray(((points > low) & (points < high)).all(-1))


def centres(boxes: Floats) -> Floats:
    """Centres (n, 2) of boxes (n, 4)."""
    return boxes[:, :2] + boxes[:, 2:] / 2


def matched_landmarks(human: Floats, teacher: Floats, landmarks: Floats) -> Floats:
    """Landmarks (m, 10) for hand-drawn boxes (m, 4): those of the only teacher's box whose centre lies inside.

    NaN for a box that holds no centre of the teacher's boxes (k, 4), or several. ``landmarks`` (k, 10) are the
    teacher's.
    """
    found = np.full((len(human), 10), np.nan, np.float32)
    for index, inside in enumerate(contains(human, centres(teacher))):
        if inside.sum() == 1:
            found[index] = landmarks[inside][0]
    return found


def merge_labels(human: Floats, confidence: Floats, teacher: FaceLabels, others: NDArray[np.bool_]) -> FaceLabels:
    """Merge hand-drawn boxes (m, 4) and their confidence (m,) with a teacher's labels of the same image.

    ``others`` (k,) tells which of the teacher's boxes are kept beside the hand-drawn ones. They get the confidence 0:
    nothing is known about them.
    """
    boxes, landmarks, _ = teacher
    return (
        np.concatenate([human, boxes[others]]),
        np.concatenate([matched_landmarks(human, boxes, landmarks), landmarks[others]]),
        np.concatenate([confidence, np.zeros(others.sum(), np.float32)]),
    )
