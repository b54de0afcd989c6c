"""The face detector: scenes -> cache -> model -> report."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from contract.card import DetectorCard
from contract.errors import BundleError
from edge.vision import bundle
from edge.vision.detect import Detector
from training.data import hard_negatives, labelled_images
from training.data.fer2013 import Broken
from training.data.labelled_images import Floats
from training.data.pseudo_labels import Teacher
from training.evaluate import detector_metrics, detector_report, float_model
from training.fit import box_size
from training.fit.detector_targets import Batches, loss
from training.fit.loop import BatchPrefetcher, Batch, build_with_precision, save, schedule, settle, train
from training.networks.architectures import LEVELS_BEFORE_2, face_detector, restored, sized
from training.networks.grow import grow
from training.recipe import DetectorRecipe


class DetectorTask:
    """How a `DetectorRecipe` is prepared, trained and evaluated."""

    def __init__(self, recipe: DetectorRecipe) -> None:
        self._recipe = recipe

    def prepare(self, data: Path, run: Path, broken: Broken) -> None:
        """scenes.zip and its lists -> ``run/cache.npz``."""
        teacher = Teacher(Path(self._recipe.teacher)).faces if self._recipe.teacher else None
        cards = [bundle.load(Path(card), DetectorCard) for card in self._recipe.mine]
        finds = [Detector(each, hard_negatives.FOUND).detect for each in cards]
        labelled_images.prepare(
            data, run / "cache.npz", broken, teacher, lambda scene: hard_negatives.mine(finds, scene)
        )

    def train(self, run: Path) -> None:
        """The cache's training part -> ``run/model.keras``."""
        recipe = self._recipe
        recipe.keep(run)
        part, _ = labelled_images.split(list(labelled_images.read(run / "cache.npz")))
        with BatchPrefetcher(Batches(part, (recipe.height, recipe.width), recipe.batch, recipe.seed)) as batches:
            model = train(lambda: self._make(batches), batches, recipe.steps, run)
        box_size.fit(model, part, (recipe.height, recipe.width))
        save(model, run / "model.keras")

    def _make(self, batches: Callable[[int], Batch]) -> keras.Model:
        """The model to train: that of the run or bundle that the recipe starts from, or a new one."""
        recipe = self._recipe
        keras.utils.set_random_seed(recipe.seed)
        model = build_with_precision(recipe.precision, face_detector)
        start = Path(recipe.start) if recipe.start else None
        if start and recipe.mixed:
            raise SettingsError("model.start and model.mixed: training begins from one of them")
        if start and start.suffix == ".json":
            bundle.load(start, DetectorCard)  # refuses a file that is broken or not the card's
            _begin(model, start.with_suffix(".tflite"), batches(0)[0])
        elif start:
            model.set_weights(restored(start / "model.keras").get_weights())
        elif recipe.mixed:
            model.set_weights(_mean(recipe.mixed, [each.shape for each in model.get_weights()]))
            settle(model, batches)
        for layer in model.layers:
            layer.trainable = not recipe.boxes_only or layer.name.startswith("boxes")
        rate = schedule(recipe.peak_rate, recipe.steps)
        optimiser = keras.optimizers.AdamW(
            rate, weight_decay=recipe.weight_decay, use_ema=True, ema_momentum=recipe.ema, clipnorm=10.0
        )
        model.compile(optimiser, loss)
        return model

    def evaluate(self, run: Path, card: Path | None, beside: Sequence[Path]) -> None:
        """The float model, or a card's int8 one, on the validation part -> ``run/report.json``, precision and recall,
        the worst pictures.
        """
        if beside:
            raise SettingsError("--beside: only classifiers are drawn beside each other")
        recipe = self._recipe
        _, held = labelled_images.split(list(labelled_images.read(run / "cache.npz")))
        if card:
            loaded = bundle.load(card, DetectorCard)
            detector, threshold = Detector(loaded, detector_metrics.MIN_SCORE), loaded.card.threshold
        else:
            model = sized(restored(run / "model.keras"), recipe.height, recipe.width)
            detector = float_model.float_detector(model, recipe.width, recipe.height)
            threshold = detector_metrics.choose_threshold(detector.detect, held)
        detector_report.figures(run, detector_metrics.figures(detector.detect, held, threshold))
        detector_report.precision_recall(run, detector_metrics.curves(detector.detect, held))
        detector_report.worst_pictures(run, detector_metrics.detect_all(detector.detect, detector_metrics.hand_labelled(held)))


def _begin(model: keras.Model, file: Path, pixels: NDArray[np.uint8]) -> None:
    """Put the weights of a bundle's file into a new model; those of the smaller network before 2.0 are grown."""
    from training.networks.from_bundle import begin  # noqa: PLC0415 (needs TensorFlow, which an accelerator may lack)

    try:
        begin(model, file, pixels)
    except BundleError:
        small = face_detector(detail=LEVELS_BEFORE_2)
        begin(small, file, pixels)
        grow(small, model, LEVELS_BEFORE_2)


def _mean(mixed: dict[str, float], shapes: list[tuple[int, ...]]) -> list[Floats]:
    """Folders of runs or snapshots, and what each weighs -> the mean of their weights; SettingsError if one has weights
    of other shapes.
    """
    paths = [path / "model.keras" if path.is_dir() else path for path in map(Path, mixed)]
    weights = [restored(path).get_weights() for path in paths]
    for path, arrays in zip(paths, weights, strict=True):
        if [each.shape for each in arrays] != shapes:
            raise SettingsError(f"model.mixed: {path}: of another network")
    return [np.average(each, axis=0, weights=list(mixed.values())) for each in zip(*weights, strict=True)]
