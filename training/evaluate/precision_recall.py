"""Faces found and faces labelled -> precision, recall and what follows from them. Pure NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.values import Face

SMALLEST_RATIO, LARGEST_RATIO = 0.1, 1.8
"""A face found belongs to a label if its centre lies in the label and its area is this much of the label's: people draw
looser boxes than detectors, so overlap misleads."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImageDetections:
    """Of one picture: what was found, the labelled boxes (n, 4), and which of them count (the others may be found or
    not, as may what lies on them).
    """

    found: Sequence[Face]
    boxes: NDArray[np.float32]
    counts: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Curve:
    """Found faces, best first: score, and whether each is right (n,); how many there were to find, in how many
    pictures.
    """

    scores: Floats
    right: NDArray[np.bool_]
    labels: int
    pictures: int

    @property
    def recall(self) -> Floats:
        """Share of the labels found down to each face."""
        return np.cumsum(self.right) / max(self.labels, 1)

    @property
    def precision(self) -> Floats:
        """Share of the faces found that are right, down to each."""
        return np.cumsum(self.right) / np.arange(1, len(self.right) + 1)

    def average_precision(self) -> float:
        """Area under the precision that can be had at each recall or more (PASCAL VOC 2010, all points)."""
        best = np.maximum.accumulate(self.precision[::-1])[::-1]
        steps = np.diff(np.concatenate([[0.0], self.recall]))
        return float((best * steps).sum())

    def recall_at(self, false_per_picture: float) -> float:
        """Recall at the lowest threshold with no more false faces a picture than this."""
        false = np.cumsum(~self.right) / max(self.pictures, 1)
        allowed = np.flatnonzero(false <= false_per_picture)
        return float(self.recall[allowed[-1]]) if len(allowed) else 0.0

    def recall_over(self, threshold: float) -> float:
        """Recall of the faces found with at least this score."""
        return float(self.right[self.scores >= threshold].sum() / max(self.labels, 1))


def curve(pictures: Sequence[ImageDetections]) -> Curve:
    """Pictures -> the curve of all faces found in them."""
    rows = [row for picture in pictures for row in match(picture)]
    rows.sort(key=lambda row: -row[0])
    scores, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], bool)
    return Curve(scores, right, int(sum(picture.counts.sum() for picture in pictures)), len(pictures))


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference and the interval that holds it 95 times in 100."""

    value: float
    low: float
    high: float


def difference(ours: Sequence[ImageDetections], theirs: Sequence[ImageDetections], rounds: int = 2000, seed: int = 0) -> Difference:
    """What two detectors found in the same pictures -> by how much the first one's average precision is higher.

    Paired bootstrap by picture: pictures are drawn with replacement, both detectors scored on the same draw (Efron and
    Tibshirani 1993).
    """
    rng = np.random.default_rng(seed)
    sides = [_Rows.of(pictures) for pictures in (ours, theirs)]
    drawn = rng.multinomial(len(ours), np.full(len(ours), 1 / len(ours)), rounds)
    gaps = [sides[0].average_precision(times) - sides[1].average_precision(times) for times in drawn]
    once = np.ones(len(ours), int)
    low, high = np.quantile(gaps, (0.025, 0.975))
    return Difference(sides[0].average_precision(once) - sides[1].average_precision(once), float(low), float(high))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Found faces of all pictures, best first: whether right, and in which picture; labels of each picture."""

    right: NDArray[np.bool_]
    owner: NDArray[np.intp]
    labels: NDArray[np.intp]

    @classmethod
    def of(cls, pictures: Sequence[ImageDetections]) -> "_Rows":
        rows = [(*row, index) for index, picture in enumerate(pictures) for row in match(picture)]
        rows.sort(key=lambda row: -row[0])
        right, owner = np.array([row[1] for row in rows], bool), np.array([row[2] for row in rows], np.intp)
        return cls(right, owner, np.array([picture.counts.sum() for picture in pictures], np.intp))

    def average_precision(self, times: NDArray[np.intp]) -> float:
        """With each picture counted so many times (pictures,)."""
        weight = times[self.owner]
        hits, all_found = np.cumsum(weight * self.right), np.cumsum(weight)
        precision = hits / np.maximum(all_found, 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return float((best * weight * self.right).sum() / max(int(times @ self.labels), 1))


def match(picture: ImageDetections) -> list[tuple[float, bool]]:
    """Faces of one picture, best first -> score and whether it is right; each label is found once, and faces on labels
    that do not count are left out.
    """
    free = picture.counts.copy()
    rows = []
    for face in sorted(picture.found, key=lambda face: -face.score):
        fits = _fits(face, picture.boxes)
        if (fits & free).any():
            free[np.flatnonzero(fits & free)[0]] = False
            rows.append((face.score, True))
        elif not (fits & ~picture.counts).any():
            rows.append((face.score, False))
    return rows


def _fits(face: Face, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which labels (n, 4) a face may be."""
    centre, (_, _, width, height) = np.array(face.centre), face.box
    inside = ((centre >= boxes[:, :2]) & (centre <= boxes[:, :2] + boxes[:, 2:])).all(1)
    ratio = width * height / np.maximum(boxes[:, 2:].prod(1), 1e-6)
    return inside & (ratio >= SMALLEST_RATIO) & (ratio <= LARGEST_RATIO)


def confusion(truth: NDArray[np.intp], answer: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Labels (n,) and answers (n,), 0..size-1 -> counts (size, size), rows the truth."""
    return np.bincount(truth * size + answer, minlength=size * size).reshape(size, size)


def macro_recall(matrix: NDArray[np.intp]) -> float:
    """The mean over labels that occur of the share answered right."""
    total = matrix.sum(1)
    return float((np.diag(matrix)[total > 0] / total[total > 0]).mean())


def calibration_error(probabilities: Floats, right: NDArray[np.bool_], bins: int = 15) -> float:
    """Certainty of answers (n,) and whether they are right -> expected calibration error (Naeini et al. 2015)."""
    edges = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [
        abs(probabilities[edges == each].mean() - right[edges == each].mean()) * (edges == each).mean()
        for each in np.unique(edges)
    ]
    return float(sum(gaps))
