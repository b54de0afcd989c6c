"""Correct the size of a trained detector's boxes so that it matches the labels in the median.

Training leaves boxes a few per cent too large, more so at a fine stride, where one cell is much of a face. The error is
a factor, and the last layer predicts the logarithms of sides, so one bias corrects it.
"""

from collections import defaultdict
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from edge.vision.boxes import iou
from edge.vision.detect import decode, grid_cells, letterbox
from training.data.labelled_images import Floats, LabelledImage
from training.fit.detector_targets import STRIDES
from training.networks.architectures import with_input_size

MIN_LOGIT = 0.0
"""Lowest score logit of a cell whose box is compared."""
MIN_OVERLAP = 0.3
"""Intersection over union from which a box and a label are of the same face."""
MIN_BOXES = 30
"""Boxes that a median needs; a stride with fewer is not corrected."""


def fit(model: keras.Model, scenes: Sequence[LabelledImage], size: tuple[int, int]) -> dict[int, float]:
    """Correct the biases of a detector's box sides, and return the factor by which boxes were too large, by stride.

    Measured on the hand-labelled images among ``scenes``, letterboxed to ``size`` (height, width). On rendered crowds,
    which most training images are, boxes are right.
    """
    factors = size_ratios(model, [scene for scene in scenes if scene.kind == "labelled-still"], size)
    for stride, factor in factors.items():
        layer = model.get_layer(f"boxes{stride}")
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, bias - np.log([1, 1, factor, factor])])
    return factors


def size_ratios(model: keras.Model, scenes: Sequence[LabelledImage], size: tuple[int, int]) -> dict[int, float]:
    """Median ratio of the predicted to the labelled size, by stride. Size is the square root of the area."""
    fixed, grid = with_input_size(model, *size), grid_cells(size, STRIDES)
    ratios: dict[int, list[float]] = defaultdict(list)
    for scene in scenes:
        image, scale = letterbox(scene.pixels, size)
        output = np.asarray(fixed.predict_on_batch(image[None, ..., None].astype(np.float32)))[0]
        for label in scene.boxes[scene.certain] * scale:
            stride, ratio = _best_match(output, grid, label)
            ratios[stride].append(ratio)
    return {stride: float(np.median(ratios[stride])) for stride in STRIDES if len(ratios[stride]) >= MIN_BOXES}


def _best_match(output: Floats, grid: Floats, label: Floats) -> tuple[int, float]:
    """Stride and size ratio of the highest-scored box that overlaps a label (4,); stride 0 if there is none.

    ``output`` (cells, 15) is the network's, ``grid`` (cells, 3) as of `edge.vision.detect.grid_cells`.
    """
    confident: NDArray[np.intp] = np.flatnonzero(output[:, 0] >= MIN_LOGIT)
    boxes, _ = decode(output[confident, 1:5], output[confident, 5:], grid[confident])
    matching = confident[iou(label, boxes) > MIN_OVERLAP]
    if not len(matching):
        return 0, 1.0
    best = matching[output[matching, 0].argmax()]
    box = boxes[confident.searchsorted(best)]
    return int(grid[best, 2]), float(np.sqrt(box[2:].prod() / label[2:].prod()))
