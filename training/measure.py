"""A model and data it was not trained on -> its figures. Float and int8 go through the device's own code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from contract.card import ClassifierCard, Crop, DetectorCard, Input
from edge.bundle import Bundle
from edge.classify import Classifier
from edge.detect import Detector
from training import score
from training.detect import STRIDES
from training.faces import Faces, plain
from training.fer import PHOTO_MARGIN, VOTES
from training.finding import LOWEST
from training.recipe import ClassifierRecipe

OVERLAP = 0.4
"""Of two boxes that overlap by more than this the lower-scored is dropped."""
Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Crops uint8 (n, side, side) -> probabilities (n, labels)."""


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A Keras model in place of the device's int8 interpreter: same calls, nothing quantised. ``parts`` names slices of
    the last axis of its output."""

    model: keras.Model
    parts: dict[str, slice]

    def run(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """As `edge.interpreter.Interpreter.run`."""
        given = np.asarray(self.model.predict_on_batch(pixels.astype(np.float32)))
        return {name: given[..., part] for name, part in self.parts.items()}

    def values(self, raw: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
        """As `edge.interpreter.Interpreter.values`."""
        return np.asarray(raw[name], np.float32)


def draft(name: str, width: int, height: int) -> dict[str, Any]:
    """What a card says before anything is measured: enough for the device's code to run a model."""
    taken = Input(width=width, height=height, channels=1, dtype="uint8", scale=1.0, zero_point=0)
    blank = {"version": "", "sha256": "", "figures": {}, "data": "", "licence": "", "golden": ()}
    return {"schema": 1, "name": name, "input": taken, **blank}


def draft_detector(width: int, height: int) -> DetectorCard:
    """A card for a detector that tells all it finds."""
    names = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
    return DetectorCard(
        **draft("draft", width, height), strides=STRIDES, threshold=LOWEST, overlap=OVERLAP, landmarks=names
    )


def draft_classifier(labels: Sequence[str], width: int, height: int, crop: Crop) -> ClassifierCard:
    """A card for a classifier that is never unsure."""
    return ClassifierCard(
        **draft("draft", width, height),
        labels=tuple(labels),
        crop=crop,
        temperature=1.0,
        unknown_below=0.0,
        min_face_px=1,
        confusion=tuple((0,) * len(labels) for _ in labels),
    )


def float_detector(model: keras.Model, width: int, height: int) -> Detector:
    """A trained detector behind the device's code."""
    parts = {"scores": slice(0, 1), "boxes": slice(1, 5), "landmarks": slice(5, 15)}
    floating: Any = FloatModel(model, parts)
    return Detector(Bundle(draft_detector(width, height), floating))


def float_classifier(model: keras.Model, card: ClassifierCard) -> Classifier:
    """A trained classifier behind the device's code."""
    floating: Any = FloatModel(model, {"logits": slice(0, len(card.labels))})
    return Classifier(Bundle(card, floating))


@dataclass(frozen=True, slots=True)
class Answers:
    """Labels (n,) and probabilities (n, labels) of one set of faces."""

    truth: NDArray[np.intp]
    probabilities: NDArray[np.float32]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right."""
        return self.probabilities.argmax(1) == self.truth

    def matrix(self) -> NDArray[np.intp]:
        """Confusion, rows the truth."""
        return score.confusion(self.truth, self.probabilities.argmax(1), self.probabilities.shape[1])


def answers(probabilities: Probabilities, faces: Faces, recipe: ClassifierRecipe) -> dict[str, Answers]:
    """A classifier and a part of the cache -> its answers on the sets that are published: faces of which more than half
    of the votes agree (``majority``), those with one label ahead (``plurality``), and photographs (``photos``).
    """
    seen = _in_parts(probabilities, plain(faces.fer, recipe.width, 1.0))
    weights = np.array([[row.get(name, 0.0) for row in recipe.labels.values()] for name in VOTES], np.float32)
    votes = faces.votes.astype(np.float32) @ weights
    sorted_votes = np.sort(votes, 1)
    others = faces.votes.sum(1) - (faces.votes @ (weights.max(1) > 0))
    agreed = sorted_votes[:, -1] > 0.5 * faces.votes.sum(1)
    ahead = (sorted_votes[:, -1] > sorted_votes[:, -2]) & (sorted_votes[:, -1] > others)
    tight = (1 + 2 * recipe.margin) / (1 + 2 * PHOTO_MARGIN)
    mapped = faces.photo_targets.sum(1) > 0
    photos = _in_parts(probabilities, plain(faces.photos[mapped], recipe.width, tight))
    truth = votes.argmax(1)
    return {
        "ferplus_majority": Answers(truth[agreed], seen[agreed]),
        "ferplus_plurality": Answers(truth[ahead], seen[ahead]),
        "photos": Answers(faces.photo_targets[mapped].argmax(1), photos),
    }


def classifier_figures(sets: dict[str, Answers]) -> dict[str, float]:
    """Answers by set -> accuracy, macro recall and calibration error of each."""
    figures = {}
    for name, each in sets.items():
        figures[f"{name}.accuracy"] = float(each.right.mean())
        figures[f"{name}.macro_recall"] = score.macro_recall(each.matrix())
        figures[f"{name}.ece"] = score.calibration_error(each.probabilities.max(1).astype(np.float64), each.right)
    return figures


def _in_parts(probabilities: Probabilities, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Answers to many crops, a few hundred at a time."""
    if not len(crops):
        raise ValueError("no faces to measure on")
    return np.concatenate([probabilities(crops[at : at + 256]) for at in range(0, len(crops), 256)])


def temperature(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> float:
    """Logits (n, labels) and soft labels -> the temperature of least cross-entropy (Guo et al. 2017), 0.4 to 4."""
    usable = targets.sum(1) > 0
    candidates = np.exp(np.linspace(np.log(0.4), np.log(4), 120))
    costs = [-(targets[usable] * _log_softmax(logits[usable] / each)).sum(1).mean() for each in candidates]
    return float(candidates[int(np.argmin(costs))])


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)), np.float32)
