"""Measure the confusion matrix of whole visits, with which an analyst corrects counts.

A visit is simulated as one face that is observed several times. Each observation is a crop that is shifted a little and
degraded as by a worse camera or worse light. Observations go through the device's own `edge.vision.classify` and visits
through its own `edge.counting.tally`, so thresholds and summed probabilities are those of a device. Labelled faces of
one person at several moments do not exist: only position, light and noise vary within a simulated visit.
"""

import numpy as np
from numpy.typing import NDArray

from contract.labels import UNKNOWN
from edge.counting.tally import Tally
from edge.values import Face, Track
from edge.vision.classify import Classifier
from training.trained_run import majority_labels, random_view

__all__ = ["confusion_matrix", "majority_labels", "simulate_visits"]

Grey = NDArray[np.uint8]
OBSERVATIONS = (3, 12)
"""Observations of a visit: at least the first, fewer than the second."""
AT_ONCE = 256
"""Crops in one call of the classifier."""


def simulate_visits(classifier: Classifier, faces: Grey, rng: np.random.Generator) -> NDArray[np.intp]:
    """Index of the label (n,) that a device counts for a visit of each face (n, h, h); ``unknown`` is last."""
    labels = classifier.card.labels
    tallies = [Tally(labels, 60.0, 0.0, 60.0) for _ in faces]
    tracks = [Track(number, Face((0.0, 0.0, 1.0, 1.0), 1.0), 0.0, 0.0, 0) for number in range(len(faces))]
    observations = rng.integers(*OBSERVATIONS, len(faces))
    for observation in range(OBSERVATIONS[1] - 1):
        visible = np.flatnonzero(observations > observation)
        for at in range(0, len(visible), AT_ONCE):
            some = visible[at : at + AT_ONCE]
            crops = [random_view(faces[number], classifier.card.input.width, rng) for number in some]
            for number, expression in zip(some, classifier.classify_crops(crops), strict=True):
                tallies[number].sight([tracks[number]], [expression])
    names = (*labels, UNKNOWN)
    return np.array([_counted(*each, names) for each in zip(tallies, tracks, strict=True)], np.intp)


def confusion_matrix(truth: NDArray[np.intp], counted: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Counts (size, size + 1) of true labels (n,) and counted labels (n,), rows truth, the last column ``unknown``."""
    return np.bincount(truth * (size + 1) + counted, minlength=size * (size + 1)).reshape(size, size + 1)


def _counted(tally: Tally, track: Track, names: tuple[str, ...]) -> int:
    """End a visit, and return the index of the label it was counted under."""
    tally.look(1.0)
    tally.count([track], [track.number])
    (window,) = tally.finish()
    return next(number for number, name in enumerate(names) if window.visits[name])
