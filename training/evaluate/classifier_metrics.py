"""Metrics of an expression classifier: accuracy, recall, calibration, and confidence against coverage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from training.data.face_cache import Faces, centre_crops, crop_ratio, shifted_crops
from training.data.label_targets import FER2013_LABELS, FERPLUS_LABELS, Mapping, from_names, label_weights
from training.recipe import ClassifierRecipe

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Probabilities = Callable[[Grey], Floats]
"""A classifier: crops uint8 (n, side, side) to probabilities (n, labels)."""
SIZES = (16, 24, 32, 48, 64)
"""Sides of faces, pixels, to which photographs are shrunk."""
SHIFTS = {"left": (-0.1, 0, 1), "right": (0.1, 0, 1), "up": (0, -0.1, 1), "down": (0, 0.1, 1), "wider": (0, 0, 1.1),
          "tighter": (0, 0, 0.9)}  # fmt: skip
"""Offsets of the crop across and down as fractions of its side, and factors of its side."""
AT_ONCE = 256
"""Crops in one call of a classifier."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """True labels and predicted probabilities of one set of faces."""

    truth: NDArray[np.intp]
    """Index of the true label (n,)."""
    probabilities: Floats
    """Probabilities (n, labels); a row of zeros is a face that the detector did not find, and counts as wrong."""

    @property
    def predicted(self) -> NDArray[np.intp]:
        """Index of the most probable label (n,)."""
        return self.probabilities.argmax(1)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is correct (n,)."""
        return (self.predicted == self.truth) & (self.confidence > 0)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The largest probability of each face (n,)."""
        return self.probabilities.max(1).astype(np.float64)

    def confusion_matrix(self) -> NDArray[np.intp]:
        """Counts (labels, labels) of the faces found, rows truth, columns prediction."""
        found, size = self.confidence > 0, self.probabilities.shape[1]
        cells = self.truth[found] * size + self.predicted[found]
        return np.bincount(cells, minlength=size * size).reshape(size, size)

    def recalls(self) -> NDArray[np.float64]:
        """Recall of each label (labels,); NaN where a label does not occur."""
        size = self.probabilities.shape[1]
        total = np.bincount(self.truth, minlength=size)
        with np.errstate(invalid="ignore"):
            return np.bincount(self.truth[self.correct], minlength=size) / total

    def auc(self) -> NDArray[np.float64]:
        """Area under the ROC curve of each label against the rest (labels,); NaN where there is none."""
        areas = np.full(self.probabilities.shape[1], np.nan)
        for label in range(len(areas)):
            positive = self.truth == label
            if 0 < positive.sum() < len(positive):
                areas[label] = roc_auc_score(positive, self.probabilities[:, label])
        return areas

    def accuracy_at(self, coverage: float) -> float:
        """Accuracy of the fraction ``coverage`` of the faces with the highest confidence."""
        kept = np.argsort(-self.confidence, kind="stable")[: max(1, round(coverage * len(self.truth)))]
        return float(self.correct[kept].mean())

    def figures(self) -> dict[str, float]:
        """Accuracy, macro recall, macro F1, calibration error, and accuracy at a coverage of 0.8."""
        predicted = np.where(self.confidence > 0, self.predicted, -1)
        return {
            "accuracy": float(self.correct.mean()),
            "macro_recall": float(np.nanmean(self.recalls())),
            "macro_f1": float(f1_score(self.truth, predicted, labels=np.unique(self.truth), average="macro")),
            "ece": calibration_error(self.confidence, self.correct),
            "right_at_0.8": self.accuracy_at(0.8),
        }


def predictions(probabilities: Probabilities, part: Faces, recipe: ClassifierRecipe) -> dict[str, Predictions]:
    """Predictions for the sets of a part of the cache that are usual in publications, as far as they hold faces.

    ``ferplus_majority``: faces of FER2013 with more than half of the votes for one label; ``ferplus_plurality``: with
    one label ahead; ``fer2013``: all, with FER2013's own labels; ``photos``: labelled images.
    """
    sets = {}
    if len(part.fer):
        predicted = in_batches(probabilities, centre_crops(part.fer, recipe.width, 1.0))
        of_votes = label_weights(FERPLUS_LABELS, recipe.labels)
        votes = part.votes.astype(np.float32) @ of_votes
        truth, majority = majority_labels(part.votes, recipe.labels)
        ordered = np.sort(votes, 1)
        other_votes = part.votes.sum(1) - (part.votes @ (of_votes.max(1) > 0))
        plurality = (ordered[:, -1] > ordered[:, -2]) & (ordered[:, -1] > other_votes)
        own = from_names(np.array(FER2013_LABELS)[part.fer_labels], recipe.labels, 0.0)
        known = own.sum(1) > 0
        sets["ferplus_majority"] = Predictions(truth[majority], predicted[majority])
        sets["ferplus_plurality"] = Predictions(truth[plurality], predicted[plurality])
        sets["fer2013"] = Predictions(own.argmax(1)[known], predicted[known])
    if len(photos(part)[0]):
        sets["photos"] = photo_predictions(probabilities, part, recipe)
    return {name: each for name, each in sets.items() if len(each.truth)}


def majority_labels(votes: Grey, labels: Mapping) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Label (n,) with most of the FER+ votes (n, 10), and whether it has more than half of them (n,)."""
    of_labels = votes.astype(np.float32) @ label_weights(FERPLUS_LABELS, labels)
    return of_labels.argmax(1), of_labels.max(1) > 0.5 * np.maximum(votes.sum(1), 1)


