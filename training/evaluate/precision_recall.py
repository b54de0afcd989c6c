"""Match detections with labelled faces; precision, recall, average precision and their paired bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.values import Face

MIN_AREA_RATIO, MAX_AREA_RATIO = 0.1, 1.8
"""A detection matches a label if its centre lies inside the label and the ratio of their areas is in this range. People
draw looser boxes than detectors, so intersection over union would mislead."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImageDetections:
    """Detections and labels of one image."""

    detections: Sequence[Face]
    labels: NDArray[np.float32]
    """Boxes (n, 4): left, top, width, height, pixels."""
    required: NDArray[np.bool_]
    """Which labels (n,) must be detected. The others may be detected or not; both are ignored."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Detections of several images in order of falling score."""

    scores: Floats
    """Score of each detection (n,)."""
    correct: NDArray[np.bool_]
    """Whether each detection matches a label (n,)."""
    labels: int
    """Number of labels that must be detected."""
    images: int
    """Number of images."""

    @property
    def recall(self) -> Floats:
        """Recall (n,) with all detections down to each one."""
        return np.cumsum(self.correct) / max(self.labels, 1)

    @property
    def precision(self) -> Floats:
        """Precision (n,) of all detections down to each one."""
        return np.cumsum(self.correct) / np.arange(1, len(self.correct) + 1)

    def average_precision(self) -> float:
        """Area under the highest precision at each recall or more (PASCAL VOC 2010, all points)."""
        best = np.maximum.accumulate(self.precision[::-1])[::-1]
        steps = np.diff(np.concatenate([[0.0], self.recall]))
        return float((best * steps).sum())

    def recall_at(self, false_per_image: float) -> float:
        """Recall at the lowest threshold with at most so many false detections an image."""
        false = np.cumsum(~self.correct) / max(self.images, 1)
        allowed = np.flatnonzero(false <= false_per_image)
        return float(self.recall[allowed[-1]]) if len(allowed) else 0.0

    def recall_over(self, threshold: float) -> float:
        """Recall at a threshold."""
        return float(self.correct[self.scores >= threshold].sum() / max(self.labels, 1))


def curve(images: Sequence[ImageDetections]) -> Curve:
    """The curve of all detections in some images."""
    rows = [row for image in images for row in match(image)]
    rows.sort(key=lambda row: -row[0])
    scores, correct = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], bool)
    return Curve(scores, correct, int(sum(image.required.sum() for image in images)), len(images))


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference and its 95 % interval."""

    value: float
    low: float
    high: float


def difference(
    ours: Sequence[ImageDetections], theirs: Sequence[ImageDetections], rounds: int = 2000, seed: int = 0
) -> Difference:
    """Average precision of one detector minus that of another on the same images.

    The interval is a paired bootstrap by image: images are drawn with replacement, and both detectors are scored on the
    same draw (Efron and Tibshirani 1993).
    """
    rng = np.random.default_rng(seed)
    sides = [_Rows.of(images) for images in (ours, theirs)]
    draws = rng.multinomial(len(ours), np.full(len(ours), 1 / len(ours)), rounds)
    gaps = [sides[0].average_precision(counts) - sides[1].average_precision(counts) for counts in draws]
    once = np.ones(len(ours), int)
    low, high = np.quantile(gaps, (0.025, 0.975))
    return Difference(sides[0].average_precision(once) - sides[1].average_precision(once), float(low), float(high))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Detections in order of falling score, each with its image, for weighted images."""

    correct: NDArray[np.bool_]
    image: NDArray[np.intp]
    labels: NDArray[np.intp]
    """Labels of each image (images,)."""

    @classmethod
    def of(cls, images: Sequence[ImageDetections]) -> "_Rows":
        rows = [(*row, index) for index, image in enumerate(images) for row in match(image)]
        rows.sort(key=lambda row: -row[0])
        correct, image = np.array([row[1] for row in rows], bool), np.array([row[2] for row in rows], np.intp)
        return cls(correct, image, np.array([each.required.sum() for each in images], np.intp))

    def average_precision(self, counts: NDArray[np.intp]) -> float:
        """Average precision with each image counted so many times (images,)."""
        weight = counts[self.image]
        true, all_detections = np.cumsum(weight * self.correct), np.cumsum(weight)
        precision = true / np.maximum(all_detections, 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return float((best * weight * self.correct).sum() / max(int(counts @ self.labels), 1))


def match(image: ImageDetections) -> list[tuple[float, bool]]:
    """Score and correctness of the detections of one image, highest score first.

    A label is matched once. Detections of labels that are not required are left out.
    """
    free = image.required.copy()
    rows = []
    for face in sorted(image.detections, key=lambda face: -face.score):
        fits = _matching(face, image.labels)
        if (fits & free).any():
            free[np.flatnonzero(fits & free)[0]] = False
            rows.append((face.score, True))
        elif not (fits & ~image.required).any():
            rows.append((face.score, False))
    return rows


def _matching(face: Face, labels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which labels (n,) a detection can match."""
    centre, (_, _, width, height) = np.array(face.centre), face.box
    inside = ((centre >= labels[:, :2]) & (centre <= labels[:, :2] + labels[:, 2:])).all(1)
    ratio = width * height / np.maximum(labels[:, 2:].prod(1), 1e-6)
    return inside & (ratio >= MIN_AREA_RATIO) & (ratio <= MAX_AREA_RATIO)
