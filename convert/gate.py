"""The gate: which faults keep an int8 model from becoming a bundle."""

from collections.abc import Mapping, Sequence

import numpy as np

from contract.errors import BundleError
from contract.gate import (
    FORCED,
    MAX_ACCURACY_DROP,
    MAX_PRECISION_DROP,
    MAX_RECALL_DROP,
    Comparison,
    comparisons,
)
from training.trained_run import Predictions, recall_drop

MANY = 100
"""Faces of a label from which its recall is compared as measured. With fewer, only a fall that 95 of 100 bootstrap
draws confirm counts."""


def detector_faults(before: float, after: float) -> list[str]:
    """Faults of a detector by its average precision, float and int8."""
    if not Comparison("ap", before, after, MAX_PRECISION_DROP).is_within:
        return [f"average precision falls from {before:.4f} to {after:.4f}; {MAX_PRECISION_DROP} is allowed"]
    return []


def check_faults(figures: Mapping[str, float]) -> list[str]:
    """Faults of a face check by the figures of its card: areas under the ROC curve and average precision."""
    return [
        f"{each.figure} falls from {each.before:.4f} to {each.after:.4f}; {each.limit} is allowed"
        for each in comparisons(figures)
        if not each.is_within
    ]


def classifier_faults(before: Predictions, after: Predictions, labels: Sequence[str]) -> list[str]:
    """Faults of a classifier by the float and int8 models' predictions for the same faces.

    The int8 model must be close to the float model, better than always predicting the most frequent label, and must
    recognise some faces of each label.
    """
    faults = []
    was, now = float(before.correct.mean()), float(after.correct.mean())
    if not Comparison("accuracy", was, now, MAX_ACCURACY_DROP).is_within:
        faults.append(f"accuracy falls from {was:.4f} to {now:.4f}; {MAX_ACCURACY_DROP} is allowed")
    counts = np.bincount(after.truth, minlength=len(labels))
    majority = float(counts.max() / counts.sum())
    if now <= majority:
        label = labels[int(counts.argmax())]
        faults.append(f"accuracy is {now:.4f}; more than {majority:.4f}, the fraction of {label}, is allowed")
    for index, label in enumerate(labels):
        if not counts[index]:
            continue
        if not after.correct[after.truth == index].any():
            faults.append(f"recall of {label} is 0 on {counts[index]} faces; more than 0 is allowed")
        fall, at_least = recall_drop(before, after, index)
        if (fall if counts[index] >= MANY else at_least) > MAX_RECALL_DROP:
            faults.append(
                f"recall of {label} falls by {fall:.3f} on {counts[index]} faces; {MAX_RECALL_DROP} is allowed"
            )
    return faults


def check(name: str, faults: Sequence[str], force: bool = False) -> str:
    """A note for the card: empty without faults. BundleError if there are faults, unless ``force``."""
    if not faults:
        return ""
    if not force:
        raise BundleError(f"{name}: {'; '.join(faults)} (--force writes the bundle all the same)")
    return f" {FORCED} {'; '.join(faults)}."