def photos(part: Faces) -> tuple[NDArray[np.intp], Grey]:
    """Labels (m,) and cached faces (m, h, h) of the labelled images that have one of the recipe's labels."""
    known = part.photo_targets.sum(1) > 0
    return part.photo_targets[known].argmax(1), part.photos[known]


def photo_predictions(probabilities: Probabilities, part: Faces, recipe: ClassifierRecipe) -> Predictions:
    """Predictions for the labelled images of a part, with the recipe's crop, in the order of `photos`."""
    return _of_photos(probabilities, part, centre_crops(photos(part)[1], recipe.width, crop_ratio(recipe)))


def _of_photos(probabilities: Probabilities, part: Faces, crops: Grey) -> Predictions:
    """Predictions for crops of `photos`; rows of zeros where the detector found no face."""
    known = part.photo_targets.sum(1) > 0
    predicted = in_batches(probabilities, crops) * (part.photo_side[known] > 0)[:, None]
    return Predictions(part.photo_targets[known].argmax(1), predicted)


def accuracy_by_face_size(probabilities: Probabilities, part: Faces, recipe: ClassifierRecipe) -> dict[str, float]:
    """Accuracy on labelled images whose faces are shrunk to each of `SIZES`."""
    crops = centre_crops(photos(part)[1], recipe.width, crop_ratio(recipe))
    accuracy = {}
    for size in SIZES:
        small = [cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) for crop in crops]
        enlarged = np.stack([cv2.resize(crop, (recipe.width, recipe.width)) for crop in small])
        accuracy[f"{size} px"] = float(_of_photos(probabilities, part, enlarged).correct.mean())
    return accuracy


def accuracy_by_shift(probabilities: Probabilities, part: Faces, recipe: ClassifierRecipe) -> dict[str, float]:
    """Accuracy on labelled images whose crop is shifted or scaled by each of `SHIFTS`."""
    faces, ratio = photos(part)[1], crop_ratio(recipe)
    return {
        name: float(
            _of_photos(probabilities, part, shifted_crops(faces, recipe.width, ratio * scale, (x, y))).correct.mean()
        )
        for name, (x, y, scale) in SHIFTS.items()
    }


def recall_drop(before: Predictions, after: Predictions, label: int, rounds: int = 1000) -> tuple[float, float]:
    """By how much the recall of a label falls from one model to another on the same faces.

    Returns the fall, and the lower end of its 90 % interval by a paired bootstrap over that label's faces.
    """
    mine = before.truth == label
    gap = before.correct[mine].astype(float) - after.correct[mine]
    draws = np.random.default_rng(0).choice(gap, (rounds, len(gap))).mean(1)
    return float(gap.mean()), float(np.quantile(draws, 0.05))


def figures(sets: dict[str, Predictions]) -> dict[str, float]:
    """The metrics of all sets, named ``SET.METRIC`` as on a card."""
    return {f"{name}.{figure}": value for name, each in sets.items() for figure, value in each.figures().items()}


def validation(values: Floats, targets: Floats) -> dict[str, float]:
    """Accuracy, macro recall and cross-entropy of logits (n, labels) against soft targets (n, labels)."""
    measured = Predictions(targets.argmax(1), softmax(values))
    loss = -(targets * _log_softmax(values)).sum(1).mean()
    return {
        "accuracy": float(measured.correct.mean()),
        "macro_recall": float(np.nanmean(measured.recalls())),
        "loss": float(loss),
    }


def logits(model: keras.Model, crops: Grey) -> Floats:
    """Logits (n, labels) of a Keras model for crops (n, side, side)."""

    def batch(part: Grey) -> Floats:
        return np.asarray(model.predict_on_batch(part[..., None].astype(np.float32)), np.float32)

    return in_batches(batch, crops)


def softmax(values: Floats) -> Floats:
    """Probabilities of logits (n, labels)."""
    return np.exp(_log_softmax(values))


def in_batches(predict: Callable[[Grey], Floats], crops: Grey) -> Floats:
    """Call ``predict`` on `AT_ONCE` crops at a time; ValueError without crops."""
    if not len(crops):
        raise ValueError("crops: must hold at least one face, is empty")
    return np.concatenate([predict(crops[at : at + AT_ONCE]) for at in range(0, len(crops), AT_ONCE)])


def temperature(values: Floats, targets: Floats) -> float:
    """Softmax temperature, 0.4 to 4, of least cross-entropy (Guo et al. 2017).

    ``values`` are logits (n, labels), ``targets`` soft labels (n, labels).
    """
    usable = targets.sum(1) > 0
    candidates = np.exp(np.linspace(np.log(0.4), np.log(4), 120))
    costs = [-(targets[usable] * _log_softmax(values[usable] / each)).sum(1).mean() for each in candidates]
    return float(candidates[int(np.argmin(costs))])


def calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error (Naeini et al. 2015) of confidences (n,) and whether each is correct (n,)."""
    edges = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(confidence[edges == each].mean() - correct[edges == each].mean()) * (edges == each).mean()
        for each in np.unique(edges)
    ]
    return float(sum(gaps))


def accuracy_over_coverage(sets: Sequence[Predictions]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Coverage and accuracy of each set, from the most confident face on (El-Yaniv and Wiener 2010)."""
    curves = []
    for each in sets:
        order = np.argsort(-each.confidence, kind="stable")
        count = np.arange(1, len(order) + 1)
        curves.append((count / len(order), np.cumsum(each.correct[order]) / count))
    return curves


def _log_softmax(values: Floats) -> Floats:
    shifted = values - values.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)), np.float32)
