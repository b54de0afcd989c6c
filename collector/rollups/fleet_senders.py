"""Visits and watched time of each device by part of time, as arrays, because a year of a fleet has millions of sums.

A part of time is a day of the zone, or a cell of the roll-ups.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from collector.rollups.fleet_sums import LABEL_SET, SENDER_SUMS
from collector.rollups.kept import Kept
from collector.store.columns import UNSET
from collector.store.intervals import Floats, Ints

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Numbers = np.ndarray[Any, Any]
"""An array of any numeric dtype that holds its values exactly, see `narrow`."""
Pair = tuple[str, str]
"""Site and name of a device."""
MAX_LISTS = 64
"""Lists of devices whose numbers are in memory."""
MAX_COMPARED_BYTES = 150_000_000
"""Memory of `SenderNames.compared`."""
SMALL, MAX_PER_VALUE = 10_000, 8
"""Size of tables that are not divided: at most so many places, or so many for each value."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The order of the columns in arrays of all devices: devices of a site are neighbours."""

    of_device: Ints
    """The column of each device, by number of the device."""
    firsts: Ints
    """The first column of each site, by number of the site."""


class SenderNames:
    """Numbers of devices, sites and label sets, in order of appearance. It never forgets one.

    Safe for reading while another thread adds to it.
    """

    def __init__(self) -> None:
        self.devices: list[Pair] = []
        self.sites: list[str] = []
        self.label_sets: list[str] = []
        self.compared: Kept[Any] = Kept(MAX_COMPARED_BYTES)
        """Comparisons of rows of blocks that the next view needs again, see `collector.analysis.fleet_change`."""
        self._site_of: list[int] = []
        self._numbers: tuple[dict[Any, int], ...] = ({}, {}, {})
        self._lists: dict[bytes, Ints] = {}
        self._columns = Columns(np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._serial = count()
        self._lock = threading.Lock()

    def device(self, site: str, name: str) -> int:
        """Return the number of a device."""
        known = self._numbers[0].get((site, name))
        if known is None:
            self._site_of.append(_number(site, self._numbers[1], self.sites))  # before the device is seen
            known = _number((site, name), self._numbers[0], self.devices)
        return known

    def label_set(self, text: str) -> int:
        """Return the number of a label set."""
        return _number(text, self._numbers[2], self.label_sets)

    def of_list(self, text: bytes, decode: Callable[[bytes], Sequence[Pair]]) -> Ints:
        """Return the numbers of a list of devices. Files of many months have the same list, which is decoded once."""
        if text not in self._lists:
            while len(self._lists) >= MAX_LISTS:
                del self._lists[next(iter(self._lists))]
            self._lists[text] = np.array([self.device(*pair) for pair in decode(text)], np.int64)
        return self._lists[text]

    def site_of(self, devices: Ints) -> Ints:
        """Return the number of the site of some devices."""
        return np.array(self._site_of, np.int64)[devices]

    def columns(self) -> Columns:
        """Return a column for each device."""
        with self._lock:
            size = len(self.devices)
            if len(self._columns.of_device) != size:
                sites = np.array(self._site_of[:size], np.int64)
                order = np.argsort(sites, kind="stable")
                column = np.zeros(size, np.int64)
                column[order] = np.arange(size)
                self._columns = Columns(column, _firsts(sites[order]))
            return self._columns

    def serial(self) -> int:
        """Return a number that was not returned before."""
        return next(self._serial)


@dataclass(frozen=True, slots=True, eq=False)
class SenderTable:
    """Sums of some devices by part of time, of one label set and kind of clock. Devices have names, not numbers.

    Devices of a site are neighbours. All arrays but ``starts`` have the shape ``(parts, devices)``.
    """

    label_set: str
    unset: bool
    """Whether the clocks were never set."""
    devices: list[Pair]
    dates: list[str]
    """Date of the folder of each row. A part of time that lies in several dates has a row for each."""
    starts: Ints
    """Start of the part of each row, microseconds since 1970."""
    visits: Numbers
    unknown: Numbers
    watched_s: Numbers
    present: Flags
    """Whether the device has a window in the part; the sums are 0 where it has none."""


@dataclass(frozen=True, slots=True, eq=False)
class SenderBlock:
    """A `SenderTable` with one row per part of time, numbers instead of names, and the sums of its sites."""

    device: Ints
    """Number of the device of each column."""
    label_set: int
    unset: bool
    starts: Ints
    visits: Numbers
    unknown: Numbers
    watched_s: Numbers
    present: Flags
    seen: Ints
    """Numbers of the devices that have a window."""
    site: Ints
    """Numbers of the sites."""
    site_visits: Floats
    """Shape ``(parts, sites)``, like the next two."""
    site_unknown: Floats
    site_present: Flags
    serial: int
    """Unique number of the block, so that a key of a cache can name what a sum was computed from."""

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        names = ("visits", "unknown", "watched_s", "present", "site_visits", "site_unknown", "site_present")
        return sum(getattr(self, name).nbytes for name in names)

    def buckets(self, edges: Ints) -> Ints:
        """Return the bucket between edges that each part begins in; the first or the last beyond them."""
        found = np.clip(np.searchsorted(edges, self.starts, "right") - 1, 0, max(len(edges) - 2, 0))
        return np.asarray(found, np.int64)


def sender_tables(table: pd.DataFrame) -> list[SenderTable]:
    """Convert a table of `collector.rollups.fleet_sums.Measured.senders`, which may have the column ``date``.

    Parts of time with few of the devices get tables of their own, without the others: a window that lasts a year has
    nine thousand parts, which must not take the memory of nine thousand parts of a fleet.
    """
    keys = ["date", "start"] if "date" in table else ["start"]
    found = []
    for (label_set, clock), rows in table.groupby([LABEL_SET, "clock"], sort=True, observed=True):
        part, parts = _coded(rows, keys)
        device, pairs = _coded(rows, ["site", "device"])
        fullest = np.argsort(-np.bincount(part), kind="stable")
        for chosen in _dense(np.argsort(fullest)[part], device, np.arange(len(rows))):
            own_parts, row = np.unique(part[chosen], return_inverse=True)
            own_pairs, column = np.unique(device[chosen], return_inverse=True)
            names = [(str(site), str(name)) for site, name in (pairs[at] for at in own_pairs)]
            dates = [str(parts[at][0]) if len(keys) > 1 else "" for at in own_parts]
            starts = np.array([parts[at][-1] for at in own_parts], np.int64)
            sums = _spread(rows.iloc[chosen], row.reshape(-1), column.reshape(-1), (len(own_parts), len(own_pairs)))
            found.append(SenderTable(str(label_set), clock == UNSET, names, dates, starts, *sums))
    return found


def _dense(rank: Ints, device: Ints, rows: Ints) -> Iterator[Ints]:
    """Yield rows by tables that are small or dense. ``rank`` orders the parts of time, those of most devices first."""
    ranks = np.unique(rank[rows])
    if len(ranks) * len(np.unique(device[rows])) <= max(SMALL, MAX_PER_VALUE * len(rows)):
        yield rows
        return
    is_first = rank[rows] < ranks[len(ranks) // 2]
    for half in (rows[is_first], rows[~is_first]):
        yield from _dense(rank, device, half)


def _spread(rows: pd.DataFrame, row: Ints, column: Ints, shape: tuple[int, int]) -> tuple[Any, Any, Any, Flags]:
    """Return visits, unknown, watched time and presence as arrays, each value of a table in a row and a column."""
    sums = [np.zeros(shape) for _ in SENDER_SUMS]
    for name, to in zip(SENDER_SUMS, sums, strict=True):
        to[row, column] = rows[name]
    present = np.zeros(shape, bool)
    present[row, column] = True
    visits, unknown, watched_s = map(narrow, sums)
    return visits, unknown, watched_s, present


def sender_block(
    table: SenderTable, device: Ints, names: SenderNames, dates: Iterable[str] | None = None
) -> SenderBlock:
    """Return the sums of some dates of a table, or of all. ``device`` holds the numbers of the table's devices."""
    chosen = None if dates is None else set(dates)
    rows = [at for at, date in enumerate(table.dates) if chosen is None or date in chosen]
    starts, part = np.unique(table.starts[rows], return_inverse=True)
    arrays: list[Numbers] = [each[rows] for each in (table.visits, table.unknown, table.watched_s)]
    present = table.present[rows]
    if len(starts) < len(rows):  # a day of the zone lies in two dates
        present = _by_part(present, part.reshape(-1), len(starts)) > 0
        arrays = [narrow(_by_part(each, part.reshape(-1), len(starts))) for each in arrays]
    else:
        order = np.argsort(part.reshape(-1))
        present, arrays = present[order], [each[order] for each in arrays]
    visits, unknown, watched_s = arrays
    sites = names.site_of(device)
    firsts = _firsts(sites)
    of_sites = [_by_site(each, firsts) for each in (visits, unknown, present)]
    return SenderBlock(
        device, names.label_set(table.label_set), table.unset, starts, visits, unknown, watched_s, present,
        device[present.any(0)], sites[firsts], of_sites[0], of_sites[1], of_sites[2] > 0, names.serial(),
    )  # fmt: skip


def narrow(values: Floats) -> Numbers:
    """Return values in the smallest of three dtypes that holds all of them exactly."""
    with np.errstate(invalid="ignore", over="ignore"):
        for kind in (np.uint16, np.float32):
            small = values.astype(kind)
            if np.array_equal(small, values):
                return small
    return values


def _coded(rows: pd.DataFrame, names: list[str]) -> tuple[Ints, list[tuple[Any, ...]]]:
    """Return the number of the combination of each row, and the combinations in order."""
    groups = rows.groupby(names, sort=True, observed=True)
    found = [each if isinstance(each, tuple) else (each,) for each in groups.size().index]
    return np.asarray(groups.ngroup(), np.int64), found


def _by_part(values: Numbers, part: Ints, size: int) -> Floats:
    found = np.zeros((size, values.shape[1]))
    for to, row in zip(part.tolist(), values, strict=True):
        found[to] += row
    return found


def _by_site(values: Numbers, firsts: Ints) -> Floats:
    if not len(firsts):
        return np.zeros((len(values), 0))
    return np.asarray(np.add.reduceat(values, firsts, axis=1, dtype=np.float64), np.float64)


def _firsts(sites: Ints) -> Ints:
    """Return the position of the first device of each site; those of a site are neighbours."""
    return np.flatnonzero(np.diff(sites, prepend=-1)).astype(np.int64)


def _number(name: Any, numbers: dict[Any, int], names: list[Any]) -> int:
    found = numbers.setdefault(name, len(names))
    if found == len(names):
        names.append(name)
    return found
