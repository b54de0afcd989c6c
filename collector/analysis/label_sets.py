"""Label sets: which labels the classifiers of a table have. Visits of two label sets have no common total.

A shop whose model was exchanged has visits by seven expressions before, and by two age groups after. Their shares would
add up to 200 %. Every view is therefore of one label set; a label map joins sets that differ only in names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from collector.store.columns import DOUBTFUL_COLUMNS, VISITS
from collector.store.load import labels
from contract.labels import UNKNOWN, labelset

DIGITS = 8
"""Hexadecimal digits of a label set's name."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """One set of labels, and how many visits were counted under them."""

    name: str
    """Hexadecimal digits that follow from the labels."""
    labels: tuple[str, ...]
    """In the order of the table, without ``unknown``."""
    visits: float

    def __str__(self) -> str:
        return ", ".join(self.labels) or f"label set {self.name}, without visits in this period"


def label_sets(frame: pd.DataFrame) -> list[LabelSet]:
    """Return the label sets of a table of windows or cells, the one with the most visits first."""
    return [each for each, _ in _members(frame)]


def with_label_set(frame: pd.DataFrame, name: str | None = None) -> tuple[pd.DataFrame, list[LabelSet]]:
    """Return the rows and label columns of one label set, and all sets of the table, the chosen one first.

    Without a name the set with the most visits is chosen; a name that the table does not have gives no rows and a set
    without labels.
    """
    members = _members(frame)
    chosen = next((each for each in members if name in (None, each[0].name)), None)
    if chosen is None:
        missing = [] if name is None else [LabelSet(name, (), 0.0)]
        return frame.iloc[:0], [*missing, *(each for each, _ in members)]
    found, rows = chosen
    rest = [each for each, _ in members if each is not found]
    others = [column for column in labels(frame) if column not in (*found.labels, UNKNOWN)]
    if not rest:
        return frame.drop(columns=others) if others else frame, [found]
    return frame[rows].drop(columns=others).reset_index(drop=True), [found, *rest]


def with_label_map(frame: pd.DataFrame, label_map: Mapping[str, str]) -> pd.DataFrame:
    """Return a table whose labels have the names of a map; counts of labels that get one name are added."""
    names = labels(frame)
    targets = [label_map.get(name, name) for name in names]
    if targets == names:
        return frame
    joined = {
        target: frame[[name for name, to in zip(names, targets, strict=True) if to == target]].sum(axis=1, min_count=1)
        for target in sorted(set(targets), key=lambda name: (name == UNKNOWN, targets.index(name)))
    }
    return pd.concat([frame.drop(columns=names), pd.DataFrame(joined, index=frame.index)], axis=1)


def _members(frame: pd.DataFrame) -> list[tuple[LabelSet, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]]:
    """Return each label set with the rows that have it, most visits first."""
    names = [name for name in labels(frame) if name not in (VISITS, *DOUBTFUL_COLUMNS)]
    if not len(frame):
        return []
    counts = frame[names].to_numpy(np.float64)
    has = ~np.isnan(counts)
    if (has == has[0]).all():  # the common case, several times faster
        own = tuple(name for name, known in zip(names, has[0], strict=True) if known and name != UNKNOWN)
        return [(LabelSet(labelset(sorted(own))[:DIGITS], own, float(np.nansum(counts))), np.ones(len(has), bool))]
    patterns, row = np.unique(np.packbits(has, axis=1), axis=0, return_inverse=True)
    found = []
    for number in range(len(patterns)):
        rows = row.reshape(-1) == number
        present = has[np.argmax(rows)]
        own = tuple(name for name, known in zip(names, present, strict=True) if known and name != UNKNOWN)
        visits = float(np.nansum(counts[rows]))
        found.append((LabelSet(labelset(sorted(own))[:DIGITS], own, visits), rows))
    return sorted(found, key=lambda each: (-each[0].visits, each[0].name))
