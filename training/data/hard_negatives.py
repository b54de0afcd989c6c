"""Mine hard negatives: false detections of an earlier detector, which the next one is trained on more often.

See Felzenszwalb et al. 2010 and Shrivastava et al. 2016.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.values import Detection
from edge.vision.boxes import iou
from training.data.labelled_images import Floats, LabelledImage

MIN_SCORE = 0.25
"""Score from which an unexplained detection is mined."""
MAX_OVERLAP = 0.1
"""A label explains a detection if their intersection over union exceeds this, or the label's centre lies inside the
detection. Labels of any confidence count."""


def mine(
    detectors: Sequence[Callable[[NDArray[np.uint8]], Sequence[Detection]]], image: LabelledImage
) -> LabelledImage:
    """Return an image with the detectors' false detections as its ``mined`` boxes.

    Detectors must return all detections down to `MIN_SCORE`. Images of the validation set and frames of labelled videos
    are returned unchanged.
    """
    if image.held_out or image.kind == "labelled-video":
        return image
    return replace(image, mined=_unexplained([face for detect in detectors for face in detect(image.pixels)], image))


def _unexplained(detections: Sequence[Detection], image: LabelledImage) -> Floats:
    """Boxes (n, 4) of the detections that no label explains, best first; one for each place."""
    kept: list[Floats] = []
    for face in sorted(detections, key=lambda each: -each.score):
        box = np.array(face.box, np.float32)
        known = np.concatenate([image.boxes, np.array(kept, np.float32).reshape(-1, 4)])
        centre = known[:, :2] + known[:, 2:] / 2
        inside = ((centre > box[:2]) & (centre < box[:2] + box[2:])).all(1)
        if face.score >= MIN_SCORE and not (inside | (iou(box, known) > MAX_OVERLAP)).any():
            kept.append(box)
    return np.array(kept, np.float32).reshape(-1, 4)
