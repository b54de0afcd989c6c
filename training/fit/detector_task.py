"""The face detector: prepare its data, train and evaluate it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from base.errors import SettingsError
from contract.card import DetectorCard
from contract.errors import BundleError
from edge.vision import bundle
from edge.vision.detect import Detector
from training.augment.collage import CollageSampler
from training.data import detector_data, everyday_images, hard_negatives, labelled_images
from training.data.fer2013 import OnBroken
from training.data.labelled_images import BOX, Floats, LabelledImage
from training.data.pseudo_labels import Teacher
from training.evaluate import detector_metrics, detector_report, float_model
from training.evaluate.contact_sheet import GREEN, RED, boxed, sheet
from training.fit import box_size
from training.fit.detector_targets import Batches, loss
from training.fit.loop import Validation, build_with_precision, jit_compile, save, schedule, train
from training.fit.prefetch import Batch, BatchPrefetcher
from training.fit.recalibrate import recalibrate_batch_norm
from training.networks.architectures import LEVELS_BEFORE_2, face_detector, load_model, with_input_size
from training.networks.grow import grow_detector
from training.recipe import DetectorRecipe

VALIDATED = 200
"""Most images on which validation metrics are measured each epoch."""
PREVIEW = 12
"""Images of the first batch in ``preview.png``."""


class DetectorTask:
    """Prepares, trains and evaluates a `DetectorRecipe`."""

    def __init__(self, recipe: DetectorRecipe) -> None:
        self._recipe = recipe

    def prepare(self, data: Path, run: Path, broken: OnBroken) -> None:
        """Read ``scenes.zip``, ``diverse.zip`` and their lists; write ``cache.npz``."""
        teacher = Teacher(Path(self._recipe.teacher)).faces if self._recipe.teacher else None
        cards = [bundle.load(Path(card), DetectorCard) for card in self._recipe.mine_with]
        detectors = [Detector(each, hard_negatives.MIN_SCORE).detect for each in cards]
        heads = dict(_heads_from_behind(data)) if self._recipe.mine_heads else {}

        def with_negatives(scene: LabelledImage) -> LabelledImage:
            mined = hard_negatives.mine(detectors, scene)
            if scene.held_out or scene.name not in heads:
                return mined
            return replace(mined, mined=np.concatenate([mined.mined, heads[scene.name]]))

        detector_data.prepare(data, run / "cache.npz", broken, teacher, with_negatives)

    def train(self, run: Path) -> None:
        """Train on the training part of the cache and write ``run/model.keras``."""
        recipe = self._recipe
        recipe.save_to(run)
        part, held = labelled_images.split(list(labelled_images.read(run / "cache.npz")))
        size = (recipe.height, recipe.width)
        collages = CollageSampler(
            part, mined_fraction=recipe.mined_fraction, large_face_fraction=recipe.large_face_fraction
        )
        drawing = Batches(collages, size, recipe.batch, recipe.seed)
        with BatchPrefetcher(drawing) as batches:
            _preview(run, drawing)
            model = train(lambda: self._make(batches), batches, recipe.steps, run, self._validation(held))
        box_size.fit(model, part, size)
        save(model, run / "model.keras")

    def evaluate(self, run: Path, card: Path | None, beside: Sequence[Path]) -> None:
        """Measure the float model, or a card's int8 model, on the validation set; write the report.

        Files: ``report.json``, ``report.png`` with precision over recall, ``worst.png`` with the worst images.
        """
        if beside:
            raise SettingsError("--beside: must be omitted for a detector, is for classifiers")
        recipe = self._recipe
        _, held = labelled_images.split(list(labelled_images.read(run / "cache.npz")))
        if card:
            loaded = bundle.load(card, DetectorCard)
            detector, threshold = Detector(loaded, detector_metrics.MIN_SCORE), loaded.card.threshold
        else:
            model = with_input_size(load_model(run / "model.keras"), recipe.height, recipe.width)
            detector = float_model.float_detector(model, recipe.width, recipe.height)
            threshold = detector_metrics.choose_threshold(detector.detect, held)
        detector_report.write_figures(run, detector_metrics.figures(detector.detect, held, threshold))
        detector_report.draw_precision_recall(run, detector_metrics.curves(detector.detect, held))
        labelled = detector_metrics.hand_labelled(held)
        detector_report.draw_worst(run, detector_metrics.detect_all(detector.detect, labelled))

    def _validation(self, held: Sequence[LabelledImage]) -> Validation | None:
        """Average precision and recall on the hand-labelled images held out, or on photographs; None without both."""
        scenes = (detector_metrics.hand_labelled(held) or detector_metrics.photographs(held))[:VALIDATED]
        width, height = self._recipe.width, self._recipe.height
        if not scenes:
            return None
        fixed_size: list[keras.Model] = []  # built once, after the workers are forked, and compiled once

        def metrics(model: keras.Model) -> dict[str, float]:
            if not fixed_size:
                fixed_size.append(face_detector(height, width))
            fixed_size[0].set_weights(model.get_weights())
            detector = float_model.float_detector(fixed_size[0], width, height)
            return detector_metrics.validation(detector.detect, scenes)

        return Validation(metrics, averaged=False)

    def _make(self, batches: Callable[[int], Batch]) -> keras.Model:
        """The model to train, with its initial weights."""
        recipe = self._recipe
        keras.utils.set_random_seed(recipe.seed)
        model = build_with_precision(recipe.precision, face_detector)
        start = Path(recipe.start) if recipe.start else None
        if start and recipe.average_of:
            raise SettingsError("model.start and model.average_of: only one of them may be set, are both")
        if start and start.suffix == ".json":
            bundle.load(start, DetectorCard)  # raises BundleError if the file is damaged or not the card's
            _load_bundle(model, start.with_suffix(".tflite"), batches(0)[0])
        elif start:
            model.set_weights(load_model(start / "model.keras").get_weights())
        elif recipe.average_of:
            model.set_weights(_average(recipe.average_of, [each.shape for each in model.get_weights()]))
            recalibrate_batch_norm(model, batches)
        for layer in model.layers:
            layer.trainable = not recipe.boxes_only or layer.name.startswith("boxes")
        rate = schedule(recipe.peak_rate, recipe.steps)
        optimiser = keras.optimizers.AdamW(
            rate, weight_decay=recipe.weight_decay, use_ema=True, ema_momentum=recipe.ema, clipnorm=10.0
        )
        model.compile(optimiser, loss, jit_compile=jit_compile(recipe.steps))
        return model


def _heads_from_behind(data: Path) -> Iterator[tuple[str, Floats]]:
    """Names of the images with hand-drawn heads seen from behind, and their boxes (n, 4)."""
    if (data / everyday_images.FACES).exists():
        table = pd.read_csv(data / everyday_images.FACES)
        for name, rows in table[table.kind == "head"].groupby("image"):
            yield str(name), rows[BOX].to_numpy(np.float32)


def _preview(run: Path, batches: Batches) -> None:
    """Write ``preview.png``: collages of the first batch, with faces in green and doubtful ones in red."""
    tiles = [
        boxed(each.pixels, [(each.boxes[each.confidence == 1], GREEN), (each.boxes[each.confidence < 1], RED)], 320)
        for each in batches.collages(0)[:PREVIEW]
    ]
    cv2.imwrite(str(run / "preview.png"), sheet(tiles, 4))


def _load_bundle(model: keras.Model, file: Path, pixels: NDArray[np.uint8]) -> None:
    """Load the weights of a bundle's file into a new model; those of the smaller network of bundles 1.x are grown."""
    from training.networks.from_bundle import load_bundle_weights  # noqa: PLC0415 (TensorFlow may be missing with JAX)

    try:
        load_bundle_weights(model, file, pixels)
    except BundleError:
        small = face_detector(detail=LEVELS_BEFORE_2)
        load_bundle_weights(small, file, pixels)
        grow_detector(small, model, LEVELS_BEFORE_2)


def _average(weight_of: dict[str, float], shapes: list[tuple[int, ...]]) -> list[Floats]:
    """The weighted mean of the weights of runs or snapshots; SettingsError if one has other shapes."""
    paths = [path / "model.keras" if path.is_dir() else path for path in map(Path, weight_of)]
    weights = [load_model(path).get_weights() for path in paths]
    for path, arrays in zip(paths, weights, strict=True):
        if [each.shape for each in arrays] != shapes:
            raise SettingsError(f"model.average_of: {path} must be a run of the same network, has other weights")
    return [np.average(each, axis=0, weights=list(weight_of.values())) for each in zip(*weights, strict=True)]
