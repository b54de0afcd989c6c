"""A trained run, opened for conversion: recipe, float model, calibration images and metrics.

This module is all of `training` that `convert` imports.
"""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import keras
import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.card import CheckCard, ClassifierCard
from contract.errors import BundleError
from edge.vision.classify import Classifier
from edge.vision.crop import crop_face
from edge.vision.detect import Detector, letterbox
from edge.vision.face_check import FaceCheck
from training.augment.lighting import degrade
from training.data import check_candidates, labelled_images
from training.data.check_candidates import Candidates
from training.data.face_cache import Faces, shifted_crops
from training.data.labelled_images import LabelledImage
from training.evaluate import check_metrics, classifier_metrics, detector_metrics, float_model
from training.evaluate.classifier_metrics import Predictions, Probabilities, majority_labels, recall_drop
from training.evaluate.detector_metrics import MAX_FALSE_PER_NEGATIVE, MIN_SCORE
from training.evaluate.float_model import OVERLAP
from training.fit.detector_targets import STRIDES
from training.networks.architectures import in_float32, load_model, with_input_size
from training.recipe import CheckRecipe, ClassifierRecipe, DetectorRecipe, read_run_recipe

__all__ = [
    "MAX_FALSE_PER_NEGATIVE",
    "MIN_SCORE",
    "OVERLAP",
    "STRIDES",
    "Predictions",
    "TrainedCheck",
    "TrainedClassifier",
    "TrainedDetector",
    "TrainedRun",
    "majority_labels",
    "open_run",
    "random_view",
    "recall_drop",
]

SHIFT = 0.06
"""Standard deviation of the centre of a random view, as a fraction of the face."""
Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """The run of a face detector."""

    folder: Path
    recipe: DetectorRecipe
    model: keras.Model
    """Float model with the recipe's input size."""
    held: list[LabelledImage] = field(repr=False)
    """Images held out from training."""

    def calibration_images(self, most: int) -> Grey:
        """Random held-out images (n, height, width), letterboxed as on a device."""
        size = (self.recipe.height, self.recipe.width)
        chosen = np.random.default_rng(self.recipe.seed).permutation(len(self.held))[:most]
        return np.stack([letterbox(self.held[index].pixels, size)[0] for index in chosen])

    def float_detector(self) -> Detector:
        """The device's detector with the float model."""
        return float_model.float_detector(self.model, self.recipe.width, self.recipe.height)

    def choose_threshold(self, detector: Detector) -> float:
        """The lowest threshold with few enough false detections on the negatives that are held out for this."""
        return detector_metrics.choose_threshold(detector.detect, self.held)

    def metrics(self, detector: Detector, threshold: float) -> dict[str, float]:
        """Metrics on the held-out images; the detector must return all detections down to `MIN_SCORE`."""
        return detector_metrics.figures(detector.detect, self.held, threshold)

    def threshold_negatives(self) -> tuple[int, int]:
        """Number of shop and of everyday images that `choose_threshold` uses."""
        shop, everyday = (
            negatives(self.held, choose=True)
            for negatives in (detector_metrics.shop_negatives, detector_metrics.everyday_negatives)
        )
        return len(shop), len(everyday)


