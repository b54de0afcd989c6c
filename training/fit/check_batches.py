"""Training batches of the face check, half faces and half look-alikes, and its loss."""

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from training.data.check_candidates import CROP_SIZES, Candidates, Grey
from training.data.labelled_images import Floats
from training.fit.classifier_batches import augment_face
from training.recipe import CheckRecipe

SMOOTHING = 0.02
"""Label smoothing: targets are drawn so far towards one half (Szegedy et al. 2016)."""
MIN_NEGATIVE, MAX_POSITIVE = 0.03, 1.15
"""Look-alikes are drawn in proportion to this plus their score, faces in proportion to this minus their score: the
check is asked about detections that the detector is wrong about."""


class Batches:
    """Makes the batch of a step: pixels (n, side, side, 1) uint8 and targets (n, 2) float32.

    The columns of the targets are the target and the part of the output that the detector's score gives. The same step
    always gives the same batch.
    """

    def __init__(self, part: Candidates, recipe: CheckRecipe) -> None:
        self._part, self._recipe = part, recipe
        self._targets = np.column_stack([part.target, recipe.score_weight * logit(part.score)]).astype(np.float32)
        self._faces, self._others = np.flatnonzero(part.target > 0), np.flatnonzero(part.target == 0)
        self._face_probabilities = sampling_probabilities(part, self._faces, MAX_POSITIVE - part.score)
        self._other_probabilities = sampling_probabilities(part, self._others, MIN_NEGATIVE + part.score)

    def __call__(self, step: int) -> tuple[Grey, Floats]:
        """The batch of a step."""
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, step))
        half = recipe.batch // 2
        faces = rng.choice(self._faces, half, p=self._face_probabilities)
        others = rng.choice(self._others, recipe.batch - half, p=self._other_probabilities)
        rows, ratio = np.concatenate([faces, others]), crop_ratio(recipe)
        pixels = [augment_face(rng, self._part.crop(row), recipe.width, ratio, occlusion=0.0) for row in rows]
        return np.stack(pixels)[..., None], self._targets[rows]


def sampling_probabilities(part: Candidates, rows: NDArray[np.intp], factor: Floats) -> NDArray[np.float64]:
    """Probability of drawing each of the ``rows`` (m,), in proportion to its weight and ``factor`` (n,).

    It is divided by the square root of the number of rows from the same image: some crowds have dozens.
    """
    _, image, count = np.unique(part.image[rows], return_inverse=True, return_counts=True)
    weight = (part.weight[rows] * factor[rows] / np.sqrt(count[image])).astype(np.float64)
    return np.asarray(weight / weight.sum())


def crop_ratio(recipe: CheckRecipe) -> float:
    """Side of the network's crop as a fraction of that of a cached one."""
    return (1 + 2 * recipe.margin) / CROP_SIZES


def logit(score: Floats) -> Floats:
    """Inverse of the logistic function, for scores (n,) of 0 to 1."""
    clipped = np.clip(score, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


@keras.saving.register_keras_serializable("facetally")
def loss(wanted: keras.KerasTensor, given: keras.KerasTensor) -> keras.KerasTensor:
    """Binary cross-entropy, a scalar, of targets (n, 2) as of `Batches` and outputs (n, 1)."""
    wanted, given = ops.cast(wanted, "float32"), ops.cast(given, "float32")
    target = (1 - SMOOTHING) * wanted[:, 0] + SMOOTHING / 2
    value = given[:, 0] + wanted[:, 1]
    return ops.mean(ops.softplus(value) - target * value)
