"""A period of all sites of a store, from sums instead of cells (`collector.rollups.fleet`).

Functions for tables of cells take `FleetPeriod.frame`, in which each group of devices stands for one device, with the
matrices of the groups. What they need to know of single devices is beside it: their number, and arrays of their visits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.confusion import Matrices
from collector.analysis.fleet_change import Piece, Strata
from collector.analysis.intervals import NO_TIMES, Span, bucket_edges
from collector.analysis.label_sets import LabelSet, with_label_map, with_label_set
from collector.rollups.fleet import FleetSums
from collector.rollups.fleet_senders import SenderBlock, SenderNames
from collector.rollups.fleet_sums import LABEL_SET, SITES_KEYS, as_cells, summed
from collector.store.intervals import Floats, Ints
from contract.fields import LONGEST_WINDOW
from contract.labels import UNKNOWN

HOUR, MONTH = timedelta(hours=1), timedelta(days=31)
FOUR_DAYS = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class FleetPeriod:
    """One label set of a period."""

    frame: pd.DataFrame
    """Cells of all sites together, from `collector.rollups.fleet_sums.as_cells`."""
    span: Span
    matrices: Matrices
    """Matrices for `frame`."""
    names: SenderNames
    _sites: pd.DataFrame
    _senders: tuple[SenderBlock, ...]
    _label_map: Mapping[str, str]
    _memo: dict[Any, Any] = field(default_factory=dict)

    @property
    def devices(self) -> int:
        """Number of devices that the period has windows of."""
        return int(self._memo.get("devices") or self._memo.setdefault("devices", self._count(with_unset=True)))

    @property
    def timed_devices(self) -> int:
        """Number of devices that the period has windows of whose clock was set."""
        return int(self._memo.get("timed") or self._memo.setdefault("timed", self._count(with_unset=False)))

    @property
    def hours_to_read(self) -> float:
        """Number of devices times the hours that must be read to see each of them: at least those of a month."""
        return self.devices * (max(self.span[1] - self.span[0], MONTH) / HOUR)

    def senders(self) -> set[tuple[str, str]]:
        """Return site and name of the devices that the period has windows of."""
        return {self.names.devices[number] for number in np.flatnonzero(self._seen(with_unset=True))}

    def device_counts(self) -> dict[str, int]:
        """Return the number of devices of each site."""
        numbers = np.bincount(self.names.site_of(np.flatnonzero(self._seen(with_unset=True))))
        return {self.names.sites[at]: int(numbers[at]) for at in np.flatnonzero(numbers)}

    def sites(self) -> pd.DataFrame:
        """Return cells that are sums over the whole period, with the site and the group as the device."""
        if "sites" not in self._memo:
            self._memo["sites"] = with_label_map(as_cells(summed(self._sites, SITES_KEYS)), self._label_map)
        found: pd.DataFrame = self._memo["sites"]
        return found

    def strata(self, edges: Ints) -> Strata:
        """Return the pieces of each bucket between edges, of clocks that were set.

        A piece that begins beyond the edges belongs to the first bucket or the last.
        """
        pieces: list[list[Piece]] = [[] for _ in range(max(len(edges) - 1, 1))]
        for block in self._senders:
            if not block.unset:
                for row, bucket in enumerate(block.buckets(edges).tolist()):
                    pieces[bucket].append(Piece(block, row))
        return Strata(tuple(map(tuple, pieces)))

    def site_visits(self, edges: Ints) -> dict[str, Floats]:
        """Return the visits of each site in the buckets between edges, of clocks that were set; NaN without windows."""
        shape = max(len(edges) - 1, 1), len(self.names.sites)
        visits, present = np.zeros(shape), np.zeros(shape, bool)
        for block in self._senders:
            if not block.unset:
                for row, bucket in enumerate(block.buckets(edges).tolist()):
                    visits[bucket, block.site] += block.site_visits[row]
                    present[bucket, block.site] |= block.site_present[row]
        values = np.where(present, visits, np.nan).T
        return {self.names.sites[at]: values[at] for at in np.flatnonzero(present.any(0)).tolist()}

    def _count(self, *, with_unset: bool) -> int:
        return int(self._seen(with_unset=with_unset).sum())

    def _seen(self, *, with_unset: bool) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        seen = np.zeros(len(self.names.devices), bool)
        for block in self._senders:
            if with_unset or not block.unset:
                seen[block.seen] = True
        return seen


def fleet_period(
    sums: tuple[FleetSums, SenderNames],
    span: Span,
    matrices: Matrices,
    label_map: Mapping[str, str],
    set_name: str | None,
) -> tuple[FleetPeriod, list[LabelSet]]:
    """Return a label set of sums, the one with the most visits if none is named, and all sets, the chosen one first."""
    found, names = sums
    frame, sets = with_label_set(with_label_map(as_cells(found.hours), label_map), set_name)
    own = set(sets[0].labels) if sets else set()
    own |= {UNKNOWN} if UNKNOWN in frame and frame[UNKNOWN].notna().any() else set()
    texts = {*found.sites[LABEL_SET].unique(), *names.label_sets}
    chosen = [text for text in texts if sets and {label_map.get(name, name) for name in text.split()} == own]
    sites = found.sites[found.sites[LABEL_SET].isin(chosen)]
    numbers = {names.label_sets.index(text) for text in chosen if text in names.label_sets}
    senders = tuple(block for block in found.senders if block.label_set in numbers)
    return FleetPeriod(frame, span, matrices, names, sites, senders, label_map), sets


def midnights(zone: ZoneInfo, span: Span) -> Ints:
    """Return the midnights of the zone from four days before a span to four after the end of the longest window that
    may begin in it, microseconds since 1970."""
    return bucket_edges(NO_TIMES, None, zone, (span[0] - FOUR_DAYS, span[1] + LONGEST_WINDOW + FOUR_DAYS))
