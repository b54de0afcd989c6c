"""A classifier and faces it was not trained on -> how well it names their expressions, and when it does not know."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from training.data.face_cache import Faces, kept_share, moved, plain
from training.data.label_targets import OWN_LABELS, VOTES, from_names, weights
from training.evaluate import precision_recall
from training.recipe import ClassifierRecipe

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Probabilities = Callable[[Grey], Floats]
"""Crops uint8 (n, side, side) -> probabilities (n, labels)."""
SIZES = (16, 24, 32, 48, 64)
"""Sides of faces, pixels, that photographs are shrunk to."""
SHIFTS = {"left": (-0.1, 0, 1), "right": (0.1, 0, 1), "up": (0, -0.1, 1), "down": (0, 0.1, 1), "wider": (0, 0, 1.1),
          "tighter": (0, 0, 0.9)}  # fmt: skip
"""By how much crops are moved (across, down) and widened, as shares of their side."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Labels (n,) and probabilities (n, labels) of one set of faces; a row of zeros is a face that was not found."""

    truth: NDArray[np.intp]
    probabilities: Floats

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right; no answer is not."""
        return (self.probabilities.argmax(1) == self.truth) & (self.certainty > 0)

    @property
    def certainty(self) -> NDArray[np.float64]:
        """The largest probability of each."""
        return self.probabilities.max(1).astype(np.float64)

    def matrix(self) -> NDArray[np.intp]:
        """Confusion (labels, labels), rows the truth; of the faces found."""
        found = self.certainty > 0
        size = self.probabilities.shape[1]
        return precision_recall.confusion(self.truth[found], self.probabilities.argmax(1)[found], size)

    def recalls(self) -> NDArray[np.float64]:
        """Share of each label that is answered right (labels,); NaN where a label does not occur."""
        size = self.probabilities.shape[1]
        total = np.bincount(self.truth, minlength=size)
        with np.errstate(invalid="ignore"):
            return np.bincount(self.truth[self.right], minlength=size) / total

    def auc(self) -> NDArray[np.float64]:
        """Area under each label's receiver operating characteristic, one against the rest; NaN where it has none."""
        areas = np.full(self.probabilities.shape[1], np.nan)
        for label in range(len(areas)):
            mine = self.truth == label
            if 0 < mine.sum() < len(mine):
                areas[label] = roc_auc_score(mine, self.probabilities[:, label])
        return areas

    def right_at(self, coverage: float) -> float:
        """Share of right answers among the surest ``coverage`` of all."""
        kept = np.argsort(-self.certainty, kind="stable")[: max(1, round(coverage * len(self.truth)))]
        return float(self.right[kept].mean())

    def figures(self) -> dict[str, float]:
        """Accuracy, macro recall and F1, calibration error, and how right the surest four of five are."""
        predictions = np.where(self.certainty > 0, self.probabilities.argmax(1), -1)
        return {
            "accuracy": float(self.right.mean()),
            "macro_recall": float(np.nanmean(self.recalls())),
            "macro_f1": float(f1_score(self.truth, predictions, labels=np.unique(self.truth), average="macro")),
            "ece": precision_recall.calibration_error(self.certainty, self.right),
            "right_at_0.8": self.right_at(0.8),
        }


def predictions(probabilities: Probabilities, part: Faces, recipe: ClassifierRecipe) -> dict[str, Predictions]:
    """A classifier and a part of the cache -> its answers on the sets that are published, as far as they hold faces:
    those of FER2013 of which more than half of the votes agree (``ferplus_majority``), those with one label ahead
    (``ferplus_plurality``), all by FER2013's own labels (``fer2013``), and photographs (``photos``).
    """
    sets = {}
    if len(part.fer):
        seen = in_parts(probabilities, plain(part.fer, recipe.width, 1.0))
        of_votes = weights(VOTES, recipe.labels)
        votes = part.votes.astype(np.float32) @ of_votes
        ordered = np.sort(votes, 1)
        others = part.votes.sum(1) - (part.votes @ (of_votes.max(1) > 0))
        agreed = ordered[:, -1] > 0.5 * np.maximum(part.votes.sum(1), 1)
        ahead = (ordered[:, -1] > ordered[:, -2]) & (ordered[:, -1] > others)
        own = from_names(np.array(OWN_LABELS)[part.own], recipe.labels, 0.0)
        known = own.sum(1) > 0
        sets["ferplus_majority"] = Predictions(votes.argmax(1)[agreed], seen[agreed])
        sets["ferplus_plurality"] = Predictions(votes.argmax(1)[ahead], seen[ahead])
        sets["fer2013"] = Predictions(own.argmax(1)[known], seen[known])
    if len(photos(part)[0]):
        sets["photos"] = photo_answers(probabilities, part, recipe)
    return {name: each for name, each in sets.items() if len(each.truth)}


