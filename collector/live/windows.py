"""The windows of the last day, summed up in memory as they arrive.

Memory depends on sites, devices and minutes, not on how many views are open. Per site and label set it is 150 minutes
and 97 quarters of an hour of `collector.live.buckets`; per window of the last day 16 bytes of `collector.live.senders`.
Ten thousand devices with a window a minute and seven labels at two thousand sites need some 320 MB.
While the whole day is read again, the sums of before are kept as well.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from base.logs import line
from collector.analysis.label_sets import DIGITS, LabelSet, with_label_map
from collector.devices.attention import LastWindow
from collector.live.buckets import Rows
from collector.live.last_hour import DAY, MINUTE_S, LastHour, SetSums, to_us
from collector.live.senders import Key, Senders
from collector.live.tail import Rewritten, Tail
from collector.store.columns import DOUBTFUL_COLUMNS, FIXED_COLUMNS, label_columns
from collector.store.damage import DamageCallback
from collector.store.intervals import Ints
from contract.labels import UNKNOWN, labelset

FOLLOW_EVERY_S, RETRY_AFTER_S = 2.0, 30.0
"""Interval at which `follow` looks for new windows, and time that it waits after a failure, seconds."""
DROP_EVERY = timedelta(minutes=10)
MAX_ATTEMPTS = 3
"""Attempts to read a store whose files are being exchanged."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Sums:
    """What is kept of the windows."""

    senders: Senders = field(default_factory=Senders)
    sets: dict[tuple[str, ...], SetSums] = field(default_factory=dict)
    """By labels in alphabetical order."""
    ahead: list[tuple[int, pa.Table]] = field(default_factory=list)
    """Windows that end later than now, because a clock is wrong, with the first end of each table in microseconds."""

    def take_due(self, now: datetime) -> list[pa.Table]:
        """Remove and return the tables of `ahead` of which a window has ended."""
        due = [table for end, table in self.ahead if end <= to_us(now)]
        self.ahead = [each for each in self.ahead if each[0] > to_us(now)]
        return due

    def drop_before(self, now: datetime) -> None:
        """Forget what is too old to be shown."""
        self.senders.drop_before(now - DAY)
        for sums in self.sets.values():
            sums.drop_before(now)
        self.sets = {names: sums for names, sums in self.sets.items() if sums.bytes}


