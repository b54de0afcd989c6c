"""Turn FER+ votes and label names into target distributions over a recipe's labels."""

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
"""Columns of votes in FER+ (Barsoum et al. 2016), in which ten taggers vote on each face; ``NF`` is no face."""
FER2013_LABELS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
"""Names of FER2013's own labels 0 to 6 (Goodfellow et al. 2013)."""
MIN_VOTES = 2
"""Fewer votes for a label are taken as mistakes of single taggers, as in Barsoum et al. 2016."""
MIN_VOTE_FRACTION = 0.5
"""Fraction of a face's votes that the recipe's labels must get; otherwise the face has no target."""
Mapping = dict[str, dict[str, float]]
"""For each label of the model, the weights of the votes or label names it is made of."""
Floats = NDArray[np.float32]


def label_weights(names: list[str], mapping: Mapping) -> Floats:
    """Weight of each of n votes or label names in each label of the model, (n, labels)."""
    rows = [[sources.get(name, 0.0) for sources in mapping.values()] for name in names]
    return np.array(rows, np.float32).reshape(len(names), len(mapping))


def from_votes(votes: NDArray[np.uint8], mapping: Mapping) -> Floats:
    """Target distributions (n, labels) from FER+ votes (n, 10).

    A row is zero if the mapped labels get less than half of the face's votes. Single votes are not counted.
    """
    counted = np.where(votes >= MIN_VOTES, votes, 0).astype(np.float32)
    mapped = counted @ label_weights(FERPLUS_LABELS, mapping)
    total = mapped.sum(1, keepdims=True)
    enough = total >= MIN_VOTE_FRACTION * np.maximum(counted.sum(1, keepdims=True), 1)
    return np.where(enough & (total > 0), mapped / np.maximum(total, 1e-6), 0).astype(np.float32)


def from_names(labels: NDArray[np.str_], mapping: Mapping, smoothing: float) -> Floats:
    """Target distributions (m, labels) from label names (m,), with label smoothing (Szegedy et al. 2016).

    ``smoothing`` (0 to 1) is the fraction that is spread evenly over all labels. The row of an unmapped name is zero.
    """
    mapped = label_weights(labels.tolist(), mapping)
    total = mapped.sum(1, keepdims=True)
    distribution = mapped / np.maximum(total, 1e-6)
    smoothed = (1 - smoothing) * distribution + smoothing / len(mapping)
    return np.where(total > 0, smoothed, 0).astype(np.float32)
