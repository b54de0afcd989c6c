"""The expression classifier: faces with votes -> cache -> model -> report."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from base.errors import SettingsError
from contract.card import ClassifierCard
from edge.vision import bundle
from training.augment.lighting import degrade
from training.data import face_cache, fer2013, photographs
from training.data.face_cache import Faces, kept_share
from training.data.fer2013 import Broken
from training.data.label_targets import Floats
from training.evaluate import classifier_metrics, classifier_report
from training.fit import distil
from training.fit.loop import BatchPrefetcher, Judge, build_with_precision, schedule, train
from training.networks import architectures, stem
from training.recipe import ClassifierRecipe


class Batches:
    """Step -> a batch (pixels (n, side, side, 1) uint8, targets (n, labels) float32, how much of each target a teacher
    may have (n, 1)); the same step, the same batch.
    """

    def __init__(self, part: Faces, recipe: ClassifierRecipe, targets: Floats) -> None:
        self._faces, self._recipe, self._targets = part, recipe, targets
        self._chances = tuple(_chances(each, recipe.balance) for each in (part.fer_targets, part.photo_targets))
        self._photo_fraction = recipe.photo_fraction if self._chances[0] is not None else 1.0
        if self._chances[1] is None:
            self._photo_fraction = 0.0

    def __call__(self, step: int) -> distil.Batch:
        """The batch of a step, by random numbers of seed and step alone."""
        recipe, part = self._recipe, self._faces
        rng = np.random.default_rng((recipe.seed, step))
        photos = int(rng.binomial(recipe.batch, self._photo_fraction))
        fer_rows = _drawn(rng, recipe.batch - photos, self._chances[0])
        photo_rows = _drawn(rng, photos, self._chances[1])
        pixels = [vary(rng, part.fer[row], recipe.width, 1.0, recipe.vary) for row in fer_rows]
        pixels += [vary(rng, part.photos[row], recipe.width, kept_share(recipe), recipe.vary) for row in photo_rows]
        shares = np.repeat([[recipe.teacher_weight], [recipe.photo_teacher_weight]], [len(fer_rows), photos], axis=0)
        targets = self._targets[np.concatenate([fer_rows, photo_rows + len(part.fer)])]
        made = np.stack(pixels)[..., None], targets, shares.astype(np.float32)
        return _blended(rng, made, recipe.mixup) if recipe.mixup else made


def _blended(rng: Generator, batch: tuple[NDArray[np.uint8], Floats, Floats], alpha: float) -> distil.Batch:
    """A batch, each of its faces mixed with another."""
    count = len(batch[0])
    other, share = rng.permutation(count), rng.beta(alpha, alpha, (count, 1)).astype(np.float32)
    pixels, targets, shares = batch
    blend = share[..., None, None]
    pixels = np.round(blend * pixels + (1 - blend) * pixels[other]).astype(np.uint8)
    targets, shares = (share * each + (1 - share) * each[other] for each in (targets, shares))
    return pixels, targets, shares


def _chances(targets: Floats, balance: float) -> NDArray[np.float64] | None:
    """Soft labels (n, labels) -> how likely each row is drawn: rare classes more often, rows of zeros never; None if
    there is no other."""
    if not targets.any():
        return None
    frequency = targets.mean(0) + 1e-6
    chance = (targets * frequency**-balance).sum(1).astype(np.float64)
    return chance / chance.sum()


def _drawn(rng: Generator, count: int, chances: NDArray[np.float64] | None) -> NDArray[np.intp]:
    return np.zeros(0, np.intp) if chances is None else rng.choice(len(chances), count, p=chances)


def vary(rng: Generator, face: NDArray[np.uint8], side: int, share: float, strength: float = 1.0) -> NDArray[np.uint8]:
    """A face (h, h) -> one of ``side`` as the device might have cut and seen it; ``share`` of it is the crop, and
    ``strength`` says how far, and how often, it differs.
    """
    scale = side / (len(face) * share) * np.exp(rng.normal(0, 0.08 * strength))
    angle = rng.normal(0, 0.14 * strength)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    mirror = -1 if rng.random() < 0.5 else 1
    matrix = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    middle, shift = (len(face) - 1) / 2, rng.normal(0, 0.04 * strength, 2) * side
    move = (side - 1) / 2 + shift - matrix @ [middle, middle]
    cut = cv2.warpAffine(face, np.column_stack([matrix, move]), (side, side), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.2 * strength:
        cut = _coarser(rng, cut)
    cut = degrade(rng, cut, 0.6 * strength)
    if rng.random() < 0.25 * strength:
        _cover(rng, cut)
    return cut


def _coarser(rng: Generator, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The face as it would be from further away."""
    small = int(rng.integers(20, len(face)))
    return cv2.resize(cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA), face.shape)


