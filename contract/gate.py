"""Limits of what an int8 model may lose compared with the float model, and the check of a card's own figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contract.card import Card

MAX_PRECISION_DROP, MAX_ACCURACY_DROP, MAX_RECALL_DROP = 0.01, 0.005, 0.03
"""Allowed fall from float to int8: of average precision and the area under the ROC curve, of accuracy, of recall."""
LIMITS = {
    "ap": MAX_PRECISION_DROP,
    "auc": MAX_PRECISION_DROP,
    "accuracy": MAX_ACCURACY_DROP,
    "macro_recall": MAX_RECALL_DROP,
}
"""The same by the names of figures in a card."""
DIGITS = 6
"""Falls are rounded to so many digits: figures have four, and differences of binary numbers are not exact."""
FORCED = "Forced past the gate:"
"""Begins the note of a card whose model failed the gate and was bundled all the same."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of the float model beside the int8 model's."""

    figure: str
    """Name, such as ``faces.ap``."""
    before: float
    """Value of the float model."""
    after: float
    """Value of the int8 model."""
    limit: float
    """Largest allowed fall."""

    @property
    def is_within(self) -> bool:
        """Whether it falls by at most the limit; a figure that is not a number is not within."""
        return round(self.before - self.after, DIGITS) <= self.limit


def comparisons(figures: Mapping[str, float]) -> Iterator[Comparison]:
    """Compare the figures of a card that have a limit, float and int8."""
    for name, before in figures.items():
        figure, _, precision = name.rpartition(".")
        after = figures.get(f"{figure}.int8")
        limit = LIMITS.get(figure.rpartition(".")[2])
        if precision == "float" and after is not None and limit is not None:
            yield Comparison(figure, before, after, limit)


def card_faults(card: Card) -> Iterator[str]:
    """Yield the faults of a model that the figures and notes of its card show."""
    if FORCED in card.notes:
        yield f"notes: must not say {FORCED!r}"
    compared = list(comparisons(card.figures))
    for each in compared:
        if not each.is_within:
            yield f"figures: {each.figure} must fall by at most {each.limit}, falls from {each.before} to {each.after}"
    if not compared:
        yield f"figures: must have the float and int8 values of {', '.join(LIMITS)}, have none"
