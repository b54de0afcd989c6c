"""Sum the cells of devices up to what a view of all sites needs.

Three sums replace the cells of a fleet:

- `hours`: of all devices together, per cell of time. Their number does not grow with the fleet.
- `sites`: of each site, over all time.
- `senders`: visits and watched time of each device, per part of time (a cell or a day).

The first two are divided by *group*: a matrix corrects the sum of what it would correct one by one. So devices whose
matrices of a classifier are equal form one group, and a device without a matrix belongs to another one. Rows of two
label sets, and rows of clocks that were never set, are never summed together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from collector.store.columns import CELL_COLUMNS, DOUBTFUL_COLUMNS, UNSET, label_columns
from collector.store.intervals import US_PER_S, Floats, Ints
from contract.labels import UNKNOWN

Sender = tuple[str, str, str]
"""Site, device and classifier."""
GroupOf = Callable[[Sender], str]
"""Returns the name of the group that a device belongs to with a classifier."""
WATCHED, DEGRADED = "watched s", "degraded s"
SUMS = ("windows", "seconds", WATCHED, DEGRADED, *DOUBTFUL_COLUMNS)
"""Columns of sums that precede the labels: windows, their time, that watched and that degraded, doubtful visits."""
SENDER_SUMS = ("visits", UNKNOWN, WATCHED)
LABEL_SET = "label set"
"""Column with the labels that the rows have, separated by spaces."""
GROUP = "group of devices"
"""Column with the name of the group. Names of columns that are no columns of cells have a space: no label has one."""
HOURS_KEYS = (LABEL_SET, GROUP, "model_expression", "clock", "begin", "start", "end")
SITES_KEYS = ("site", LABEL_SET, GROUP, "model_expression", "clock")
SENDERS_KEYS = ("site", "device", LABEL_SET, "clock", "start")
DAY_US = 86_400 * US_PER_S
Coded = tuple[Ints, "pd.Index[Any]"]
"""The number of the value of each row, and the values."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Cells with what their sums need. Every array has one value per cell."""

    keys: dict[str, Coded]
    """Coded columns by name: ``site``, ``device``, ``model_expression``, ``clock``, `LABEL_SET`, and ``date`` of the
    folder if the table has it."""
    times: dict[str, Ints]
    """``begin``, ``start`` and ``end``, microseconds since 1970."""
    values: dict[str, Floats]
    """`SUMS`, then the labels, 0 where a cell has no such label."""
    _coded_groups: dict[GroupOf, Coded] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Measured":
        """Take a table of cells."""
        labels = label_columns(frame)
        counts = {name: frame[name].to_numpy(np.float64) for name in labels}
        clock = np.asarray(frame["clock"] == UNSET, np.int64)
        seconds = frame["seconds"].to_numpy(np.float64)
        values = {
            "windows": frame["windows"].to_numpy(np.float64),
            "seconds": seconds,
            WATCHED: frame["coverage"].to_numpy(np.float64) * seconds,
            DEGRADED: frame["degraded"].to_numpy(np.float64) * seconds,
        } | {name: frame[name].to_numpy(np.float64) for name in DOUBTFUL_COLUMNS}
        keys = {name: _coded(frame[name]) for name in ("site", "device", "model_expression")}
        keys |= {"date": _coded(frame["date"])} if "date" in frame else {}
        keys |= {"clock": (clock, pd.Index(["synced", UNSET])), LABEL_SET: _label_sets(counts, len(frame))}
        times = {name: pd.DatetimeIndex(frame[name]).as_unit("us").asi8 for name in ("begin", "start", "end")}
        return cls(keys, times, values | {name: np.nan_to_num(each) for name, each in counts.items()})

    def hours(self, group_of: GroupOf, *more: str) -> pd.DataFrame:
        """Return the sums of all devices per cell of time, and by more keys, which come first."""
        keys = self.keys | {GROUP: self._groups(group_of)} | {name: _coded(at) for name, at in self.times.items()}
        return sums({name: keys[name] for name in (*more, *HOURS_KEYS)}, self.values)

    def sites(self, group_of: GroupOf, *more: str) -> pd.DataFrame:
        """Return the sums of each site. A window that was divided is counted where it began."""
        keys = self.keys | {GROUP: self._groups(group_of)}
        began = np.where(self.times["begin"] == self.times["start"], self.values["windows"], 0.0)
        return sums({name: keys[name] for name in (*more, *SITES_KEYS)}, self.values | {"windows": began})

    def senders(self, parts: Ints, *more: str) -> pd.DataFrame:
        """Return the sums of each device per part of time. ``parts`` has the start of the part of each cell."""
        keys = self.keys | {"start": _coded(parts)}
        names = [name for name in self.values if name not in SUMS]
        visits = reduce(np.add, (self.values[name] for name in names), np.zeros(len(parts)))
        unknown = self.values.get(UNKNOWN, np.zeros(len(parts)))
        values = dict(zip(SENDER_SUMS, (visits, unknown, self.values[WATCHED]), strict=True))
        return sums({name: keys[name] for name in (*more, *SENDERS_KEYS)}, values)

    def _groups(self, group_of: GroupOf) -> Coded:
        """Return the group of each row."""
        if group_of in self._coded_groups:
            return self._coded_groups[group_of]
        parts = [self.keys[name] for name in ("site", "device", "model_expression")]
        code, first = _combined(parts)
        senders = zip(*(values[codes[first]].tolist() for codes, values in parts), strict=True)
        group, names = pd.factorize(np.array([group_of(sender) for sender in senders], dtype=object))
        self._coded_groups[group_of] = np.asarray(group, np.int64)[code], pd.Index(names)
        return self._coded_groups[group_of]


