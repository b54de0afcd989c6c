"""Boots and devices of the last day: which windows were taken, which are missing, and which window was the last.

Each boot of a device numbers its messages from 0. A number that is missing although a later one is stored was lost or
is still on its way: after an outage, devices send new windows before the backlog.

A copied memory card gives two devices one name. Their boots alternate in time; the boots of one device follow each
other.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import numpy as np
import pyarrow as pa

from collector.devices.attention import LastWindow
from collector.live.interned import Interned, coded
from collector.store.intervals import US_PER_S, Ints
from collector.store.sequence_set import SequenceSet

Key = tuple[str, str]
"""Site and name of a device."""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NEVER = -(2**62)
ALTERNATIONS = 3
"""Changes of boot beyond those of restarts that prove two devices. A restart changes the boot once; one window out of
order (held back, or restamped later) adds two changes."""


@dataclass(slots=True)
class _Boot:
    """Windows of one boot: 16 bytes each."""

    sequence: SequenceSet = field(default_factory=SequenceSet)
    """Numbers of all windows that were taken."""
    starts: "array[int]" = field(default_factory=lambda: array("q"))
    """Seconds since 1970, negative if the clock was not set."""
    seqs: "array[int]" = field(default_factory=lambda: array("q"))

    def drop_before(self, since_s: int) -> None:
        """Forget the windows that began before a moment."""
        starts = np.array(self.starts)
        kept = np.abs(starts) >= since_s
        if not kept.all():
            self.starts = array("q", starts[kept].tobytes())
            self.seqs = array("q", np.array(self.seqs)[kept].tobytes())


class Senders:
    """The devices whose windows began in the last day, and their boots."""

    def __init__(self) -> None:
        self.sites, self.devices = Interned(), Interned()
        self._names = Interned()
        self._boots: dict[int, dict[str, _Boot]] = {}
        self._ends, self._degraded = np.zeros(0, np.int64), list[str]()

    def add(self, table: pa.Table, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
        """Take the windows of a table. Returns the indices of those that are new, and of these site and device.

        ``starts`` and ``ends`` are those of the table, microseconds since 1970.
        """
        sites = self.sites.of_column(table["site"])
        devices = self.devices.of_pairs(sites, self._names.of_column(table["device"]))
        new = self._add_keys(table, devices, starts)
        self._note_last(devices[new], ends[new], table["degraded"].take(pa.array(new)))
        return new, sites[new], devices[new]

    def key(self, device: int) -> Key:
        """Return site and name of a device."""
        site, name = self.devices.pair(device)
        return str(self.sites.names[site]), str(self._names.names[name])

    def drop_before(self, since: datetime) -> None:
        """Forget the windows that began before a moment, and boots without any."""
        since_s = _seconds(since)
        for device, boots in list(self._boots.items()):
            for name, boot in list(boots.items()):
                boot.drop_before(since_s)
                if not boot.starts:
                    del boots[name]
            if not boots:
                del self._boots[device]

    def last_windows(self, *, degraded_only: bool = False) -> dict[Key, LastWindow]:
        """Return the last window of each device that has one, or only those that are degraded."""
        return {
            self.key(device): LastWindow(
                EPOCH + timedelta(microseconds=int(self._ends[device])),
                tuple(self._degraded[device].split("|")) if self._degraded[device] else (),
            )
            for device in self._boots
            if self._degraded[device] or not degraded_only
        }

    def missing(self, key: Key, since: datetime) -> int | None:
        """Return how many windows since a moment have not arrived from a device; None if it has sent none."""
        boots = self._boots.get(self._device(key), {})
        since_s, total, is_any = _seconds(since), 0, False
        for boot in boots.values():
            seqs = np.array(boot.seqs)[np.abs(np.array(boot.starts)) >= since_s]
            if len(seqs):
                is_any = True
                total += int(seqs.max() - seqs.min()) + 1 - len(seqs)
        return total if is_any else None

    def twins(self, since: datetime) -> set[Key]:
        """Return the names that two devices seem to have used since a moment."""
        since_s = _seconds(since)
        return {
            self.key(device)
            for device, boots in self._boots.items()
            if len(boots) > 1 and _alternate(sorted(boots.items()), since_s)
        }

    def is_twin(self, key: Key, since: datetime) -> bool:
        """Whether two devices seem to have used a name since a moment."""
        boots = self._boots.get(self._device(key), {})
        return len(boots) > 1 and _alternate(sorted(boots.items()), _seconds(since))

    def _add_keys(self, table: pa.Table, devices: Ints, starts: Ints) -> Ints:
        """Add the keys of windows; return the indices of the windows whose keys were not there."""
        boots, names = coded(table["boot"])
        seqs = table["seq"].to_numpy()
        sender = devices * len(names) + boots
        order = np.lexsort((seqs, sender))
        sender, seqs = sender[order], seqs[order]
        again = np.zeros(len(order), bool)
        again[1:] = (np.diff(sender) == 0) & (np.diff(seqs) == 0)
        order, sender, seqs = order[~again], sender[~again], seqs[~again]
        seconds = starts[order] // US_PER_S
        unset = np.asarray(table["clock"]) == "unsynced"
        seconds[unset[order]] *= -1
        new = [
            first + at
            for first, past in _runs(sender, seqs)
            for at in self._add_run(
                int(devices[order[first]]), names[boots[order[first]]], seqs[first:past], seconds[first:past]
            )
        ]
        return order[new]

    def _add_run(self, device: int, name: str, seqs: Ints, seconds: Ints) -> Iterator[int]:
        """Add consecutive windows of a boot; yield the indices of those that are new."""
        boot = self._boots.setdefault(device, {}).setdefault(name, _Boot())
        first, last = int(seqs[0]), int(seqs[-1])
        if boot.sequence.has_any(first, last):
            new = [at for at, seq in enumerate(seqs.tolist()) if boot.sequence.add(seq)]
            seqs, seconds = seqs[new], seconds[new]
        else:
            boot.sequence.add_run(first, last)
            new = list(range(len(seqs)))
        boot.seqs.frombytes(seqs.tobytes())
        boot.starts.frombytes(seconds.tobytes())
        yield from new

    def _note_last(self, devices: Ints, ends: Ints, degraded: pa.ChunkedArray) -> None:
        """Keep the end and the reasons of the last window of each device."""
        grown = len(self.devices) - len(self._ends)
        self._ends = np.concatenate([self._ends, np.full(grown, NEVER)])
        self._degraded += [""] * grown
        order = np.lexsort((ends, devices))
        lasts = order[np.append(np.diff(devices[order]) != 0, True)] if len(order) else order
        for at in lasts.tolist():
            if ends[at] >= self._ends[devices[at]]:
                self._ends[devices[at]], self._degraded[devices[at]] = ends[at], degraded[at].as_py()

    def _device(self, key: Key) -> int:
        """Return the number of a device, -1 if it is unknown."""
        site, name = self.sites.find(key[0]), self._names.find(key[1])
        found = None if site is None or name is None else self.devices.find((site, name))
        return -1 if found is None else found


def _runs(sender: Ints, seqs: Ints) -> Iterator[tuple[int, int]]:
    """Yield first and past index of each run of consecutive numbers of one sender."""
    breaks = np.flatnonzero((np.diff(sender) != 0) | (np.diff(seqs) != 1)) + 1
    bounds = [0, *breaks.tolist(), len(seqs)]
    yield from pairwise(bounds)


def _alternate(boots: list[tuple[str, _Boot]], since_s: int) -> bool:
    """Whether boots, in order of their names, alternate in time more often than restarts do."""
    starts = np.concatenate([np.array(boot.starts) for _, boot in boots])
    number = np.repeat(np.arange(len(boots)), [len(boot.starts) for _, boot in boots])
    kept = starts >= since_s  # without those whose clock was not set
    order = np.lexsort((number[kept], starts[kept]))
    changes = int((np.diff(number[kept][order]) != 0).sum())
    return changes >= len(np.unique(number[kept])) - 1 + ALTERNATIONS


def _seconds(moment: datetime) -> int:
    return int(np.ceil(moment.timestamp()))
