"""Pool cross-validation runs: each labelled image is predicted by the run that held it out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from contract.card import ClassifierCard
from edge.vision import bundle
from edge.vision.classify import Classifier
from training.data.face_cache import Faces
from training.evaluate import classifier_metrics
from training.evaluate.classifier_metrics import Predictions
from training.evaluate.float_model import classifier_of_run
from training.recipe import ClassifierRecipe, read_run_recipe

ROUNDS = 2000
"""Bootstrap draws."""
Estimate = tuple[float, float, float]
"""A metric and the ends of its 95 % interval."""


def pool(runs: Sequence[Path]) -> str:
    """A table of accuracy and macro recall with 95 % intervals, and of accuracy with shifted crops.

    ``runs`` are folders with a common cache and labels, each with another ``photo_fold``. The table has the float
    models, and the int8 models if each folder holds its bundle. An image without a detected face is wrong; in the rows
    that say so, ``unknown`` by the bundle's thresholds is wrong, too.

    SettingsError if two runs held out the same fold, one held out none, or their labels differ.
    """
    held = [_HeldOut.of(run) for run in runs]
    folds = [each.recipe.photo_fold for each in held]
    names = ", ".join(map(str, runs))
    if None in folds or len(set(folds)) < len(folds):
        raise SettingsError(f"{names}: each run must hold out another fold (model.photo_fold), they hold out {folds}")
    if len({tuple(each.recipe.labels) for each in held}) > 1:
        raise SettingsError(f"{names}: labels must be the same, they differ")
    kinds = {"float": [each.float_model for each in held]}
    if all(each.card for each in held):
        kinds["int8"] = [Classifier(bundle.load(each.card, ClassifierCard)) for each in held if each.card]
    columns = {kind: _figures(held, models) for kind, models in kinds.items()}
    photographs = sum(len(classifier_metrics.photos(each.part)[0]) for each in held)
    rows = [f"{photographs} photographs of {len(held)} folds", f"{'':32}" + "".join(f"{kind:>25}" for kind in columns)]
    rows += [f"{name:32}" + "".join(f"{each[name]:>25}" for each in columns.values()) for name in columns["float"]]
    return "\n".join(rows)


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """A run and the labelled images that it held out."""

    recipe: ClassifierRecipe
    part: Faces
    float_model: Classifier
    card: Path | None
    """Card of the run's bundle, if it was quantised into the run's folder."""

    @classmethod
    def of(cls, run: Path) -> "_HeldOut":
        recipe = read_run_recipe(run)
        if not isinstance(recipe, ClassifierRecipe):
            raise SettingsError(f"{run}: must be the run of a classifier, is that of a detector")
        part = Faces.load(run / "cache.npz", recipe, "test")
        card = run / f"{recipe.name}.json"
        return cls(recipe, part, classifier_of_run(recipe, run), card if card.is_file() else None)


def _figures(held: Sequence[_HeldOut], models: Sequence[Classifier]) -> dict[str, str]:
    """Metrics as text by name; each model predicts the images that its run held out."""
    pairs = list(zip(held, models, strict=True))
    parts = [classifier_metrics.photo_predictions(model.probabilities, each.part, each.recipe) for each, model in pairs]
    known = [_without_unknown(predictions, *pair) for predictions, pair in zip(parts, pairs, strict=True)]
    sizes = np.array([len(predictions.truth) for predictions in parts])
    shifts = [
        classifier_metrics.accuracy_by_shift(model.probabilities, each.part, each.recipe) for each, model in pairs
    ]
    shifted = {f"crop {name}": float(np.average([each[name] for each in shifts], weights=sizes)) for name in shifts[0]}
    rows = {}
    for suffix, predictions in (("", _joined(parts)), (", `unknown` wrong", _joined(known))):
        for name, estimate in estimates(predictions).items():
            rows[name + suffix] = "{:.3f} ({:.3f} to {:.3f})".format(*estimate)
    return rows | {name: f"{value:.3f}" for name, value in shifted.items()}


def _without_unknown(predictions: Predictions, held: _HeldOut, model: Classifier) -> Predictions:
    """The predictions with rows of zeros where a device would predict ``unknown``."""
    known = held.part.photo_targets.sum(1) > 0
    large = held.part.photo_side[known] >= held.recipe.min_face_px
    confident = large & (predictions.confidence >= model.card.unknown_below)
    return Predictions(predictions.truth, predictions.probabilities * confident[:, None])


def _joined(parts: Sequence[Predictions]) -> Predictions:
    return Predictions(
        np.concatenate([part.truth for part in parts]), np.concatenate([part.probabilities for part in parts])
    )


def estimates(predictions: Predictions) -> dict[str, Estimate]:
    """Accuracy and macro recall with intervals: the bootstrap by face (Efron and Tibshirani 1993).

    Faces are drawn as counts of wrong and correct predictions of each label.
    """
    size = predictions.probabilities.shape[1]
    counts = np.bincount(2 * predictions.truth + predictions.correct, minlength=2 * size)
    draws = np.random.default_rng(0).multinomial(len(predictions.truth), counts / counts.sum(), ROUNDS)
    return {name: _estimate(metric, counts, draws) for name, metric in METRICS.items()}


Counts = NDArray[np.int64]
"""Wrong and correct predictions of each label in turn, (..., 2 labels)."""


def _accuracy(counts: Counts) -> NDArray[np.float64]:
    return np.asarray(counts[..., 1::2].sum(-1) / counts.sum(-1))


def _macro_recall(counts: Counts) -> NDArray[np.float64]:
    """The mean over the labels that occur."""
    correct, total = counts[..., 1::2], counts[..., ::2] + counts[..., 1::2]
    recalls = np.divide(correct, total, out=np.zeros(correct.shape), where=total > 0)
    return np.asarray(recalls.sum(-1) / (total > 0).sum(-1))


METRICS: dict[str, Callable[[Counts], NDArray[np.float64]]] = {"accuracy": _accuracy, "macro recall": _macro_recall}


def _estimate(metric: Callable[[Counts], NDArray[np.float64]], counts: Counts, draws: Counts) -> Estimate:
    low, high = np.quantile(metric(draws), (0.025, 0.975))
    return float(metric(counts)), float(low), float(high)
