"""Teachers' answers -> targets of a smaller network (Hinton et al. 2015)."""

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
"""Pixels (n, side, side, 1), targets (n, labels), how much of each target a teacher may have (n, 1)."""


def untaught(batch: Batch) -> tuple[NDArray[np.uint8], Floats]:
    """A batch as it is."""
    return batch[:2]


class Views:
    """Mixes the mean answer of runs and bundles into the targets, to the very pixels that the model is shown."""

    def __init__(self, recipe: ClassifierRecipe) -> None:
        """SettingsError if a teacher has other labels."""
        self._teachers = [_teacher(Path(each), recipe) for each in recipe.teachers]

    def __call__(self, batch: Batch) -> tuple[NDArray[np.uint8], Floats]:
        """A batch with the teachers' share of its targets in their place."""
        pixels, targets, share = batch
        answers = np.mean([answer(_sized(pixels[..., 0], side)) for side, answer in self._teachers], axis=0)
        return pixels, ((1 - share) * targets + share * answers).astype(np.float32)


def _sized(crops: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Crops (n, h, h) -> the same in another size (n, side, side)."""
    if crops.shape[1] == side:
        return crops
    return np.stack([cv2.resize(crop, (side, side)) for crop in crops])


def taught(part: Faces, recipe: ClassifierRecipe) -> Floats:
    """The targets (n + m, labels) of a part, mixed with the mean answer of the recipe's teachers to each face and its
    mirror image; rows of zeros stay so.
    """
    if not recipe.teachers or recipe.teacher_input == "views":
        return part.targets
    share = np.full((len(part.targets), 1), recipe.teacher_weight, np.float32)
    share[len(part.fer) :] = recipe.photo_teacher_weight
    answers = np.mean([_answers(Path(teacher), part, recipe) for teacher in recipe.teachers], axis=0)
    known = part.targets.sum(1, keepdims=True) > 0
    return np.where(known, (1 - share) * part.targets + share * answers, 0).astype(np.float32)


def _answers(teacher: Path, part: Faces, recipe: ClassifierRecipe) -> Floats:
    """A teacher's probabilities (n + m, labels) for FER2013's faces and photographs', the mean of mirror images."""
    side, answer = _teacher(teacher, recipe)
    crops = np.concatenate(part.crops(msgspec.structs.replace(recipe, width=side, height=side)))
    return np.mean([classifier_metrics.in_parts(answer, view) for view in (crops, crops[:, :, ::-1])], axis=0)


def _teacher(path: Path, recipe: ClassifierRecipe) -> tuple[int, classifier_metrics.Probabilities]:
    """A run's folder or a bundle's card -> the side of its input and its probabilities; SettingsError if it has other
    labels.
    """
    if path.suffix == ".json":
        classifier = Classifier(bundle.load(path, ClassifierCard))
        if classifier.card.labels != tuple(recipe.labels):
            given, wanted = classifier.card.labels, tuple(recipe.labels)
            raise SettingsError(f"model.teachers: {path} has the labels {given}, not {wanted}")
        return classifier.card.input.width, classifier.probabilities
    recipe.alike("model.teachers", path, "labels")
    model = architectures.restored(path / "model.keras")
    return model.input_shape[2], lambda crops: classifier_metrics.softmax(classifier_metrics.logits(model, crops))
