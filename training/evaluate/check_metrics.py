"""Metrics of a face check on held-out detections: how well faces are told from look-alikes, with and without it."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from edge.vision.face_check import FaceCheck
from training.data.check_candidates import Candidates
from training.data.labelled_images import Floats

MIN_SIDE = 16.0
"""Longer side of a head, pixels of the image, from which it counts."""
BATCH = 64
"""Crops that a network takes at a time. A float model then needs less than a quarter of the time."""
Flags = NDArray[np.bool_]


def face_scores(check: FaceCheck, part: Candidates) -> Floats:
    """Face score (n,) of each detection, by the device's own code, but many crops at a time."""
    scores = part.score.astype(np.float32)
    asked = np.flatnonzero(part.score < check.card.checked_below)
    for start in range(0, len(asked), BATCH):
        rows = asked[start : start + BATCH]
        values = check.values(np.stack([check.crop(part.crop(row), part.in_crop(row)) for row in rows]))
        scores[rows] = [check.combined(*each) for each in zip(part.score[rows].tolist(), values.tolist(), strict=True)]
    return scores


def groups(part: Candidates) -> tuple[Flags, Flags, Flags]:
    """Which detections (n,) are faces, backs of heads, and other look-alikes; faces and heads below `MIN_SIDE` are
    none of them.
    """
    large = part.size >= MIN_SIDE
    return (part.target > 0) & large, part.back & large, (part.target == 0) & ~part.back


def figures(part: Candidates, checked: Floats) -> dict[str, float]:
    """Metrics by name, of face scores ``checked`` (n,) and, as ``unchecked``, of the detectors' scores.

    ``backs.auc`` and ``others.auc``: area under the ROC curve of faces against backs of heads, and against other
    look-alikes. ``faces.ap``: average precision. ``faces.recall`` and ``backs.false``: fraction of the detections of
    faces, and of backs of heads, that reach the detector's threshold. A figure without detections is left out.
    """
    faces, backs, others = groups(part)
    values: dict[str, float] = {}
    for prefix, scores in (("", checked), ("unchecked_", part.score)):
        for name, negatives in (("backs", backs), ("others", others)):
            if faces.any() and negatives.any():
                both = faces | negatives
                values[f"{name}.{prefix}auc"] = float(roc_auc_score(faces[both], scores[both]))
        if faces.any() and (backs | others).any():
            every = faces | backs | others
            values[f"faces.{prefix}ap"] = float(average_precision_score(faces[every], scores[every]))
        reached = scores >= part.threshold
        for name, which in (("faces.{}recall", faces), ("backs.{}false", backs)):
            if which.any():
                values[name.format(prefix)] = float(reached[which].mean())
    return values
