"""A detector and the images to train on -> what it takes for faces and is none: hard negatives.

Hard negative mining as in Felzenszwalb et al. 2010 and Shrivastava et al. 2016: the next detector is trained on these
places more often than on others.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge.values import Face
from training.data.labelled_images import Floats, LabelledImage, overlap
from training.evaluate.detector_metrics import Detect

MIN_SCORE = 0.25
"""Score from which a detection that no label explains is mined."""
APART = 0.1
"""A detection is explained by a box, sure or doubtful, that it overlaps (intersection over union) by more, or whose
middle lies inside it."""


def mine(finds: Sequence[Detect], scene: LabelledImage) -> LabelledImage:
    """Detectors that tell all they find down to `MIN_SCORE`, a scene -> the scene with what was wrongly found in it.

    Scenes that are held back, and frames of labelled videos, are left as they are.
    """
    if scene.held_out or scene.kind == "labelled-video":
        return scene
    return replace(scene, mined=_wrong([face for find in finds for face in find(scene.pixels)], scene))


def _wrong(faces: Sequence[Face], scene: LabelledImage) -> Floats:
    """Boxes (n, 4) of the detections that no box of the scene explains, each place once, best first."""
    kept: list[Floats] = []
    for face in sorted(faces, key=lambda each: -each.score):
        box = np.array(face.box, np.float32)
        known = np.concatenate([scene.boxes, np.array(kept, np.float32).reshape(-1, 4)])
        middle = known[:, :2] + known[:, 2:] / 2
        inside = ((middle > box[:2]) & (middle < box[:2] + box[2:])).all(1)
        if face.score >= MIN_SCORE and not (inside | (overlap(box, known) > APART)).any():
            kept.append(box)
    return np.array(kept, np.float32).reshape(-1, 4)
