"""Measure a bundle again through the device's code, and compare with the figures on its card."""

from pathlib import Path

from contract.card import CheckCard, ClassifierCard, DetectorCard
from contract.errors import BundleError
from edge.vision import bundle
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck
from training.trained_run import MIN_SCORE, TrainedCheck, TrainedClassifier, TrainedRun

TOLERANCE = 0.002
"""Allowed difference of a figure: another runtime may round differently."""


def verify(run: TrainedRun, card_path: Path) -> str:
    """A table of the card's figures and those measured on the run's test data.

    BundleError if a figure is missing on the card or differs by more than `TOLERANCE`.
    """
    if isinstance(run, TrainedClassifier):
        classifier = bundle.load(card_path, ClassifierCard)
        measured = run.metrics(run.predictions(Classifier(classifier).probabilities))
        on_card = classifier.card.figures
    elif isinstance(run, TrainedCheck):
        check = bundle.load(card_path, CheckCard)
        measured = run.metrics(FaceCheck(check))
        on_card = check.card.figures
    else:
        detector = bundle.load(card_path, DetectorCard)
        measured = run.metrics(Detector(detector, MIN_SCORE), detector.card.threshold)
        on_card = detector.card.figures
    if missing := [name for name in measured if f"{name}.int8" not in on_card]:
        raise BundleError(
            f"{card_path}: the card must hold {', '.join(missing)}, which the run's data give; it does not"
        )
    rows = [f"{name:34}{on_card[name + '.int8']:9.4f}{value:9.4f}" for name, value in measured.items()]
    for name, value in measured.items():
        if abs(on_card[name + ".int8"] - value) > TOLERANCE:
            raise BundleError(f"{card_path}: {name} must be {on_card[name + '.int8']} as on the card, is {value:.4f}")
    return "\n".join([f"{'':34}{'card':>9}{'now':>9}", *rows])
