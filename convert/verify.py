"""A bundle and held-back data -> its int8 figures measured anew, and whether they are those of its card."""

from pathlib import Path

from contract.card import ClassifierCard, DetectorCard
from contract.errors import BundleError
from convert.write_bundle import Run
from edge.vision import bundle
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from training.data import labelled_images
from training.data.face_cache import Faces
from training.evaluate import classifier_metrics, detector_metrics
from training.recipe import ClassifierRecipe

CLOSE = 0.002
"""Figures of another runtime may differ by this much."""


def verify(run: Run, card_path: Path) -> str:
    """The run with the data and the path of a card -> a table; BundleError if a figure is not the card's."""
    if isinstance(run.recipe, ClassifierRecipe):
        loaded = bundle.load(card_path, ClassifierCard)
        test = Faces.of(run.folder / "cache.npz", run.recipe, "test")
        answers = classifier_metrics.predictions(Classifier(loaded).probabilities, test, run.recipe)
        figures, promised = classifier_metrics.figures(answers), loaded.card.figures
    else:
        found = bundle.load(card_path, DetectorCard)
        _, held = labelled_images.split(list(labelled_images.read(run.folder / "cache.npz")))
        figures = detector_metrics.figures(Detector(found, detector_metrics.MIN_SCORE).detect, held, found.card.threshold)
        promised = found.card.figures
    if missing := [name for name in figures if f"{name}.int8" not in promised]:
        raise BundleError(f"{card_path}: the card says nothing of {', '.join(missing)}, which the run's data gives")
    rows = [f"{name:34}{promised[name + '.int8']:9.4f}{value:9.4f}" for name, value in figures.items()]
    for name, value in figures.items():
        if abs(promised[name + ".int8"] - value) > CLOSE:
            raise BundleError(f"{card_path}: {name} is {value:.4f}, the card says {promised[name + '.int8']}")
    return "\n".join([f"{'':34}{'card':>9}{'now':>9}", *rows])
