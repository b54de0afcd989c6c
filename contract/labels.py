"""Expression labels: which names are valid, and the hash that identifies an ordered set of them."""

import hashlib
import re
from collections.abc import Iterable

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The seven labels of the shipped bundle, in the order of its output."""

UNKNOWN = "unknown"
"""Label of a visit without a single good observation; never an output of a model."""

LABEL_PATTERN = r"^[a-z][a-z0-9_]{0,31}$(?!\n)"
MAX_LABELS = 32


def check_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the labels of a bundle as a tuple. Raise ValueError, which names the label, if they are invalid.

    A bundle has 2 to 32 labels. Each is a lower-case word (``a-z 0-9 _``), unique, and not ``unknown``.
    """
    checked = tuple(labels)
    if not 2 <= len(checked) <= MAX_LABELS:
        raise ValueError(f"a bundle must have 2 to {MAX_LABELS} labels, not {len(checked)}")
    for label in checked:
        if not re.fullmatch(LABEL_PATTERN, label):
            raise ValueError(
                f"label must be at most 32 characters of a-z, 0-9 and _, beginning with a letter, is {label!r}"
            )
    if UNKNOWN in checked:
        raise ValueError(f"label {UNKNOWN!r} is reserved for visits without a good observation")
    if len(set(checked)) != len(checked):
        raise ValueError(f"labels must be unique, are {', '.join(checked)}")
    return checked


def labelset(columns: Iterable[str]) -> str:
    """Return 32 hex digits that identify the ordered count columns (labels and ``unknown``) in a file name.

    These are the first 128 bits of SHA-256: with 32 bits a second set with the same name can be found by search.
    """
    return hashlib.sha256("\n".join(columns).encode()).hexdigest()[:32]
