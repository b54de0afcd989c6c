"""A trained face detector and the pictures it was trained on -> the same, with boxes of the size that was taught.

Training leaves boxes a few parts in a hundred too large, more so at a fine stride, where one cell is much of a face.
What is left is a factor, and is taken away here: the last layer gives the logarithms of sides, so it is one more bias.
"""

from collections import defaultdict
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from edge.vision.boxes import iou
from edge.vision.detect import decode, grid_cells, letterbox
from training.data.labelled_images import Floats, Scene
from training.fit.detector_targets import STRIDES
from training.networks.architectures import sized

FOUND = 0.0
"""Logit from which a cell's box counts."""
SAME = 0.3
"""A box is of a label that it overlaps (intersection over union) by more."""
ENOUGH = 30
"""Boxes of one stride that a median is taken of; with fewer the stride is left as it is."""


def fit(model: keras.Model, scenes: Sequence[Scene], size: tuple[int, int]) -> dict[int, float]:
    """Move the biases of a model's sides so that its boxes are as large as the labels, in the median of each stride ->
    the factor by which they were too large, by stride.

    Taken on the hand-labelled stills among ``scenes``, seen in ``size`` (height, width): on drawn crowds, which most of
    what is trained on is of, boxes are right.
    """
    factors = too_large(model, [scene for scene in scenes if scene.kind == "labelled-still"], size)
    for stride, factor in factors.items():
        layer = model.get_layer(f"boxes{stride}")
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, bias - np.log([1, 1, factor, factor])])
    return factors


def too_large(model: keras.Model, scenes: Sequence[Scene], size: tuple[int, int]) -> dict[int, float]:
    """By stride, the median of what is found over what is labelled, both the root of the area."""
    seen, at = sized(model, *size), grid_cells(size, STRIDES)
    ratios: dict[int, list[float]] = defaultdict(list)
    for scene in scenes:
        picture, scale = letterbox(scene.pixels, size)
        given = np.asarray(seen.predict_on_batch(picture[None, ..., None].astype(np.float32)))[0]
        for label in scene.boxes[scene.sure] * scale:
            stride, ratio = _best(given, at, label)
            ratios[stride].append(ratio)
    return {stride: float(np.median(ratios[stride])) for stride in STRIDES if len(ratios[stride]) >= ENOUGH}


def _best(given: Floats, at: Floats, label: Floats) -> tuple[int, float]:
    """Outputs (cells, 15) -> of the box most sure of a label (4,) its stride and how much larger it is; stride 0 if
    there is none.
    """
    sure: NDArray[np.intp] = np.flatnonzero(given[:, 0] >= FOUND)
    boxes, _ = decode(given[sure, 1:5], given[sure, 5:], at[sure])
    mine = sure[iou(label, boxes) > SAME]
    if not len(mine):
        return 0, 1.0
    best = mine[given[mine, 0].argmax()]
    box = boxes[sure.searchsorted(best)]
    return int(at[best, 2]), float(np.sqrt(box[2:].prod() / label[2:].prod()))
