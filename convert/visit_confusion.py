"""A classifier and faces it was not trained on -> how it answers whole visits, which is what an analyst corrects by.

A visit is one face, looked at several times: each look is cut a little off, and spoiled as worse
cameras and light spoil pictures. Every look goes through the device's own `edge.vision.classify`, and every visit through its
own `edge.counting.tally`, so that thresholds and the sum over sightings are those that run. Faces of one person at several
moments are not to be had with labels: of what changes within a visit, only place, light and noise change here.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.labels import UNKNOWN
from edge.counting.tally import Tally
from edge.values import Face, Track
from edge.vision.classify import Classifier
from training.augment.lighting import degrade
from training.data.face_cache import moved
from training.data.label_targets import VOTES, Mapping, weights

Grey = NDArray[np.uint8]
LOOKS = (3, 12)
"""A visit has at least so many looks, and fewer than so many."""
OFF = 0.06
"""Standard deviation of where a look is cut, as a share of the face."""
AT_ONCE = 256


def majority_labels(votes: NDArray[np.uint8], labels: Mapping) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """FER+ votes (n, 10) and a recipe's labels -> the label of each face, (n,), and whether more than half of its
    taggers gave it.
    """
    of_labels = votes.astype(np.float32) @ weights(VOTES, labels)
    return of_labels.argmax(1), of_labels.max(1) > 0.5 * np.maximum(votes.sum(1), 1)


def simulate_visits(classifier: Classifier, faces: Grey, chance: np.random.Generator) -> NDArray[np.intp]:
    """Faces (n, h, h), one visit each -> the number of each visit's label, (n,); that of ``unknown`` is the last."""
    labels = classifier.card.labels
    tallies = [Tally(labels, 60.0, 0.0, 60.0) for _ in faces]
    tracks = [Track(number, Face((0.0, 0.0, 1.0, 1.0), 1.0), 0.0, 0.0, 0) for number in range(len(faces))]
    looks = chance.integers(*LOOKS, len(faces))
    for look in range(LOOKS[1] - 1):
        looking = np.flatnonzero(looks > look)
        for at in range(0, len(looking), AT_ONCE):
            some = looking[at : at + AT_ONCE]
            crops = [_look(faces[number], classifier.card.input.width, chance) for number in some]
            for number, expression in zip(some, classifier.classify_crops(crops), strict=True):
                tallies[number].sight([tracks[number]], [expression])
    names = (*labels, UNKNOWN)
    return np.array([_verdict(*each, names) for each in zip(tallies, tracks, strict=True)], np.intp)


def confusion_matrix(truth: NDArray[np.intp], answered: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Labels and answers of visits, (n,) each -> how often each goes with each, (size, size + 1), rows the truth."""
    return np.bincount(truth * (size + 1) + answered, minlength=size * (size + 1)).reshape(size, size + 1)


def _look(face: Grey, side: int, chance: np.random.Generator) -> Grey:
    """One look at a face: off a little, wider or tighter, spoiled; (side, side)."""
    shift = (float(chance.normal(0, OFF)), float(chance.normal(0, OFF)))
    cut = moved(face[None], side, float(chance.uniform(0.9, 1.05)), shift)[0]
    return degrade(chance, cv2.flip(cut, 1) if chance.random() < 0.5 else cut)


def _verdict(tally: Tally, track: Track, names: tuple[str, ...]) -> int:
    """The visit is over: what it counted as."""
    tally.look(1.0)
    tally.count([track], [track.number])
    (window,) = tally.finish()
    return next(number for number, name in enumerate(names) if window.visits[name])
