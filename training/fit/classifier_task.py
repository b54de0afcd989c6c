"""The expression classifier: prepare its data, train and evaluate it."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import keras
import numpy as np

from base.errors import SettingsError
from contract.card import ClassifierCard
from edge.vision import bundle
from training.data import face_cache, fer2013, photographs
from training.data.face_cache import Faces
from training.data.fer2013 import OnBroken
from training.evaluate import classifier_metrics, classifier_report
from training.evaluate.contact_sheet import captioned, sheet
from training.fit import distil, front
from training.fit.classifier_batches import Batches
from training.fit.loop import Validation, build_with_precision, jit_compile, schedule, train
from training.fit.prefetch import BatchPrefetcher
from training.networks import architectures
from training.recipe import ClassifierRecipe

PREVIEW = 24
"""Images of the first batch in ``preview.png``."""


class ClassifierTask:
    """Prepares, trains and evaluates a `ClassifierRecipe`."""

    def __init__(self, recipe: ClassifierRecipe) -> None:
        self._recipe = recipe

    def prepare(self, data: Path, run: Path, broken: OnBroken) -> None:
        """Read FER2013, FER+ and labelled images, as far as they exist; write ``cache.npz`` and ``prepared.html``."""
        fer, photos = fer2013.read(data / "fer2013", broken), photographs.read(data, broken)
        if not len(fer.part) and not len(photos.part):
            expected = "fer2013/, scenes.zip, labels.csv, train/LABEL/ or test/LABEL/"
            raise SettingsError(f"{data}: must hold {expected}; holds none of them")
        face_cache.write(run / "cache.npz", fer, photos)
        classifier_report.prepared(run, fer, photos)

    def train(self, run: Path) -> None:
        """Train on the training part of the cache and write ``run/model.keras``.

        If the recipe says so, the front is trained first in ``run/front``, and the last layer in ``run/head``.
        """
        recipe = self._recipe
        recipe.save_to(run)
        part = Faces.load(run / "cache.npz", recipe, "train")
        validation = self._validation(run)
        head_steps = 0 if recipe.start else recipe.frozen_steps
        with BatchPrefetcher(Batches(part, recipe, distil.distilled_targets(part, recipe))) as batches:
            self._preview(run, batches(0))
            on_views = recipe.teachers and recipe.teacher_input == "views"
            finish = distil.ViewTeachers(recipe) if on_views else distil.without_teachers
            if head_steps:
                train(lambda: self._make_head(run, batches), batches, head_steps, run / "head", finish=finish)
            train(lambda: self._make(run, batches), batches, recipe.steps, run, validation, finish)

    def evaluate(self, run: Path, card: Path | None, beside: Sequence[Path]) -> None:
        """Measure the float model, and a card's int8 model, on the test set; write ``report.html``."""
        classifier_report.evaluate(self._recipe, run, card, beside)

    def _validation(self, run: Path) -> Validation | None:
        """Accuracy, macro recall and loss on the validation set; None if the data have none."""
        try:
            faces = Faces.load(run / "cache.npz", self._recipe, "validation")
        except SettingsError:
            if self._recipe.patience:
                raise
            return None
        crops, targets = np.concatenate(faces.crops(self._recipe)), faces.targets
        known = targets.sum(1) > 0

        def metrics(model: keras.Model) -> dict[str, float]:
            return classifier_metrics.validation(classifier_metrics.logits(model, crops[known]), targets[known])

        return Validation(metrics, self._recipe.patience)

    def _preview(self, run: Path, batch: distil.Batch) -> None:
        """Write ``preview.png``: augmented images of a batch with their likeliest label and its probability."""
        labels = list(self._recipe.labels)
        rows = list(zip(batch[0][:PREVIEW, ..., 0], batch[1][:PREVIEW], strict=True))
        tiles = [captioned(face, [labels[int(row.argmax())], f"{row.max():.0%}"], 120) for face, row in rows]
        cv2.imwrite(str(run / "preview.png"), sheet(tiles, 8))

    def _make_head(self, run: Path, batches: BatchPrefetcher) -> keras.Model:
        """A new model of which only the last layer is trained."""
        model = self._new(run, batches)
        for layer in model.layers:
            layer.trainable = layer.name == "logits"
        return self._compiled(model, self._recipe.frozen_steps)

    def _make(self, run: Path, batches: BatchPrefetcher) -> keras.Model:
        """The model to train: a new one, the one whose last layer was trained, or ``start``."""
        recipe = self._recipe
        start = Path(recipe.start) if recipe.start else None
        if start and start.suffix == ".json":
            model = build_with_precision(recipe.precision, lambda: architectures.build_classifier(recipe))
            bundle.load(start, ClassifierCard)  # raises BundleError if the file is damaged or not the card's
            from training.networks.from_bundle import load_bundle_weights  # noqa: PLC0415 (TensorFlow may be missing with JAX)

            load_bundle_weights(model, start.with_suffix(".tflite"), batches(0)[0])
        elif start:
            recipe.require_same("model.start", start, "width", "labels", "network", "upscale", "front", "precision")
            model = architectures.load_model(start / "model.keras")
        elif recipe.frozen_steps:
            model = architectures.load_model(run / "head" / "model.keras")
        else:
            model = self._new(run, batches)
        for layer in model.layers:
            layer.trainable = True
        return self._compiled(model, recipe.steps)

    def _new(self, run: Path, batches: BatchPrefetcher) -> keras.Model:
        """A model with new weights; its front is trained first if the recipe says so."""
        recipe = self._recipe
        if recipe.front_steps or recipe.front_teacher:
            return front.train_front(recipe, batches, run / "front")
        return build_with_precision(recipe.precision, lambda: architectures.build_classifier(recipe))

    def _compiled(self, model: keras.Model, steps: int) -> keras.Model:
        recipe = self._recipe
        optimiser = keras.optimizers.AdamW(
            schedule(recipe.peak_rate, steps),
            weight_decay=recipe.weight_decay,
            use_ema=True,
            ema_momentum=recipe.ema,
        )
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(optimiser, loss, jit_compile=jit_compile(steps))
        return model
