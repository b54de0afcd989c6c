"""Float and int8 models measured on the same data -> the int8 one may leave, or why not."""

from collections.abc import Sequence

from contract.errors import BundleError
from training.evaluate.classifier_metrics import Predictions, drop_in_recall

PRECISION, ACCURACY, RECALL = 0.01, 0.005, 0.03
"""By how much average precision, accuracy, and the recall of one label may fall."""
MANY = 100
"""With fewer rows of a label its recall is too uncertain to be taken as it stands: only a fall that 95 of 100 bootstrap
draws confirm is one."""


def detector(before: float, after: float) -> None:
    """BundleError if the average precision falls by more than is allowed."""
    if before - after > PRECISION:
        raise BundleError(f"average precision falls from {before:.4f} to {after:.4f}; {PRECISION} is allowed")


def classifier(before: Predictions, after: Predictions, labels: Sequence[str]) -> None:
    """BundleError if the accuracy, or the recall of a label, falls by more than is allowed."""
    was, now = float(before.right.mean()), float(after.right.mean())
    if was - now > ACCURACY:
        raise BundleError(f"accuracy falls from {was:.4f} to {now:.4f}; {ACCURACY} is allowed")
    for index, label in enumerate(labels):
        rows = int((before.truth == index).sum())
        if not rows:
            continue
        fall, surely = drop_in_recall(before, after, index)
        if (fall if rows >= MANY else surely) > RECALL:
            raise BundleError(f"recall of {label} falls by {fall:.3f} on {rows} faces; {RECALL} is allowed")
