"""Votes and labels of others -> distributions over the labels of a recipe."""

import numpy as np
from numpy.typing import NDArray

FERPLUS_LABELS = [
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
]
"""The columns of FER+ (Barsoum et al. 2016): ten taggers a face."""
FER2013_LABELS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
"""FER2013's own label 0..6 (Goodfellow et al. 2013)."""
Mapping = dict[str, dict[str, float]]
"""Label of the model -> votes or labels of the data -> their weight."""
Floats = NDArray[np.float32]


def label_weights(names: list[str], mapping: Mapping) -> Floats:
    """Names of votes or labels (n) -> what each adds to each label of the model, (n, labels)."""
    return np.array([[row.get(name, 0.0) for row in mapping.values()] for name in names], np.float32).reshape(
        len(names), len(mapping)
    )


def from_votes(votes: NDArray[np.uint8], mapping: Mapping) -> Floats:
    """FER+ votes (n, 10) -> distributions (n, labels); rows of zeros where no verdict.

    Single votes are taken as slips (as Barsoum et al. 2016 do); a row is out if the labels get less than half of all
    votes.
    """
    counted = np.where(votes > 1, votes, 0).astype(np.float32)
    mapped = counted @ label_weights(FERPLUS_LABELS, mapping)
    total = mapped.sum(1, keepdims=True)
    enough = total >= 0.5 * np.maximum(counted.sum(1, keepdims=True), 1)
    return np.where(enough & (total > 0), mapped / np.maximum(total, 1e-6), 0).astype(np.float32)


def from_names(labels: NDArray[np.str_], mapping: Mapping, smooth: float) -> Floats:
    """Names of labels (m,) -> distributions (m, labels), ``smooth`` of them spread evenly; zeros if unmapped."""
    mapped = label_weights(labels.tolist(), mapping)
    total = mapped.sum(1, keepdims=True)
    sharp = mapped / np.maximum(total, 1e-6)
    return np.where(total > 0, (1 - smooth) * sharp + smooth / len(mapping), 0).astype(np.float32)
