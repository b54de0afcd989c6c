"""Training batches of the expression classifier: class-balanced sampling, augmentation and mixup."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.augment.lighting import degrade
from training.data.face_cache import Faces, crop_ratio
from training.data.label_targets import Floats
from training.fit.distil import Batch
from training.recipe import ClassifierRecipe

Grey = NDArray[np.uint8]


class Batches:
    """Makes the batch of a step: pixels (n, side, side, 1) uint8, targets (n, labels) and teacher weights (n, 1).

    The same step always gives the same batch.
    """

    def __init__(self, part: Faces, recipe: ClassifierRecipe, targets: Floats) -> None:
        """``targets`` (n + m, labels) are those of FER2013's faces and labelled images, with or without teachers."""
        self._faces, self._recipe, self._targets = part, recipe, targets
        self._fer_probabilities = _sampling_probabilities(part.fer_targets, recipe.balance)
        self._photo_probabilities = _sampling_probabilities(part.photo_targets, recipe.balance)
        self._photo_fraction = recipe.photo_fraction if self._fer_probabilities is not None else 1.0
        if self._photo_probabilities is None:
            self._photo_fraction = 0.0

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        recipe, part = self._recipe, self._faces
        rng = np.random.default_rng((recipe.seed, step))
        photos = int(rng.binomial(recipe.batch, self._photo_fraction))
        fer_rows = _sample(rng, recipe.batch - photos, self._fer_probabilities)
        photo_rows = _sample(rng, photos, self._photo_probabilities)
        side, strength = recipe.width, recipe.augment_strength
        pixels = [augment_face(rng, part.fer[row], side, 1.0, strength) for row in fer_rows]
        pixels += [augment_face(rng, part.photos[row], side, crop_ratio(recipe), strength) for row in photo_rows]
        weights = np.repeat([[recipe.teacher_weight], [recipe.photo_teacher_weight]], [len(fer_rows), photos], axis=0)
        targets = self._targets[np.concatenate([fer_rows, photo_rows + len(part.fer)])]
        batch = np.stack(pixels)[..., None], targets, weights.astype(np.float32)
        return mix_up(rng, batch, recipe.mixup) if recipe.mixup else batch


def mix_up(rng: Generator, batch: Batch, alpha: float) -> Batch:
    """Blend each face of a batch, its target and its teacher weight with another's (Zhang et al. 2018)."""
    count = len(batch[0])
    other, ratio = rng.permutation(count), rng.beta(alpha, alpha, (count, 1)).astype(np.float32)
    pixels, targets, weights = batch
    blend = ratio[..., None, None]
    pixels = np.round(blend * pixels + (1 - blend) * pixels[other]).astype(np.uint8)
    targets, weights = (ratio * each + (1 - ratio) * each[other] for each in (targets, weights))
    return pixels, targets, weights


def _sampling_probabilities(targets: Floats, balance: float) -> NDArray[np.float64] | None:
    """Probability (n,) of drawing each row of targets (n, labels): rows of rare labels more often, rows of zeros never.

    None if all rows are zero.
    """
    if not targets.any():
        return None
    frequency = targets.mean(0) + 1e-6
    weight = (targets * frequency**-balance).sum(1).astype(np.float64)
    return weight / weight.sum()


def _sample(rng: Generator, count: int, probabilities: NDArray[np.float64] | None) -> NDArray[np.intp]:
    if probabilities is None:
        return np.zeros(0, np.intp)
    return rng.choice(len(probabilities), count, p=probabilities)


def augment_face(
    rng: Generator, face: Grey, side: int, ratio: float, strength: float = 1.0, occlusion: float = 0.25
) -> Grey:
    """Augment a face (h, h) to (side, side): scale, rotation, mirroring, shift, resolution, light, occlusion.

    ``ratio`` is the side of the device's crop as a fraction of the face's; ``strength`` (0 to 1) scales how far and how
    often the result differs. ``occlusion`` is the probability of an occlusion.
    """
    scale = side / (len(face) * ratio) * np.exp(rng.normal(0, 0.08 * strength))
    angle = rng.normal(0, 0.14 * strength)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    mirror = -1 if rng.random() < 0.5 else 1
    matrix = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    middle, shift = (len(face) - 1) / 2, rng.normal(0, 0.04 * strength, 2) * side
    move = (side - 1) / 2 + shift - matrix @ [middle, middle]
    crop = cv2.warpAffine(face, np.column_stack([matrix, move]), (side, side), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.2 * strength:
        crop = _lower_resolution(rng, crop)
    crop = degrade(rng, crop, 0.6 * strength)
    if rng.random() < occlusion * strength:
        _occlude(rng, crop)
    return crop


def _lower_resolution(rng: Generator, face: Grey) -> Grey:
    """The face at the resolution it would have further from the camera."""
    small = int(rng.integers(20, len(face)))
    return cv2.resize(cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA), face.shape)


def _occlude(rng: Generator, face: Grey) -> None:
    """Draw a rectangle of one grey level (Zhong et al. 2020, random erasing), or cover all below the nose like a
    mask.
    """
    side = len(face)
    if rng.random() < 0.2:
        face[round(side * rng.uniform(0.5, 0.65)) :] = rng.integers(256)
        return
    height, width = (rng.uniform(0.15, 0.4, 2) * side).astype(int)
    top, left = int(rng.integers(side - height)), int(rng.integers(side - width))
    face[top : top + height, left : left + width] = rng.integers(256)