def sums(keys: Mapping[str, Coded], values: Mapping[str, Floats]) -> pd.DataFrame:
    """Sum values by the combinations of keys that occur; one row each, keys first."""
    code, first = _combined(list(keys.values()))
    columns: dict[str, Any] = {name: each[codes[first]] for name, (codes, each) in keys.items()}
    columns |= {name: np.bincount(code, each, len(first)) for name, each in values.items()}
    return pd.DataFrame(columns)


def summed(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Sum rows of one of the tables of `Measured` that have equal keys."""
    values = {str(name): table[name].fillna(0.0).to_numpy(np.float64) for name in table.columns if name not in names}
    return sums({name: _coded(table[name]) for name in names}, values)


def as_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return `Measured.hours` as a table of cells: each group stands for one device of the site ``""``.

    A label that a label set lacks is NaN.
    """
    names = [str(name) for name in table.columns if name not in (*HOURS_KEYS, *SITES_KEYS, *SUMS)]
    names = [name for name in names if name != UNKNOWN] + [UNKNOWN] * (UNKNOWN in names)
    seconds = table["seconds"].to_numpy(np.float64)
    columns: dict[str, Any] = {"site": table.get("site", ""), "device": table[GROUP]}
    columns |= {name: table[name] for name in ("model_expression", "clock")}
    for name in ("begin", "start", "end"):
        at = table[name].to_numpy(np.int64) if name in table else np.zeros(len(table), np.int64)
        columns[name] = pd.DatetimeIndex(at.astype("M8[us]"), tz="UTC")
    columns |= {"windows": table["windows"].round().astype(np.int64), "seconds": seconds}
    columns |= {name: table[of] / seconds for name, of in (("coverage", WATCHED), ("degraded", DEGRADED))}
    columns |= {name: table[name] for name in DOUBTFUL_COLUMNS}
    label_set, texts = _coded(table[LABEL_SET])
    own = [frozenset(str(text).split()) for text in texts]
    for name in names:
        values = table[name].to_numpy(np.float64)
        if not all(name in labels for labels in own):
            values = np.where(np.array([name in labels for labels in own])[label_set], values, np.nan)
        columns[name] = values
    frame = pd.DataFrame(columns, index=table.index)
    assert tuple(frame.columns[: len(CELL_COLUMNS)]) == CELL_COLUMNS
    return frame


def _coded(values: Any) -> Coded:
    codes, names = pd.factorize(values)
    names = np.asarray(names) if isinstance(names, pd.CategoricalIndex) else names
    return np.asarray(codes, np.int64), pd.Index(names)


def _combined(parts: list[Coded]) -> tuple[Ints, Ints]:
    """Return the number of the combination of each row, and the index of the first row of each combination."""
    code, size = parts[0][0], max(len(parts[0][1]), 1)
    for codes, values in parts[1:]:
        if size * max(len(values), 1) >= 2**62:  # never in practice: combinations that do not occur take up numbers
            code, found = _coded(code)
            size = len(found)
        code, size = code * max(len(values), 1) + codes, size * max(len(values), 1)
    code, found = _coded(code)
    first = np.zeros(len(found), np.int64)
    first[code[::-1]] = np.arange(len(code))[::-1]  # the last one that is assigned stays
    return code, first


def _label_sets(counts: Mapping[str, Floats], rows: int) -> Coded:
    """Return the label set of each row."""
    names = list(counts)
    has = np.array([~np.isnan(each) for each in counts.values()]).T.reshape(rows, len(names))
    if not rows or (has == has[0]).all():
        own = [name for at, name in enumerate(names) if rows and has[0, at]]
        return np.zeros(rows, np.int64), pd.Index([" ".join(sorted(own))])
    patterns, row = np.unique(np.packbits(has, axis=1), axis=0, return_inverse=True)
    row = row.reshape(-1)
    texts = [
        " ".join(sorted(name for at, name in enumerate(names) if has[np.argmax(row == number), at]))
        for number in range(len(patterns))
    ]
    return np.asarray(row, np.int64), pd.Index(texts)
