"""The expression classifier: faces with votes -> cache -> model -> report."""

from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from contract.card import Crop
from contract.errors import SettingsError
from training import fer, measure, networks, report
from training.faces import Faces
from training.light import spoil
from training.loop import schedule, train
from training.recipe import ClassifierRecipe

BALANCE = 0.4
"""A class is drawn in proportion to its frequency to the power of 1 minus this (0: as it comes, 1: all alike)."""


class Batches:
    """Step -> a batch (pixels (n, side, side, 1) uint8, targets (n, labels) float32); the same step, the same batch."""

    def __init__(self, faces: Faces, recipe: ClassifierRecipe) -> None:
        self._faces, self._recipe = faces, recipe
        self._chances = (_chances(faces.fer_targets), _chances(faces.photo_targets))

    def __call__(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The batch of a step, by random numbers of seed and step alone."""
        recipe, faces = self._recipe, self._faces
        rng = np.random.default_rng((recipe.seed, step))
        photos = int(rng.binomial(recipe.batch, recipe.photo_share))
        fer_rows = rng.choice(len(faces.fer), recipe.batch - photos, p=self._chances[0])
        photo_rows = rng.choice(len(faces.photos), photos, p=self._chances[1])
        pixels = [vary(rng, faces.fer[row], recipe.width, 1.0) for row in fer_rows]
        tight = (1 + 2 * recipe.margin) / (1 + 2 * fer.PHOTO_MARGIN)
        pixels += [vary(rng, faces.photos[row], recipe.width, tight) for row in photo_rows]
        targets = np.concatenate([faces.fer_targets[fer_rows], faces.photo_targets[photo_rows]])
        return np.stack(pixels)[..., None], targets


def _chances(targets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Soft labels (n, labels) -> how likely each row is drawn: rare classes more often, rows of zeros never."""
    frequency = targets.mean(0) + 1e-6
    chance = (targets * frequency**-BALANCE).sum(1).astype(np.float64)
    return chance / chance.sum()


def vary(rng: Generator, face: NDArray[np.uint8], side: int, share: float) -> NDArray[np.uint8]:
    """A face (h, h) -> one of ``side`` as the device might have cut and seen it; ``share`` of it is the crop."""
    scale = side / (len(face) * share) * np.exp(rng.normal(0, 0.08))
    angle = rng.normal(0, 0.14)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    mirror = -1 if rng.random() < 0.5 else 1
    matrix = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    middle, shift = (len(face) - 1) / 2, rng.normal(0, 0.04, 2) * side
    move = (side - 1) / 2 + shift - matrix @ [middle, middle]
    cut = cv2.warpAffine(face, np.column_stack([matrix, move]), (side, side), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.2:
        cut = _coarser(rng, cut)
    cut = spoil(rng, cut, 0.6)
    if rng.random() < 0.25:
        _cover(rng, cut)
    return cut


def _coarser(rng: Generator, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The face as it would be from further away."""
    small = int(rng.integers(20, len(face)))
    return cv2.resize(cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA), face.shape)


def _cover(rng: Generator, face: NDArray[np.uint8]) -> None:
    """A rectangle of one grey level over a part of the face (Zhong et al. 2020, random erasing)."""
    side = len(face)
    height, width = (rng.uniform(0.15, 0.4, 2) * side).astype(int)
    top, left = int(rng.integers(side - height)), int(rng.integers(side - width))
    face[top : top + height, left : left + width] = rng.integers(256)


class ExpressionTask:
    """How a `ClassifierRecipe` is prepared, trained and evaluated."""

    def __init__(self, recipe: ClassifierRecipe) -> None:
        self._recipe = recipe

    def prepare(self, data: Path, run: Path) -> None:
        """FER2013, FER+ and photographs -> ``run/cache.npz``."""
        fer.prepare(data, run / "cache.npz")

    def train(self, run: Path) -> None:
        """The cache's training part -> ``run/model.keras``."""
        self._recipe.keep(run)
        faces = Faces(run / "cache.npz", self._recipe, "train")
        train(self._make, Batches(faces, self._recipe), self._recipe.steps, run)

    def _make(self) -> keras.Model:
        recipe = self._recipe
        keras.utils.set_random_seed(recipe.seed)
        model = self._network()
        rate = schedule(recipe.peak_rate, recipe.steps)
        optimiser = keras.optimizers.AdamW(
            rate, weight_decay=recipe.weight_decay, use_ema=True, ema_momentum=recipe.ema
        )
        model.compile(optimiser, keras.losses.CategoricalCrossentropy(from_logits=True))
        return model

    def _network(self) -> keras.Model:
        recipe = self._recipe
        if recipe.network == "cnn":
            return networks.cnn(recipe.width, len(recipe.labels))
        if recipe.backbone is None:
            raise SettingsError("model.backbone: network 'transfer' needs the path of a backbone (NAME.npz)")
        return networks.transfer(recipe.width, len(recipe.labels), Path(recipe.backbone))

    def evaluate(self, run: Path) -> None:
        """The test part and the float model -> ``run/report.json``, confusion matrices, the worst faces."""
        recipe, labels = self._recipe, list(self._recipe.labels)
        faces = Faces(run / "cache.npz", recipe, "test")
        model = keras.saving.load_model(run / "model.keras", compile=False)
        rule = Crop(margin=recipe.margin, align=recipe.align)
        exact = measure.float_classifier(model, measure.draft_classifier(labels, recipe.width, recipe.height, rule))
        sets = measure.answers(exact.probabilities, faces, recipe)
        report.figures(run, measure.classifier_figures(sets))
        report.confusions(run, sets, labels)
        report.worst_faces(run, faces.crops(recipe)[1][faces.photo_targets.sum(1) > 0], sets["photos"], labels)
