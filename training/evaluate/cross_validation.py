"""Runs that each held another fold of the photographs back -> what becomes of all photographs, none of them seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from contract.card import ClassifierCard
from edge.vision import bundle
from edge.vision.classify import Classifier
from training import recipe
from training.data import face_cache
from training.evaluate import classifier_metrics
from training.evaluate.classifier_metrics import Predictions
from training.evaluate.float_model import of_run
from training.recipe import ClassifierRecipe

ROUNDS = 2000
Estimate = tuple[float, float, float]
"""A figure, and the ends of the interval that holds it 95 times in 100."""


def pool(runs: Sequence[Path]) -> str:
    """Folders of runs with the cache and labels in common -> a table: accuracy and macro recall with 95 % intervals,
    and the accuracy where crops are off; float, and int8 where each run's folder holds its bundle.

    A photograph without a face found is wrong; in the rows that say so `unknown`, by the bundle's card, is too.
    SettingsError if two runs held the same fold back, or one none, or if their labels differ.
    """
    held = [_Held.of(run) for run in runs]
    folds = [each.recipe.photo_fold for each in held]
    if None in folds or len(set(folds)) < len(folds):
        raise SettingsError(f"{', '.join(map(str, runs))}: hold back the folds {folds}, not each another")
    if len({tuple(each.recipe.labels) for each in held}) > 1:
        raise SettingsError(f"{', '.join(map(str, runs))}: their labels differ")
    kinds = {"float": [each.exact for each in held]}
    if all(each.card for each in held):
        kinds["int8"] = [Classifier(bundle.load(each.card, ClassifierCard)) for each in held if each.card]
    columns = {kind: _figures(held, models) for kind, models in kinds.items()}
    photographs = sum(len(classifier_metrics.photos(each.part)[0]) for each in held)
    rows = [f"{photographs} photographs of {len(held)} folds", f"{'':32}" + "".join(f"{kind:>25}" for kind in columns)]
    rows += [f"{name:32}" + "".join(f"{each[name]:>25}" for each in columns.values()) for name in columns["float"]]
    return "\n".join(rows)


@dataclass(frozen=True, slots=True)
class _Held:
    """A run and the photographs it held back; ``card`` is that of its bundle, if it was quantised into its folder."""

    recipe: ClassifierRecipe
    part: face_cache.Faces
    exact: Classifier
    card: Path | None

    @classmethod
    def of(cls, run: Path) -> "_Held":
        made = recipe.read_run_recipe(run)
        if not isinstance(made, ClassifierRecipe):
            raise SettingsError(f"{run}: no run of a classifier")
        part = face_cache.Faces.of(run / "cache.npz", made, "test")
        card = run / f"{made.name}.json"
        return cls(made, part, of_run(made, run), card if card.is_file() else None)


def _figures(held: Sequence[_Held], models: Sequence[Classifier]) -> dict[str, str]:
    """The runs' models, each on its own photographs -> figures by name, written out."""
    pairs = list(zip(held, models, strict=True))
    given = [classifier_metrics.photo_answers(model.probabilities, each.part, each.recipe) for each, model in pairs]
    sure = [_with_verdict(answers, each, model) for answers, (each, model) in zip(given, pairs, strict=True)]
    sizes = np.array([len(answers.truth) for answers in given])
    shifts = [classifier_metrics.by_shift(model.probabilities, each.part, each.recipe) for each, model in pairs]
    moved = {f"crop {name}": float(np.average([each[name] for each in shifts], weights=sizes)) for name in shifts[0]}
    rows = {}
    for what, answers in (("", _joined(given)), (", `unknown` wrong", _joined(sure))):
        for name, estimate in estimates(answers).items():
            rows[name + what] = "{:.3f} ({:.3f} to {:.3f})".format(*estimate)
    return rows | {name: f"{value:.3f}" for name, value in moved.items()}


def _with_verdict(answers: Predictions, held: _Held, model: Classifier) -> Predictions:
    """Answers -> the same without those that the device would not give."""
    known = held.part.photo_targets.sum(1) > 0
    large = held.part.photo_side[known] >= held.recipe.min_face_px
    given = large & (answers.certainty >= model.card.unknown_below)
    return Predictions(answers.truth, answers.probabilities * given[:, None])


def _joined(parts: Sequence[Predictions]) -> Predictions:
    return Predictions(
        np.concatenate([part.truth for part in parts]), np.concatenate([part.probabilities for part in parts])
    )


def estimates(answers: Predictions) -> dict[str, Estimate]:
    """Answers to n faces -> accuracy and macro recall, each with its interval: the bootstrap by face (Efron and
    Tibshirani 1993), drawn as counts of right and wrong answers of each label.
    """
    size = answers.probabilities.shape[1]
    counts = np.bincount(2 * answers.truth + answers.right, minlength=2 * size)
    drawn = np.random.default_rng(0).multinomial(len(answers.truth), counts / counts.sum(), ROUNDS)
    return {name: _estimate(figure, counts, drawn) for name, figure in FIGURES.items()}


Counts = NDArray[np.int64]
"""Wrong and right answers of each label in turn, (..., 2 labels)."""


def _accuracy(counts: Counts) -> NDArray[np.float64]:
    return np.asarray(counts[..., 1::2].sum(-1) / counts.sum(-1))


def _macro_recall(counts: Counts) -> NDArray[np.float64]:
    """The mean over the labels that occur."""
    right, all_of = counts[..., 1::2], counts[..., ::2] + counts[..., 1::2]
    recalls = np.divide(right, all_of, out=np.zeros(right.shape), where=all_of > 0)
    return np.asarray(recalls.sum(-1) / (all_of > 0).sum(-1))


FIGURES: dict[str, Callable[[Counts], NDArray[np.float64]]] = {"accuracy": _accuracy, "macro recall": _macro_recall}


def _estimate(figure: Callable[[Counts], NDArray[np.float64]], counts: Counts, drawn: Counts) -> Estimate:
    low, high = np.quantile(figure(drawn), (0.025, 0.975))
    return float(figure(counts)), float(low), float(high)
