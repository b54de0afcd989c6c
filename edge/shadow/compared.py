"""The numbers of a comparison: how often two classifiers predicted what for the same visits."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Compared:
    """Visits by their two predictions. Nothing is kept per visit."""

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of visits by the label of the active classifier and that of the shadow classifier."""
    skipped: int = 0
    """Visits that were drawn and could not be compared."""
