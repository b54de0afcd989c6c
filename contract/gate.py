"""Limits of what an int8 model may lose compared with the float model, and the check of a card's own figures."""

from collections.abc import Iterator

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
FORCED = "Forced past the gate:"
"""Begins the note of a card whose model failed the gate and was bundled all the same."""


def card_faults(card: Card) -> Iterator[str]:
    """Yield the faults of a model that the figures and notes of its card show."""
    if FORCED in card.notes:
        yield f"notes: must not say {FORCED!r}"
    compared = 0
    for name, before in card.figures.items():
        figure, _, precision = name.rpartition(".")
        after = card.figures.get(f"{figure}.int8")
        limit = LIMITS.get(figure.rpartition(".")[2])
        if precision != "float" or after is None or limit is None:
            continue
        compared += 1
        if not before - after <= limit:
            yield f"figures: {figure} must fall by at most {limit}, falls from {before} to {after}"
    if not compared:
        yield f"figures: must have the float and int8 values of {', '.join(LIMITS)}, have none"