def photos(part: Faces) -> tuple[NDArray[np.intp], Grey]:
    """The photographs of a part that have one of the recipe's labels: labels (m,) and cached faces (m, h, h)."""
    known = part.photo_targets.sum(1) > 0
    return part.photo_targets[known].argmax(1), part.photos[known]


def photo_answers(probabilities: Probabilities, part: Faces, recipe: ClassifierRecipe) -> Predictions:
    """A classifier and the photographs of a part, cut as the recipe says -> its answers, in the order of `photos`."""
    return _photos(probabilities, part, plain(photos(part)[1], recipe.width, kept_share(recipe)))


def _photos(probabilities: Probabilities, part: Faces, crops: Grey) -> Predictions:
    """Answers to crops of `photos`; none where the detector found no face."""
    known = part.photo_targets.sum(1) > 0
    seen = in_parts(probabilities, crops) * (part.photo_side[known] > 0)[:, None]
    return Predictions(part.photo_targets[known].argmax(1), seen)


def by_size(probabilities: Probabilities, part: Faces, recipe: ClassifierRecipe) -> dict[str, float]:
    """Accuracy on photographs whose faces are as small as this."""
    crops = plain(photos(part)[1], recipe.width, kept_share(recipe))
    found = {}
    for size in SIZES:
        small = [cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) for crop in crops]
        again = np.stack([cv2.resize(crop, (recipe.width, recipe.width)) for crop in small])
        found[f"{size} px"] = float(_photos(probabilities, part, again).right.mean())
    return found


def by_shift(probabilities: Probabilities, part: Faces, recipe: ClassifierRecipe) -> dict[str, float]:
    """Accuracy on photographs whose crop is off by a tenth of its side."""
    faces, share = photos(part)[1], kept_share(recipe)
    return {
        name: float(_photos(probabilities, part, moved(faces, recipe.width, share * wider, (x, y))).right.mean())
        for name, (x, y, wider) in SHIFTS.items()
    }


def drop_in_recall(before: Predictions, after: Predictions, label: int, rounds: int = 1000) -> tuple[float, float]:
    """By how much the recall of a label falls from one model to another on the same faces: the fall, and the lower end
    of its 90 % interval by a paired bootstrap over that label's faces.
    """
    mine = before.truth == label
    gap = before.right[mine].astype(float) - after.right[mine]
    drawn = np.random.default_rng(0).choice(gap, (rounds, len(gap))).mean(1)
    return float(gap.mean()), float(np.quantile(drawn, 0.05))


def interval(right: NDArray[np.bool_]) -> tuple[float, float]:
    """Whether each of n answers is right -> the 95 % interval of their share (Wilson 1927)."""
    n, share, z = len(right), float(right.mean()), 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n)
    return middle - half, middle + half


def figures(sets: dict[str, Predictions]) -> dict[str, float]:
    """The figures of each set, by name of set and figure."""
    return {f"{name}.{figure}": value for name, each in sets.items() for figure, value in each.figures().items()}


def logits(model: keras.Model, crops: Grey) -> Floats:
    """A Keras model, crops (n, side, side) -> logits (n, labels)."""

    def some(part: Grey) -> Floats:
        return np.asarray(model.predict_on_batch(part[..., None].astype(np.float32)), np.float32)

    return in_parts(some, crops)


def softmax(values: Floats) -> Floats:
    """Logits (n, labels) -> probabilities."""
    return np.exp(_log_softmax(values))


def in_parts(one: Callable[[Grey], Floats], crops: Grey) -> Floats:
    """Answers to many crops, a few hundred at a time."""
    if not len(crops):
        raise ValueError("no faces to measure on")
    return np.concatenate([one(crops[at : at + 256]) for at in range(0, len(crops), 256)])


def temperature(values: Floats, targets: Floats) -> float:
    """Logits (n, labels) and soft labels -> the temperature of least cross-entropy (Guo et al. 2017), 0.4 to 4."""
    usable = targets.sum(1) > 0
    candidates = np.exp(np.linspace(np.log(0.4), np.log(4), 120))
    costs = [-(targets[usable] * _log_softmax(values[usable] / each)).sum(1).mean() for each in candidates]
    return float(candidates[int(np.argmin(costs))])


def risk(sets: Sequence[Predictions]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Of each set: coverage and the share of right answers among those covered, the surest first (El-Yaniv and Wiener
    2010).
    """
    curves = []
    for each in sets:
        order = np.argsort(-each.certainty, kind="stable")
        count = np.arange(1, len(order) + 1)
        curves.append((count / len(order), np.cumsum(each.right[order]) / count))
    return curves


def _log_softmax(values: Floats) -> Floats:
    shifted = values - values.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)), np.float32)