def _cover(rng: Generator, face: NDArray[np.uint8]) -> None:
    """A rectangle of one grey level over a part of the face (Zhong et al. 2020, random erasing), or over all below the
    nose, as a mask is."""
    side = len(face)
    if rng.random() < 0.2:
        face[round(side * rng.uniform(0.5, 0.65)) :] = rng.integers(256)
        return
    height, width = (rng.uniform(0.15, 0.4, 2) * side).astype(int)
    top, left = int(rng.integers(side - height)), int(rng.integers(side - width))
    face[top : top + height, left : left + width] = rng.integers(256)


class ClassifierTask:
    """How a `ClassifierRecipe` is prepared, trained and evaluated."""

    def __init__(self, recipe: ClassifierRecipe) -> None:
        self._recipe = recipe

    def prepare(self, data: Path, run: Path, broken: Broken) -> None:
        """FER2013, FER+ and pictures with labels, as far as they are there -> ``run/cache.npz`` and what is in it."""
        of_fer, photos = fer2013.read(data / "fer2013", broken), photographs.read(data, broken)
        if not len(of_fer.part) and not len(photos.part):
            looked = "fer2013/, scenes.zip, labels.csv, train/LABEL/ and test/LABEL/"
            raise SettingsError(f"{data}: nothing to train on; looked for {looked}")
        face_cache.write(run / "cache.npz", of_fer, photos)
        classifier_report.prepared(run, of_fer, photos)

    def train(self, run: Path) -> None:
        """The cache's training part -> ``run/model.keras``; if the recipe says so, its front first in ``run/front``,
        and its head in ``run/head``.
        """
        recipe = self._recipe
        recipe.keep(run)
        part = Faces.of(run / "cache.npz", recipe, "train")
        judge = self._judge(run) if recipe.patience else None
        headed = 0 if recipe.start else recipe.frozen_steps
        with BatchPrefetcher(Batches(part, recipe, distil.taught(part, recipe))) as batches:
            finish = distil.Views(recipe) if recipe.teachers and recipe.teacher_input == "views" else distil.untaught
            if headed:
                train(lambda: self._make_head(run, batches), batches, headed, run / "head", finish=finish)
            train(lambda: self._make(run, batches), batches, recipe.steps, run, judge, finish)

    def _judge(self, run: Path) -> Judge:
        """Accuracy on the part split off for this."""
        tune = Faces.of(run / "cache.npz", self._recipe, "validation")
        crops, truth = np.concatenate(tune.crops(self._recipe)), tune.targets
        known = truth.sum(1) > 0

        def accuracy(model: keras.Model) -> float:
            answers = classifier_metrics.logits(model, crops[known]).argmax(1)
            return float((answers == truth[known].argmax(1)).mean())

        return Judge(accuracy, self._recipe.patience)

    def _make_head(self, run: Path, batches: BatchPrefetcher) -> keras.Model:
        """A new model of which only the head learns."""
        model = self._new(run, batches)
        for layer in model.layers:
            layer.trainable = layer.name == "logits"
        return self._compiled(model, self._recipe.frozen_steps)

    def _make(self, run: Path, batches: BatchPrefetcher) -> keras.Model:
        """The model to train, all of it: a new one, the one whose head was trained, or that of the run or bundle that
        the recipe starts from.
        """
        recipe = self._recipe
        start = Path(recipe.start) if recipe.start else None
        if start and start.suffix == ".json":
            model = build_with_precision(recipe.precision, lambda: architectures.of(recipe))
            bundle.load(start, ClassifierCard)  # refuses a file that is broken or not the card's
            from training.networks.from_bundle import begin  # noqa: PLC0415 (needs TensorFlow, which an accelerator may lack)

            begin(model, start.with_suffix(".tflite"), batches(0)[0])
        elif start or recipe.frozen_steps:
            if start:
                recipe.alike("model.start", start, "width", "labels", "network", "enlarge", "front", "precision")
            model = architectures.restored((start or run / "head") / "model.keras")
        else:
            model = self._new(run, batches)
        for layer in model.layers:
            layer.trainable = True
        return self._compiled(model, recipe.steps)

    def _compiled(self, model: keras.Model, steps: int) -> keras.Model:
        recipe = self._recipe
        optimiser = keras.optimizers.AdamW(
            schedule(recipe.peak_rate, steps),
            weight_decay=recipe.weight_decay,
            use_ema=True,
            ema_momentum=recipe.ema,
        )
        model.compile(optimiser, keras.losses.CategoricalCrossentropy(from_logits=True))
        return model

    def _new(self, run: Path, batches: BatchPrefetcher) -> keras.Model:
        """A model that nothing was learnt by yet but, if the recipe says so, its front."""
        recipe = self._recipe
        if recipe.front_steps or recipe.like:
            return stem.begun(recipe, batches, run / "front")
        return build_with_precision(recipe.precision, lambda: architectures.of(recipe))

    def evaluate(self, run: Path, card: Path | None, beside: Sequence[Path]) -> None:
        """The test part, the float model and, where a card is given, its int8 model -> ``run/report.html``."""
        classifier_report.evaluate(self._recipe, run, card, beside)
