"""Geometry of many boxes at once: intersection over union and non-maximum suppression on arrays.

Boxes are rows of left, top, width and height, (n, 4) float, in pixels. For a single box see `edge.values.Box`.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def areas(boxes: Floats) -> Floats:
    """Areas of boxes (..., 4), square pixels, (...)."""
    return np.asarray(boxes[..., 2:].prod(-1))


def intersections(boxes: Floats, others: Floats) -> Floats:
    """Areas that boxes (..., 4) share with others (..., 4), broadcast against each other, square pixels."""
    low = np.maximum(boxes[..., :2], others[..., :2])
    high = np.minimum(boxes[..., :2] + boxes[..., 2:], others[..., :2] + others[..., 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(-1))


def iou(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union of boxes (..., 4) with others (..., 4), broadcast against each other; 0 to 1.

    ``iou(box, boxes)`` compares one box (4,) with each of (n, 4); ``iou(a[:, None], b)`` gives the matrix (m, n).
    """
    shared = intersections(boxes, others)
    union = areas(boxes) + areas(others) - shared
    return np.asarray(shared / np.maximum(union, np.finfo(union.dtype).tiny))


def non_maximum_suppression(boxes: Floats, max_iou: float) -> NDArray[np.intp]:
    """Indices of the boxes (n, 4), best first, that greedy non-maximum suppression keeps.

    A box is dropped if a better box that is kept overlaps it by more than ``max_iou``. All boxes are decided at once
    and the decision is repeated until nothing changes. Each round makes at least the best open box final, so the
    result equals that of the greedy loop.
    """
    if len(boxes) < 2:
        return np.arange(len(boxes))
    shared = intersections(boxes[:, None], boxes)
    area = areas(boxes)
    union = area[:, None] + area - shared
    suppresses = np.tril(shared > max_iou * union, -1)
    kept: NDArray[np.bool_] = np.ones(len(boxes), bool)
    while True:
        now = ~np.any(suppresses & kept, axis=1)
        if (now == kept).all():
            return np.flatnonzero(now)
        kept = now