@dataclass(frozen=True, slots=True)
class TrainedCheck:
    """The run of a face check."""

    folder: Path
    recipe: CheckRecipe
    model: keras.Model
    """Float model."""
    held: Candidates = field(repr=False)
    """Detections in images held out from training."""

    def calibration_images(self, most: int) -> Grey:
        """Random crops (n, side, side) of held-out detections, cut as on a device."""
        rule, size = float_model.draft_check(self.recipe).crop, (self.recipe.height, self.recipe.width)
        chosen = np.random.default_rng(self.recipe.seed).permutation(len(self.held))[:most]
        return np.stack([crop_face(self.held.crop(row), self.held.in_crop(row), rule, size) for row in chosen])

    def float_check(self, card: CheckCard) -> FaceCheck:
        """The device's face check with the float model."""
        return float_model.float_check(self.model, card)

    def metrics(self, check: FaceCheck) -> dict[str, float]:
        """Metrics on the held-out detections."""
        return check_metrics.figures(self.held, check_metrics.face_scores(check, self.held))


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """The run of an expression classifier."""

    folder: Path
    recipe: ClassifierRecipe
    model: keras.Model
    """Float model."""

    def calibration_images(self, most: int) -> Grey:
        """Random crops (n, side, side) of the validation set."""
        crops, _ = self.validation_set()
        return crops[np.random.default_rng(self.recipe.seed).permutation(len(crops))[:most]]

    def validation_set(self) -> tuple[Grey, NDArray[np.float32]]:
        """Crops (n, side, side) and soft labels (n, labels) that temperature and thresholds are fitted on."""
        faces = self._faces("validation")
        return np.concatenate(faces.crops(self.recipe)), faces.targets

    def fit_temperature(self, probabilities: Probabilities) -> float:
        """Softmax temperature of a classifier that was run with a temperature of 1."""
        crops, targets = self.validation_set()
        return classifier_metrics.temperature(np.log(probabilities(crops) + 1e-9), targets)

    def float_classifier(self, card: ClassifierCard) -> Classifier:
        """The device's classifier with the float model."""
        return float_model.float_classifier(self.model, card)

    def predictions(self, probabilities: Probabilities) -> dict[str, Predictions]:
        """Predictions of a classifier for each test set by name, the most important one first."""
        return classifier_metrics.predictions(probabilities, self._faces("test"), self.recipe)

    @staticmethod
    def metrics(sets: dict[str, Predictions]) -> dict[str, float]:
        """Metrics of all test sets, by their names on a card."""
        return classifier_metrics.figures(sets)

    def test_faces(self) -> tuple[Grey, NDArray[np.uint8]]:
        """Faces of FER2013 in the test set (n, 48, 48), and their FER+ votes (n, 10)."""
        test = self._faces("test")
        return test.fer, test.votes

    def _faces(self, part: str) -> Faces:
        return Faces.load(self.folder / "cache.npz", self.recipe, part)


TrainedRun = TrainedDetector | TrainedCheck | TrainedClassifier


def open_run(folder: Path, size: tuple[int, int] | None = None) -> TrainedRun:
    """Open a folder that ``training prepare`` and ``training train`` have filled; BundleError if a file is missing.

    ``size`` (height, width), multiples of 8, gives a detector another input size and adds it to the name of the model:
    one set of weights fits every size.
    """
    for name in ("recipe.json", "model.keras", "cache.npz"):
        if not (folder / name).is_file():
            raise BundleError(f"{folder / name}: missing; run `python -m training prepare` and `train` first")
    recipe = read_run_recipe(folder)
    model = load_model(folder / "model.keras")
    if isinstance(recipe, DetectorRecipe):
        if size:
            name = f"{recipe.name}-{size[1]}x{size[0]}"
            recipe = msgspec.structs.replace(recipe, height=size[0], width=size[1], name=name)
        _, held = labelled_images.split(list(labelled_images.read(folder / "cache.npz")))
        return TrainedDetector(folder, recipe, with_input_size(model, recipe.height, recipe.width), held)
    if size:
        raise BundleError(f"{folder}: the size must be that of the recipe; --size is for detectors")
    if isinstance(recipe, CheckRecipe):
        held_out = check_candidates.read(folder / "cache.npz", held_out=True)
        if not len(held_out):
            raise BundleError(f"{folder / 'cache.npz'}: must hold detections in held-out images, holds none")
        return TrainedCheck(folder, recipe, in_float32(model), held_out)
    if recipe.near_duplicates == "include":
        raise BundleError(f"{folder}: model.near_duplicates must be 'exclude' for a bundle, is 'include'")
    return TrainedClassifier(folder, recipe, in_float32(model))


def random_view(face: Grey, side: int, rng: np.random.Generator) -> Grey:
    """One observation (side, side) of a face (h, h): shifted, scaled, mirrored and degraded at random."""
    shift = (float(rng.normal(0, SHIFT)), float(rng.normal(0, SHIFT)))
    crop = shifted_crops(face[None], side, float(rng.uniform(0.9, 1.05)), shift)[0]
    return degrade(rng, cv2.flip(crop, 1) if rng.random() < 0.5 else crop)
