"""Distillation: mix the predictions of teachers into a classifier's targets (Hinton et al. 2015)."""

from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from contract.card import ClassifierCard
from edge.vision import bundle
from edge.vision.classify import Classifier
from training.data.face_cache import Faces
from training.data.label_targets import Floats
from training.evaluate import classifier_metrics
from training.networks import architectures
from training.recipe import ClassifierRecipe

Batch = tuple[NDArray[np.uint8], Floats, Floats]
"""Pixels (n, side, side, 1), targets (n, labels), weight of the teachers in each target (n, 1)."""


def without_teachers(batch: Batch) -> tuple[NDArray[np.uint8], Floats]:
    """Pixels and targets of a batch, unchanged."""
    return batch[:2]


class ViewTeachers:
    """Mixes the teachers' mean prediction for each augmented view into its target (``teacher_input = "views"``)."""

    def __init__(self, recipe: ClassifierRecipe) -> None:
        """SettingsError if a teacher has other labels than the recipe."""
        self._teachers = [_load(Path(each), recipe) for each in recipe.teachers]

    def __call__(self, batch: Batch) -> tuple[NDArray[np.uint8], Floats]:
        """Pixels and mixed targets of a batch."""
        pixels, targets, weight = batch
        predicted = np.mean([predict(_resized(pixels[..., 0], side)) for side, predict in self._teachers], axis=0)
        return pixels, ((1 - weight) * targets + weight * predicted).astype(np.float32)


def _resized(crops: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize crops (n, h, h) to (n, side, side)."""
    if crops.shape[1] == side:
        return crops
    return np.stack([cv2.resize(crop, (side, side)) for crop in crops])


def distilled_targets(part: Faces, recipe: ClassifierRecipe) -> Floats:
    """Targets (n + m, labels) of FER2013's faces and labelled images, mixed with the teachers' mean prediction.

    Teachers predict once for each face and its mirror image. Rows of zeros stay zero. Without teachers, and with
    ``teacher_input = "views"``, the targets are returned unchanged.
    """
    if not recipe.teachers or recipe.teacher_input == "views":
        return part.targets
    weight = np.full((len(part.targets), 1), recipe.teacher_weight, np.float32)
    weight[len(part.fer) :] = recipe.photo_teacher_weight
    predicted = np.mean([_predict_faces(Path(teacher), part, recipe) for teacher in recipe.teachers], axis=0)
    known = part.targets.sum(1, keepdims=True) > 0
    return np.where(known, (1 - weight) * part.targets + weight * predicted, 0).astype(np.float32)


def _predict_faces(teacher: Path, part: Faces, recipe: ClassifierRecipe) -> Floats:
    """A teacher's probabilities (n + m, labels), the mean over each face and its mirror image."""
    side, predict = _load(teacher, recipe)
    crops = np.concatenate(part.crops(msgspec.structs.replace(recipe, width=side, height=side)))
    return np.mean([classifier_metrics.in_batches(predict, view) for view in (crops, crops[:, :, ::-1])], axis=0)


def _load(path: Path, recipe: ClassifierRecipe) -> tuple[int, classifier_metrics.Probabilities]:
    """Input side and probabilities of a teacher, the folder of a run or the card of a bundle.

    SettingsError if its labels are not those of the recipe.
    """
    if path.suffix == ".json":
        classifier = Classifier(bundle.load(path, ClassifierCard))
        if classifier.card.labels != tuple(recipe.labels):
            given, wanted = classifier.card.labels, tuple(recipe.labels)
            raise SettingsError(f"model.teachers: {path} has the labels {given}, must have {wanted}")
        return classifier.card.input.width, classifier.probabilities
    recipe.require_same("model.teachers", path, "labels")
    model = architectures.load_model(path / "model.keras")
    return model.input_shape[2], lambda crops: classifier_metrics.softmax(classifier_metrics.logits(model, crops))
