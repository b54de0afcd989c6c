"""Collages -> targets of the face detector's cells, and the loss on them."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from edge.vision.detect import grid_cells
from training.augment.collage import Collage, Collages
from training.data.labelled_images import Floats, Scene

STRIDES = (8, 16, 32)
SIDES = {8: (0.0, 52.0), 16: (32.0, 116.0), 32: (80.0, 1e9)}
"""Which faces a stride answers for, by the longer side in pixels; the ranges overlap, so that none falls between."""
PARTS = (1.0, 0.8, 0.67, 0.5)
"""Sides of the pictures that are trained on, as parts of the recipe's: small ones cost less and teach as much of small
faces, the large ones are for faces that fill the frame. One is picked at random for each step."""
FAINT = 0.3
"""Heat around a face's centre that is less is none."""
COLUMNS = 17
"""Of a target row: heat 1, box 4, landmarks 10, weight of the heat, weight of the landmarks."""


class Batches:
    """Step -> a batch (pixels (n, h, w, 1) uint8, targets (n, cells, 17) float16); the same step, the same batch.

    Height and width, multiples of 32, vary from step to step, up to those wanted; ``n`` grows as they shrink, so that
    every step costs about the same.
    """

    def __init__(self, scenes: Sequence[Scene], size: tuple[int, int], batch: int, seed: int) -> None:
        self._collages, self._batch, self._seed = Collages(scenes), batch, seed
        self._sizes = [(_down(size[0] * part), _down(size[1] * part)) for part in PARTS]
        self._cells = [grid_cells(each, STRIDES) for each in self._sizes]

    def __call__(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """The batch of a step, by random numbers of seed and step alone."""
        rng = np.random.default_rng((self._seed, step))
        pick = int(rng.integers(len(PARTS)))
        size, at = self._sizes[pick], self._cells[pick]
        count = round(self._batch * len(self._cells[0]) / len(at))
        drawn = [self._collages.draw(rng, size) for _ in range(count)]
        pixels = np.stack([collage.pixels for collage in drawn])[..., None]
        return pixels, np.stack([targets(collage, at).astype(np.float16) for collage in drawn])


def _down(side: float) -> int:
    return 32 * int(side // 32)


def targets(collage: Collage, at: Floats) -> Floats:
    """A collage, cells (n, 3) -> target rows (n, 17).

    Heat is 1 in the cell nearest to a face's centre and falls off around it (Law and Deng 2018, CornerNet; Zhou et al.
    2019, Objects as Points), on every stride that answers for the face's size; box and landmarks stand in all cells
    with heat, encoded as `edge.vision.detect.decode` reads them. The heat of what only may be a face is as much less as it is
    less likely, and beneath that of faces; places of which nothing is known weigh nothing.
    """
    rows = np.zeros((len(at), COLUMNS), np.float32)
    rows[:, 15] = 1
    x, y, stride = at.T
    known = collage.likely > 0
    for left, top, width, height in collage.boxes[~known]:
        rows[(x > left) & (x < left + width) & (y > top) & (y < top + height), 15] = 0
    boxes, landmarks, likely = collage.boxes[known], collage.landmarks[known], collage.likely[known]
    order = np.lexsort((-boxes[:, 2:].prod(1), likely))  # the likelier, then the smaller face comes later: it stays
    for (left, top, width, height), points, chance in zip(boxes[order], landmarks[order], likely[order], strict=True):
        side = max(width, height)
        middle = np.array([left + width / 2, top + height / 2])
        distance = np.hypot(x - middle[0], y - middle[1]) / stride
        heat = np.exp(-((distance / (0.12 * side / stride + 0.45)) ** 2) / 2)
        for level, (low, high) in SIDES.items():
            if not low <= side < high:
                continue
            here = stride == level
            nearest = np.flatnonzero(here)[distance[here].argmin()]
            heat[nearest] = 1.0
            mine = here & (heat > FAINT) & (chance * heat >= rows[:, 0])
            rows[mine, 0] = chance * heat[mine]
            rows[mine, 15] = 1
            offset, scale = at[mine, :2], stride[mine, None]
            rows[mine, 1:3] = (middle - offset) / scale
            rows[mine, 3:5] = np.log(np.array([width, height]) / scale)
            seen = bool(np.isfinite(points).all())
            if seen:
                rows[mine, 5:15] = (points.reshape(1, 5, 2) - offset[:, None]).reshape(-1, 10) / scale
            rows[mine, 16] = seen
    return rows


@keras.saving.register_keras_serializable("facetally")
def loss(wanted: keras.KerasTensor, given: keras.KerasTensor) -> keras.KerasTensor:
    """Targets (n, cells, 17), outputs (n, cells, 15) -> one number: quality focal loss of the heat (Li et al. 2020),
    overlap and offsets of boxes, offsets of landmarks, each the mean over pictures of the mean over a picture's faces.

    With the mean over all faces four fifths of it were those of drawn crowds.
    """
    wanted, given = ops.cast(wanted, "float32"), ops.cast(given, "float32")
    heat, logit = wanted[..., 0], given[..., 0]
    share = 1 / ops.maximum(ops.sum(heat, -1, keepdims=True), 1.0)
    faces = share * heat
    total = ops.maximum(ops.sum(faces), 1.0)
    surprise = ops.square(ops.abs(heat - ops.sigmoid(logit)))
    entropy = ops.softplus(logit) - heat * logit
    score = ops.sum(share * surprise * entropy * wanted[..., 15]) / total
    box = ops.sum(faces * _box_loss(wanted[..., 1:5], given[..., 1:5])) / total
    points = ops.mean(_smooth(wanted[..., 5:15] - given[..., 5:15]) / ops.exp(wanted[..., 3:4]), -1)
    known = faces * wanted[..., 16]
    place = ops.sum(known * points) / ops.maximum(ops.sum(known), 1.0)
    return 4.0 * score + 2.0 * box + 4.0 * place


def _box_loss(wanted: keras.KerasTensor, given: keras.KerasTensor) -> keras.KerasTensor:
    """Encoded boxes (..., 4) twice -> 1 - intersection over union, plus the encodings' own distance."""
    sides, other = ops.exp(wanted[..., 2:]), ops.exp(ops.clip(given[..., 2:], -6.0, 6.0))
    low = ops.maximum(wanted[..., :2] - sides / 2, given[..., :2] - other / 2)
    high = ops.minimum(wanted[..., :2] + sides / 2, given[..., :2] + other / 2)
    shared = ops.prod(ops.maximum(high - low, 0.0), -1)
    union = ops.prod(sides, -1) + ops.prod(other, -1) - shared
    distance = ops.concatenate([(wanted[..., :2] - given[..., :2]) / sides, wanted[..., 2:] - given[..., 2:]], -1)
    return 1 - shared / (union + 1e-6) + ops.mean(_smooth(distance), -1)


def _smooth(x: keras.KerasTensor) -> keras.KerasTensor:
    """Quadratic near zero, linear beyond one tenth (Girshick 2015, smooth L1)."""
    size = ops.abs(x)
    return ops.where(size < 0.1, 5 * ops.square(size), size - 0.05)