class LiveWindows:
    """The last day of a store. Safe for any number of threads.

    A question is answered from memory. While no thread runs `follow`, what is new in the files is read first. A window
    that ends later than now is taken when that time has come.
    """

    def __init__(
        self, root: Path, now: Callable[[], datetime], label_map: Mapping[str, str], on_damage: DamageCallback
    ) -> None:
        self._root, self._now, self._label_map, self._on_damage = root, now, label_map, on_damage
        self._tail: Tail | None = None
        """None if the whole day must be read, into new sums."""
        self._sums = _Sums()
        self._dropped = self._updated = now()
        self.is_followed = False
        """Whether a thread takes new windows, so that a question need not look for them."""
        self._stamp = ""
        self._updating, self._lock = threading.Lock(), threading.Lock()

    @property
    def bytes(self) -> int:
        """Memory of the sums by time."""
        with self._lock:
            return sum(each.bytes for each in self._sums.sets.values())

    def follow(self, stop: threading.Event) -> None:
        """Take new windows as they arrive, until ``stop`` is set; then no question needs to read a file."""
        failure = ""
        try:
            while not stop.is_set():
                try:
                    self.update()
                    self.is_followed, failure = True, ""
                except Exception as error:  # noqa: BLE001 - views of the present need this thread until the end
                    before, failure = failure, repr(error)
                    if failure != before:
                        _log.warning(line("live_not_read", reason=failure), exc_info=not isinstance(error, OSError))
                stop.wait(RETRY_AFTER_S if failure else FOLLOW_EVERY_S)
        finally:
            self.is_followed = False

    def update(self) -> None:
        """Take the windows that have arrived since the last time.

        The whole day is read again after a failure, if a file was rewritten, or if the clock was set back. Until that
        is done, questions are answered from what was read before.
        """
        with self._updating:
            now = self._now()
            if self._updated - now > DROP_EVERY:
                self._tail = None
            self._updated = now
            for _ in range(MAX_ATTEMPTS):
                try:
                    self._take(now)
                    break
                except Rewritten as error:
                    _log.info(line("live_read_again", file=error))

    def _take(self, now: datetime) -> None:
        """Take what is new. If that fails, the next call reads the whole day."""
        tail, self._tail = self._tail, None
        sums = _Sums() if tail is None else self._sums
        tail = tail or Tail(self._root, self._on_damage)
        for table in chain(sums.take_due(now), tail.new_rows(now - DAY)):
            with self._lock:
                self._add(sums, table, now)
        with self._lock:
            if abs(now - self._dropped) >= DROP_EVERY:
                self._dropped = now
                sums.drop_before(now)
            self._sums, self._tail, self._stamp = sums, tail, tail.stamp

    def stamp(self) -> str:
        """Return a text that changes when windows have arrived."""
        self._refresh()
        return self._stamp

    def last_hour(self, zone: ZoneInfo, sites: Collection[str] | None = None, set_name: str | None = None) -> LastHour:
        """Return the last hour of some sites, or of all, of the label set with the most visits or of the named one."""
        self._refresh()
        now = self._now()
        with self._lock:
            chosen = self._site_numbers(sites)
            ended = {
                LabelSet(labelset(names)[:DIGITS], _named(sums), sums.visits(now, chosen)): (sums, *found)
                for names, sums in self._sums.sets.items()
                if (found := sums.ended(now, chosen)) is not None
            }
            ordered = sorted(ended, key=lambda each: (-each.visits, each.name))
            wanted = next((each for each in ordered if set_name in (None, each.name)), None)
            if wanted is None:
                return LastHour(pd.DataFrame(), MINUTE_S, None, False, ordered)
            sums, step_s, since = ended[wanted]
            table, is_longer = sums.table(now, zone, chosen, step_s)
            sets = [wanted, *(each for each in ordered if each is not wanted)]
            return LastHour(table, step_s, since, is_longer, sets)

    def last_windows(self, *, degraded_only: bool = False) -> dict[Key, LastWindow]:
        """Return the last window of each device with a window of the last day, or only those that are degraded."""
        self._refresh()
        with self._lock:
            return self._sums.senders.last_windows(degraded_only=degraded_only)

    def missing(self, key: Key) -> int | None:
        """Return how many windows of the last day have not arrived from a device; None if it has sent none."""
        self._refresh()
        with self._lock:
            return self._sums.senders.missing(key, self._now() - DAY)

    def is_twin(self, key: Key) -> bool:
        """Whether two devices seem to have used a name in the last day."""
        self._refresh()
        with self._lock:
            return self._sums.senders.is_twin(key, self._now() - DAY)

    def twins(self) -> set[Key]:
        """Return the names that two devices seem to have used in the last day."""
        self._refresh()
        with self._lock:
            return self._sums.senders.twins(self._now() - DAY)

    def _refresh(self) -> None:
        if not self.is_followed:
            self.update()

    def _add(self, to: _Sums, table: pa.Table, now: datetime) -> None:
        """Add rows with one header, of which some may be known."""
        starts, ends = (table[name].cast(pa.int64()).to_numpy() for name in ("start", "end"))
        ahead = np.flatnonzero(ends > to_us(now))
        if len(ahead):
            to.ahead.append((int(ends[ahead].min()), table.take(pa.array(ahead))))
        kept = np.flatnonzero((starts >= to_us(now - DAY)) & (ends <= to_us(now)))
        if not len(kept):
            return
        table, starts, ends = table.take(pa.array(kept)), starts[kept], ends[kept]
        new, sites, devices = to.senders.add(table, starts, ends)
        rows = table.take(pa.array(new))
        known = np.asarray(rows["clock"]) != "unsynced"
        counts = self._counts(rows)
        labels = [name for name in counts.columns if name not in DOUBTFUL_COLUMNS]
        key = tuple(sorted(name for name in labels if name != UNKNOWN))
        sums = to.sets.get(key)
        if sums is None:
            to.sets[key] = sums = SetSums((*(name for name in labels if name != UNKNOWN), UNKNOWN))
        values = counts.reindex(columns=[*sums.labels, *DOUBTFUL_COLUMNS], fill_value=0.0).to_numpy(np.float64)
        degraded = (np.asarray(rows["degraded"]) != "").astype(np.float64)
        sums.add(
            Rows(
                starts[new][known], ends[new][known], sites[known], devices[known], values[known],
                rows["coverage"].to_numpy()[known], degraded[known],
            ),
            now,
        )  # fmt: skip

    def _counts(self, rows: pa.Table) -> pd.DataFrame:
        """Return the visits by label, as the label map names them, and the doubtful visits."""
        names = [name for name in rows.column_names if name not in FIXED_COLUMNS]
        frame = rows.select(names).to_pandas()
        doubtful = frame.reindex(columns=list(DOUBTFUL_COLUMNS), fill_value=0)
        counts: pd.DataFrame = pd.concat(
            [with_label_map(frame[label_columns(frame)], self._label_map), doubtful], axis=1
        )
        return counts

    def _site_numbers(self, sites: Collection[str] | None) -> Ints | None:
        if sites is None:
            return None
        found = [self._sums.senders.sites.find(site) for site in sites]
        return np.array(sorted(number for number in found if number is not None), np.int64)


def _named(sums: SetSums) -> tuple[str, ...]:
    return tuple(name for name in sums.labels if name != UNKNOWN)
