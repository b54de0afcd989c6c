"""Run a float Keras model through the device's own code, so that float and int8 differ in the model alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from contract.card import CheckCard, ClassifierCard, Crop, DetectorCard, Input
from edge.vision.bundle import Bundle
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck
from training.evaluate.detector_metrics import MIN_SCORE
from training.fit.detector_targets import STRIDES
from training.networks.architectures import in_float32, load_model
from training.recipe import CheckRecipe, ClassifierRecipe

OVERLAP = 0.3
"""Intersection over union of two boxes above which the lower-scored one is dropped."""


@dataclass(frozen=True, slots=True)
class FloatModel:
    """A Keras model with the interface of the device's interpreter."""

    model: keras.Model
    parts: dict[str, slice]
    """Names of the outputs, and their slices of the last axis."""

    def run(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """As `edge.vision.interpreter.Interpreter.run`."""
        output = np.asarray(self.model.predict_on_batch(pixels.astype(np.float32)))
        return {name: output[..., part] for name, part in self.parts.items()}

    def values(self, raw: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
        """As `edge.vision.interpreter.Interpreter.values`."""
        return np.asarray(raw[name], np.float32)


def draft(name: str, width: int, height: int) -> dict[str, Any]:
    """Fields of a card that the device's code needs to run a model that has not been measured."""
    pixels = Input(width=width, height=height, channels=1, dtype="uint8", scale=1.0, zero_point=0)
    blank = {"version": "", "sha256": "", "figures": {}, "data": "", "licence": "", "golden": ()}
    return {"schema": 1, "name": name, "input": pixels, **blank}


def draft_detector(width: int, height: int) -> DetectorCard:
    """The card of a detector that returns all detections down to `MIN_SCORE`."""
    landmarks = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
    return DetectorCard(
        **draft("draft", width, height), strides=STRIDES, threshold=MIN_SCORE, overlap=OVERLAP, landmarks=landmarks
    )


def draft_classifier(labels: Sequence[str], width: int, height: int, crop: Crop) -> ClassifierCard:
    """The card of a classifier that never predicts ``unknown``."""
    return ClassifierCard(
        **draft("draft", width, height),
        labels=tuple(labels),
        crop=crop,
        temperature=1.0,
        unknown_below=0.0,
        min_face_px=1,
        confusion=tuple((0,) * len(labels) for _ in labels),
    )


def draft_check(recipe: CheckRecipe) -> CheckCard:
    """The card of a face check that has not been measured."""
    return CheckCard(
        **draft(recipe.name, recipe.width, recipe.height),
        crop=Crop(margin=recipe.margin, align="none"),
        weight=recipe.weight,
        bias=recipe.bias,
        checked_below=recipe.checked_below,
    )


def float_detector(model: keras.Model, width: int, height: int) -> Detector:
    """The device's detector with a float model."""
    parts = {"scores": slice(0, 1), "boxes": slice(1, 5), "landmarks": slice(5, 15)}
    floating: Any = FloatModel(model, parts)
    return Detector(Bundle(draft_detector(width, height), floating))


def float_check(model: keras.Model, card: CheckCard) -> FaceCheck:
    """The device's face check with a float model."""
    floating: Any = FloatModel(model, {"logits": slice(0, 1)})
    return FaceCheck(Bundle(card, floating))


def float_classifier(model: keras.Model, card: ClassifierCard) -> Classifier:
    """The device's classifier with a float model."""
    floating: Any = FloatModel(model, {"logits": slice(0, len(card.labels))})
    return Classifier(Bundle(card, floating))


def classifier_of_run(recipe: ClassifierRecipe, run: Path) -> Classifier:
    """The device's classifier with the float model of a run."""
    crop = Crop(margin=recipe.margin, align=recipe.align)
    card = draft_classifier(list(recipe.labels), recipe.width, recipe.height, crop)
    return float_classifier(in_float32(load_model(run / "model.keras")), card)
