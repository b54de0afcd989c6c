"""Names of expressions: what a label may look like, and the hash of an ordered set of them."""

import hashlib
import re
from collections.abc import Iterable

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The seven labels of the shipped bundle, in the order of its output."""

UNKNOWN = "unknown"
"""A visit none of whose sightings passed the quality gate; never an output of a model."""

LABEL_PATTERN = r"^[a-z][a-z0-9_]{0,31}$(?!\n)"
MAX_LABELS = 32


def check_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels of one bundle -> the same as a tuple, or ValueError that says which one is wrong.

    At least two, at most 32, lower-case words (``a-z 0-9 _``), no repeats, none of them ``unknown``.
    """
    checked = tuple(labels)
    if not 2 <= len(checked) <= MAX_LABELS:
        raise ValueError(f"a bundle has 2 to {MAX_LABELS} labels, not {len(checked)}")
    for label in checked:
        if not re.fullmatch(LABEL_PATTERN, label):
            raise ValueError(f"label {label!r}: lower-case letters, digits and _ only, at most 32 characters")
    if UNKNOWN in checked:
        raise ValueError(f"label {UNKNOWN!r} is reserved for visits without a verdict")
    if len(set(checked)) != len(checked):
        raise ValueError(f"a label stands twice in {', '.join(checked)}")
    return checked


def labelset(columns: Iterable[str]) -> str:
    """Ordered count columns (labels and ``unknown``) -> 32 hex digits that name the set in a file name.

    128 bits of SHA-256: a second set with the same name cannot be found by search, as it could with 32 bits.
    """
    return hashlib.sha256("\n".join(columns).encode()).hexdigest()[:32]
