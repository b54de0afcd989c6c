"""Visits and watched time of each device by parts of time, as arrays: a year of ten thousand devices has millions."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from collector.rollups.fleet_sums import LABEL_SET, SENDER_SUMS
from collector.store.columns import UNSET
from collector.store.intervals import Floats, Ints

Small = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(slots=True)
class SenderNames:
    """Numbers of devices and of label sets, in order of appearance. It never forgets one."""

    devices: list[tuple[str, str]] = field(default_factory=list)
    """Site and name."""
    label_sets: list[str] = field(default_factory=list)
    _device_numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    _set_numbers: dict[str, int] = field(default_factory=dict)

    def device(self, site: str, name: str) -> int:
        """Return the number of a device."""
        return _number((site, name), self._device_numbers, self.devices)

    def label_set(self, text: str) -> int:
        """Return the number of a label set."""
        return _number(text, self._set_numbers, self.label_sets)


@dataclass(frozen=True, slots=True)
class SenderParts:
    """Sums of devices. Every array has one value per device, label set, kind of clock and part of time."""

    device: Small
    label_set: Small
    unset: "np.ndarray[Any, np.dtype[np.bool_]]"
    """Whether the clock was never set."""
    start: Small
    """Number of the start of the part in ``starts``."""
    visits: Floats
    unknown: Floats
    watched_s: Floats
    starts: Ints
    """Starts of parts, microseconds since 1970."""

    @classmethod
    def of(cls, table: pd.DataFrame, names: SenderNames) -> "SenderParts":
        """Take a table of `collector.rollups.fleet_sums.Measured.senders`."""
        (site, sites), (name, all_names), (label_set, sets) = (
            pd.factorize(table[each]) for each in ("site", "device", LABEL_SET)
        )
        code, found = pd.factorize(np.asarray(site, np.int64) * max(len(all_names), 1) + name)
        pairs = [(str(sites[each // len(all_names)]), str(all_names[each % len(all_names)])) for each in found.tolist()]
        numbers = np.array([names.device(*pair) for pair in pairs], np.int32)
        set_numbers = np.array([names.label_set(str(each)) for each in sets], np.int32)
        start, starts = pd.factorize(table["start"].to_numpy(np.int64))
        visits, unknown, watched_s = (table[each].to_numpy(np.float64) for each in SENDER_SUMS)
        return cls(
            numbers[code] if len(code) else np.zeros(0, np.int32),
            set_numbers[label_set] if len(code) else np.zeros(0, np.int32),
            np.asarray(table["clock"] == UNSET, bool),
            np.asarray(start, np.int32),
            visits,
            unknown,
            watched_s,
            np.asarray(starts, np.int64),
        )

    def where(self, rows: "np.ndarray[Any, np.dtype[np.bool_]]") -> "SenderParts":
        """Return some of the rows."""
        return SenderParts(**{name: each[rows] for name, each in self._arrays().items()}, starts=self.starts)

    def buckets(self, edges: Ints) -> Ints:
        """Return the bucket between edges that each part begins in; the first or the last beyond them."""
        found = np.clip(np.searchsorted(edges, self.starts, "right") - 1, 0, max(len(edges) - 2, 0))
        buckets: Ints = found.astype(np.int64)[self.start]
        return buckets

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(each.nbytes for each in self._arrays().values())

    def _arrays(self) -> dict[str, Any]:
        names = ("device", "label_set", "unset", "start", "visits", "unknown", "watched_s")
        return {name: getattr(self, name) for name in names}


def _number(name: Any, numbers: dict[Any, int], names: list[Any]) -> int:
    found = numbers.setdefault(name, len(names))
    if found == len(names):
        names.append(name)
    return found
