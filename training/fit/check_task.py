"""The face check: prepare its data, train and evaluate it."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import keras
import numpy as np

from base.errors import SettingsError
from contract.card import CheckCard, DetectorCard
from edge.vision import bundle
from edge.vision.crop import crop_face
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck
from training.data import check_candidates, check_labels, everyday_images, scene_images
from training.data.check_candidates import Candidates
from training.data.fer2013 import OnBroken
from training.data.labelled_images import no_labels
from training.data.pseudo_labels import Teacher
from training.evaluate import check_metrics, check_report, float_model
from training.evaluate.contact_sheet import captioned, sheet
from training.fit.check_batches import Batches, logit, loss
from training.fit.loop import Validation, build_with_precision, jit_compile, schedule, train
from training.fit.prefetch import Batch, BatchPrefetcher
from training.networks.architectures import copy_trunk, face_check, face_detector, in_float32, load_model
from training.recipe import CheckRecipe, DetectorRecipe, read_run_recipe

VALIDATED = 2000
"""Most held-out detections on which validation metrics are measured each epoch."""
PREVIEW = 24
"""Detections of the first batch in ``preview.png``."""


class CheckTask:
    """Prepares, trains and evaluates a `CheckRecipe`."""

    def __init__(self, recipe: CheckRecipe) -> None:
        """SettingsError if the network cannot have the recipe's input size."""
        if recipe.width != recipe.height or recipe.width % 32:
            size = f"{recipe.width} and {recipe.height}"
            raise SettingsError(
                f"model.width and model.height: must be one multiple of 32 for a face check, are {size}"
            )
        self._recipe = recipe

    def prepare(self, data: Path, run: Path, broken: OnBroken) -> None:
        """Detect faces in the images of ``scenes.zip`` and ``diverse.zip``, label them, and write ``cache.npz``."""
        teacher = Teacher(Path(self._recipe.teacher)).place_scores if self._recipe.teacher else None
        cards = [bundle.load(bundle.card_path(name), DetectorCard) for name in self._recipe.detectors]
        detectors = [Detector(each, check_candidates.MIN_SCORE).detect for each in cards]
        readers = (reader.read(data, broken, lambda _: no_labels()) for reader in (scene_images, everyday_images))
        images = itertools.chain.from_iterable(readers)
        candidates = check_candidates.collect(images, detectors, check_labels.read_drawn_heads(data), teacher)
        check_candidates.write(run / "cache.npz", candidates, [each.card.threshold for each in cards])

    def train(self, run: Path) -> None:
        """Train on the training part of the cache and write ``run/model.keras``."""
        recipe = self._recipe
        recipe.save_to(run)
        part, held = (check_candidates.read(run / "cache.npz", held_out=each) for each in (False, True))
        with BatchPrefetcher(Batches(part, recipe)) as batches:
            _preview(run, batches(0))
            train(lambda: self._make(batches), batches, recipe.steps, run, self._validation(held))

    def evaluate(self, run: Path, card: Path | None, beside: Sequence[Path]) -> None:
        """Measure the float model, or a card's int8 model, on held-out detections; write the report.

        Files: ``report.json``, ``report.png`` with ROC curves, ``worst.png`` with the worst errors.
        """
        if beside:
            raise SettingsError("--beside: must be omitted for a face check, is for classifiers")
        held = check_candidates.read(run / "cache.npz", held_out=True)
        if card:
            check = FaceCheck(bundle.load(card, CheckCard))
        else:
            model = in_float32(load_model(run / "model.keras"))
            check = float_model.float_check(model, float_model.draft_check(self._recipe))
        check_report.write(run, held, check_metrics.face_scores(check, held))

    def _validation(self, held: Candidates) -> Validation | None:
        """Areas under the ROC curve on held-out detections, as the loss combines output and score; None without any."""
        recipe = self._recipe
        chosen = held.rows(np.random.default_rng(recipe.seed).permutation(len(held))[:VALIDATED])
        rule = float_model.draft_check(recipe).crop
        crops = [
            crop_face(chosen.crop(row), chosen.in_crop(row), rule, (recipe.height, recipe.width))
            for row in range(len(chosen))
        ]
        if not any(".auc" in name for name in check_metrics.figures(chosen, chosen.score)):
            return None
        pixels, offset = np.stack(crops)[..., None].astype(np.float32), recipe.score_weight * logit(chosen.score)

        def metrics(model: keras.Model) -> dict[str, float]:
            values = np.asarray(model.predict(pixels, batch_size=recipe.batch, verbose=0))[:, 0] + offset
            measured = check_metrics.figures(chosen, values)
            return {name.replace(".", "_"): value for name, value in measured.items() if ".auc" in name}

        return Validation(metrics, averaged=False)

    def _make(self, batches: Callable[[int], Batch]) -> keras.Model:
        """The model to train, with its initial weights."""
        recipe = self._recipe
        keras.utils.set_random_seed(recipe.seed)
        model = build_with_precision(recipe.precision, lambda: face_check(recipe.width))
        if recipe.start:
            copy_trunk(_detector(Path(recipe.start), batches), model)
        optimiser = keras.optimizers.AdamW(
            schedule(recipe.peak_rate, recipe.steps),
            weight_decay=recipe.weight_decay,
            use_ema=True,
            ema_momentum=recipe.ema,
        )
        model.compile(optimiser, loss, jit_compile=jit_compile(recipe.steps))
        return model


def _detector(start: Path, batches: Callable[[int], Batch]) -> keras.Model:
    """The detector of a card or of a run; SettingsError if the run is of another task."""
    if start.suffix == ".json":
        from training.networks.from_bundle import load_bundle_weights  # noqa: PLC0415 (TensorFlow may be missing with JAX)

        bundle.load(start, DetectorCard)  # raises BundleError if the file is damaged or not the card's
        detector = face_detector()
        load_bundle_weights(detector, start.with_suffix(".tflite"), batches(0)[0])
        return detector
    if not isinstance(read_run_recipe(start), DetectorRecipe):
        raise SettingsError(f"model.start: {start} must be the run of a detector, is of another task")
    return load_model(start / "model.keras")


def _preview(run: Path, batch: Batch) -> None:
    """Write ``preview.png``: augmented detections of a batch, faces and look-alikes, with their targets."""
    pixels, targets = batch
    rows = np.linspace(0, len(pixels) - 1, min(PREVIEW, len(pixels))).astype(int)
    tiles = [captioned(pixels[row, ..., 0], [f"{targets[row, 0]:.1f}"], 120) for row in rows]
    cv2.imwrite(str(run / "preview.png"), sheet(tiles, 8))
