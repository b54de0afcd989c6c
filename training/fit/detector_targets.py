"""Training batches of the face detector: collages, their target maps, and the loss."""

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from edge.vision.detect import grid_cells
from training.augment.collage import Collage, CollageSampler
from training.data.labelled_images import Floats

STRIDES = (8, 16, 32)
SIDES = {8: (0.0, 52.0), 16: (32.0, 116.0), 32: (80.0, 1e9)}
"""Range of the longer side of a face, pixels, that each stride detects; ranges overlap so that no size is left out."""
SCALES = (1.0, 0.8, 0.67, 0.5)
"""Image sizes in training, as fractions of the recipe's; one is drawn for each step. Small images cost less and teach
as much of small faces; large ones are needed for faces that fill the frame."""
MIN_HEAT = 0.3
"""Heat around the centre of a face below which it is 0."""
COLUMNS = 17
"""Columns of a target row: heat 1, box 4, landmarks 10, weight of the heat, weight of the landmarks."""


class Batches:
    """Makes the batch of a step: pixels (n, h, w, 1) uint8 and targets (n, cells, 17) float16.

    Height and width are multiples of 32 and vary from step to step; ``n`` grows as they shrink, so that every step
    costs about the same. The same step always gives the same batch.
    """

    def __init__(self, collages: CollageSampler, size: tuple[int, int], batch: int, seed: int) -> None:
        """``size`` is the largest (height, width), ``batch`` the number of images of that size."""
        self._collages, self._batch, self._seed = collages, batch, seed
        self._sizes = [(_multiple_of_32(size[0] * scale), _multiple_of_32(size[1] * scale)) for scale in SCALES]
        self._grids = [grid_cells(each, STRIDES) for each in self._sizes]

    def __call__(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """The batch of a step."""
        drawn, grid = self._draw(step)
        pixels = np.stack([collage.pixels for collage in drawn])[..., None]
        return pixels, np.stack([targets(collage, grid).astype(np.float16) for collage in drawn])

    def collages(self, step: int) -> list[Collage]:
        """The collages of a step's batch."""
        return self._draw(step)[0]

    def _draw(self, step: int) -> tuple[list[Collage], Floats]:
        rng = np.random.default_rng((self._seed, step))
        pick = int(rng.integers(len(SCALES)))
        size, grid = self._sizes[pick], self._grids[pick]
        count = round(self._batch * len(self._grids[0]) / len(grid))
        return [self._collages.draw(rng, size) for _ in range(count)], grid


def _multiple_of_32(side: float) -> int:
    return 32 * int(side // 32)


def targets(collage: Collage, grid: Floats) -> Floats:
    """Targets (cells, 17) of a collage for the cells of ``grid`` (cells, 3).

    Heat is 1 in the cell nearest to a face's centre and decays around it (Law and Deng 2018, CornerNet; Zhou et al.
    2019, Objects as Points), at every stride that detects the face's size. Cells with heat also hold box and landmarks,
    encoded as `edge.vision.detect.decode` expects. The heat of a doubtful face is multiplied by its likelihood. Cells
    inside a box of likelihood 0 have no weight.
    """
    rows = np.zeros((len(grid), COLUMNS), np.float32)
    rows[:, 15] = 1
    x, y, _ = grid.T
    known = collage.confidence > 0
    for left, top, width, height in collage.boxes[~known]:
        rows[(x > left) & (x < left + width) & (y > top) & (y < top + height), 15] = 0
    boxes, landmarks, confidence = collage.boxes[known], collage.landmarks[known], collage.confidence[known]
    order = np.lexsort(
        (-boxes[:, 2:].prod(1), confidence)
    )  # likelier, then smaller faces come last and overwrite others
    for box, points, likelihood in zip(boxes[order], landmarks[order], confidence[order], strict=True):
        _add_face(rows, grid, box, points, float(likelihood))
    return rows


def _add_face(rows: Floats, grid: Floats, box: Floats, points: Floats, likelihood: float) -> None:
    """Write one face into the target rows."""
    x, y, stride = grid.T
    (left, top, width, height), side = box, box[2:].max()
    middle = np.array([left + width / 2, top + height / 2])
    distance = np.hypot(x - middle[0], y - middle[1]) / stride
    heat = np.exp(-((distance / (0.12 * side / stride + 0.45)) ** 2) / 2)
    for level, (low, high) in SIDES.items():
        if not low <= side < high:
            continue
        here = stride == level
        nearest = np.flatnonzero(here)[distance[here].argmin()]
        heat[nearest] = 1.0
        mine = here & (heat > MIN_HEAT) & (likelihood * heat >= rows[:, 0])
        rows[mine, 0] = likelihood * heat[mine]
        rows[mine, 15] = 1
        offset, scale = grid[mine, :2], stride[mine, None]
        rows[mine, 1:3] = (middle - offset) / scale
        rows[mine, 3:5] = np.log(np.array([width, height]) / scale)
        has_landmarks = bool(np.isfinite(points).all())
        if has_landmarks:
            rows[mine, 5:15] = (points.reshape(1, 5, 2) - offset[:, None]).reshape(-1, 10) / scale
        rows[mine, 16] = has_landmarks


@keras.saving.register_keras_serializable("facetally")
def loss(wanted: keras.KerasTensor, given: keras.KerasTensor) -> keras.KerasTensor:
    """The loss, a scalar, of targets (n, cells, 17) and outputs (n, cells, 15).

    The sum of three terms: quality focal loss of the heat (Li et al. 2020), overlap and offset of the boxes, offset of
    the landmarks. Each is the mean over the faces of an image, then over the images. With the mean over all faces,
    four fifths of the loss would come from rendered crowds.
    """
    wanted, given = ops.cast(wanted, "float32"), ops.cast(given, "float32")
    heat, logit = wanted[..., 0], given[..., 0]
    image_weight = 1 / ops.maximum(ops.sum(heat, -1, keepdims=True), 1.0)
    faces = image_weight * heat
    total = ops.maximum(ops.sum(faces), 1.0)
    focus = ops.square(ops.abs(heat - ops.sigmoid(logit)))
    entropy = ops.softplus(logit) - heat * logit
    score = ops.sum(image_weight * focus * entropy * wanted[..., 15]) / total
    box = ops.sum(faces * _box_loss(wanted[..., 1:5], given[..., 1:5])) / total
    points = ops.mean(_smooth(wanted[..., 5:15] - given[..., 5:15]) / ops.exp(wanted[..., 3:4]), -1)
    known = faces * wanted[..., 16]
    place = ops.sum(known * points) / ops.maximum(ops.sum(known), 1.0)
    return 4.0 * score + 2.0 * box + 4.0 * place


def _box_loss(wanted: keras.KerasTensor, given: keras.KerasTensor) -> keras.KerasTensor:
    """1 minus the intersection over union of encoded boxes (..., 4), plus the distance of their encodings."""
    sides, other = ops.exp(wanted[..., 2:]), ops.exp(ops.clip(given[..., 2:], -6.0, 6.0))
    low = ops.maximum(wanted[..., :2] - sides / 2, given[..., :2] - other / 2)
    high = ops.minimum(wanted[..., :2] + sides / 2, given[..., :2] + other / 2)
    shared = ops.prod(ops.maximum(high - low, 0.0), -1)
    union = ops.prod(sides, -1) + ops.prod(other, -1) - shared
    distance = ops.concatenate([(wanted[..., :2] - given[..., :2]) / sides, wanted[..., 2:] - given[..., 2:]], -1)
    return 1 - shared / (union + 1e-6) + ops.mean(_smooth(distance), -1)


def _smooth(x: keras.KerasTensor) -> keras.KerasTensor:
    """Smooth L1 (Girshick 2015): quadratic below one tenth, linear above."""
    size = ops.abs(x)
    return ops.where(size < 0.1, 5 * ops.square(size), size - 0.05)
