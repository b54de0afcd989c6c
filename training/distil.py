"""Teachers' answers -> targets of a smaller network (Hinton et al. 2015)."""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.card import ClassifierCard
from contract.errors import SettingsError
from edge import bundle
from edge.classify import Classifier
from training import naming, networks
from training.faces import Faces
from training.recipe import ClassifierRecipe
from training.targets import Floats

Batch = tuple[NDArray[np.uint8], Floats, Floats]
"""Pixels (n, side, side, 1), targets (n, labels), how much of each target a teacher may have (n, 1)."""


def untaught(batch: Batch) -> tuple[NDArray[np.uint8], Floats]:
    """A batch as it is."""
    return batch[:2]


class Views:
    """Mixes the mean answer of runs into the targets, to the very pixels that the model is shown."""

    def __init__(self, recipe: ClassifierRecipe) -> None:
        """SettingsError if a teacher is not the run of a network with the recipe's width and labels."""
        self._models = []
        for run in map(Path, recipe.teachers):
            if run.suffix == ".json":
                raise SettingsError(f"model.teachers: {run}: a card; only runs answer to views")
            recipe.alike("model.teachers", run, "width", "labels")
            self._models.append(networks.restored(run / "model.keras"))

    def __call__(self, batch: Batch) -> tuple[NDArray[np.uint8], Floats]:
        """A batch with the teachers' share of its targets in their place."""
        pixels, targets, share = batch
        shown = pixels.astype(np.float32)
        answers = np.mean([naming.softmax(np.asarray(each.predict_on_batch(shown))) for each in self._models], axis=0)
        return pixels, (1 - share) * targets + share * answers


def taught(part: Faces, recipe: ClassifierRecipe) -> Floats:
    """The targets (n + m, labels) of a part, mixed with the mean answer of the recipe's teachers to each face and its
    mirror image; rows of zeros stay so.
    """
    if not recipe.teachers or recipe.teachers_see == "views":
        return part.targets
    share = np.full((len(part.targets), 1), recipe.teacher_share, np.float32)
    share[len(part.fer) :] = recipe.photo_teacher_share
    answers = np.mean([_answers(Path(teacher), part, recipe) for teacher in recipe.teachers], axis=0)
    known = part.targets.sum(1, keepdims=True) > 0
    return np.where(known, (1 - share) * part.targets + share * answers, 0).astype(np.float32)


def _answers(teacher: Path, part: Faces, recipe: ClassifierRecipe) -> Floats:
    """A run's folder or a bundle's card -> its probabilities (n + m, labels) for FER2013's faces and photographs', the
    mean of both mirror images; SettingsError if it has other labels.
    """
    if teacher.suffix == ".json":
        classifier = Classifier(bundle.load(teacher, ClassifierCard))
        if classifier.card.labels != tuple(recipe.labels):
            given, wanted = classifier.card.labels, tuple(recipe.labels)
            raise SettingsError(f"model.teachers: {teacher} has the labels {given}, not {wanted}")
        side, probabilities = classifier.card.input.width, classifier.probabilities
    else:
        recipe.alike("model.teachers", teacher, "labels")
        model = networks.restored(teacher / "model.keras")
        side = model.input_shape[2]

        def probabilities(crops: NDArray[np.uint8]) -> Floats:
            return naming.softmax(naming.logits(model, crops))

    crops = np.concatenate(part.crops(msgspec.structs.replace(recipe, width=side, height=side)))
    return np.mean([naming.in_parts(probabilities, view) for view in (crops, crops[:, :, ::-1])], axis=0)
