"""Sums of the last hour and the last day of one label set, and the table of them that the page draws."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.intervals import NO_TIMES, bucket_edges
from collector.analysis.label_sets import LabelSet
from collector.analysis.summarise import STEPS_S
from collector.live.buckets import FIGURES, Buckets, Rows
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.store.intervals import US_PER_S, Floats, Ints

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE_S, QUARTER_S = 60, 900
KEPT_MINUTES = timedelta(minutes=150)
"""Minutes are kept for so long: more than an hour and the bucket before it that the table may begin with."""
STEPS = tuple(step for step in STEPS_S if step >= MINUTE_S)
"""Lengths of the buckets that are drawn, seconds."""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NEVER = 2**62
"""Later than any start, microseconds."""
SECONDS, WATCHED_S, DEGRADED_S, BEGUN, TOUCHING = range(-len(FIGURES), 0)


@dataclass(frozen=True, slots=True)
class LastHour:
    """The last hour, or more where its windows are longer."""

    table: pd.DataFrame
    """As from `collector.analysis.summarise.by_time`: one row per bucket; none if nothing has arrived."""
    step_s: int
    """Length of a bucket, seconds."""
    since: datetime | None
    """Start of the first window that ended in the last hour; None if nothing has arrived."""
    is_longer: bool
    """Whether the table reaches back beyond the last hour, because no bucket lies in it."""
    sets: list[LabelSet]
    """The label sets of the last hour, the one of the table first."""


@dataclass(slots=True)
class SetSums:
    """Windows of one label set."""

    labels: tuple[str, ...]
    minutes: Buckets = field(init=False)
    quarters: Buckets = field(init=False)
    _ended: dict[int, Ints] = field(default_factory=dict)
    """By the minute in which windows end, for each site: the first start in microseconds since 1970, then the number
    of windows by the shortest of `STEPS` that is no shorter."""
    _ends: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """End of the last window of each device, microseconds since 1970."""
    _sites: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Site of each device."""

    def __post_init__(self) -> None:
        counts = len(self.labels) + len(DOUBTFUL_COLUMNS)
        self.minutes, self.quarters = Buckets(MINUTE_S, counts), Buckets(QUARTER_S, counts)

    @property
    def bytes(self) -> int:
        """Memory of all arrays."""
        return self.minutes.bytes + self.quarters.bytes + sum(each.nbytes for each in self._ended.values())

    def add(self, rows: Rows, now: datetime) -> None:
        """Add windows whose clock was set."""
        if not len(rows.starts):
            return
        self.minutes.add(rows, to_us(now - KEPT_MINUTES))
        self.quarters.add(rows, to_us(now - DAY))
        self._note_devices(rows)
        self._note_ended(rows, to_us(now - KEPT_MINUTES) // self.minutes.length_us)

    def drop_before(self, now: datetime) -> None:
        """Forget what is too old to be shown."""
        self.minutes.drop_before(to_us(now - KEPT_MINUTES))
        self.quarters.drop_before(to_us(now - DAY))
        first = to_us(now - KEPT_MINUTES) // self.minutes.length_us
        self._ended = {minute: ended for minute, ended in self._ended.items() if minute >= first}

    def visits(self, now: datetime, sites: Ints | None) -> float:
        """Return the visits of the minutes that the last hour touches."""
        _, sums = self.minutes.total(_floor(now - HOUR, MINUTE_S), to_us(now), sites)
        return float(sums[:, : len(self.labels)].sum())

    def ended(self, now: datetime, sites: Ints | None) -> tuple[int, datetime] | None:
        """Return the median length of the windows that ended in the last hour, rounded up to one of `STEPS`, seconds,
        and their first start; None if there are none."""
        minute = _floor(now - HOUR, MINUTE_S) // self.minutes.length_us
        found = [
            ended if sites is None else ended[sites[sites < len(ended)]]
            for each, ended in self._ended.items()
            if each >= minute
        ]
        rows = np.concatenate(found) if found else np.zeros((0, 1 + len(STEPS)), np.int64)
        number = np.cumsum(rows[:, 1:].sum(axis=0))
        if not number[-1]:
            return None
        first = timedelta(microseconds=int(rows[rows[:, 1:].any(axis=1), 0].min()))
        return STEPS[int(np.searchsorted(number, number[-1] / 2))], EPOCH + first

    def table(self, now: datetime, zone: ZoneInfo, sites: Ints | None, step_s: int) -> tuple[pd.DataFrame, bool]:
        """Return the table of `LastHour` with buckets of this length, and whether it is longer than an hour.

        It holds the whole buckets of the last hour: a partial one would look like a dip. If there is none with a
        window, it reaches back to the first bucket that the last windows touch.
        """
        fine = self.quarters if step_s % QUARTER_S == 0 else self.minutes
        table = self._by_time(fine, step_s, (now - HOUR - timedelta(seconds=step_s), now), zone, sites)
        ends = table.index + pd.to_timedelta(table["seconds"], unit="s")
        whole = _from_first(table[(table.index >= now - HOUR) & (ends <= now)])
        return (whole, False) if len(whole) else (_from_first(table), True)

    def _by_time(
        self, fine: Buckets, step_s: int, span: tuple[datetime, datetime], zone: ZoneInfo, sites: Ints | None
    ) -> pd.DataFrame:
        edges = bucket_edges(NO_TIMES, step_s, zone, span)
        starts, sums = fine.total(int(edges[0]), int(edges[-1]), sites)
        bucket = np.searchsorted(edges, starts, "right") - 1
        firsts = np.searchsorted(starts, edges[:-1])
        total = np.add.reduceat(sums, firsts, axis=0)
        windows = total[:, BEGUN] - sums[firsts, BEGUN] + sums[firsts, TOUCHING]
        assert bucket[-1] == len(edges) - 2  # no bucket is shorter than those of `fine`
        return self._frame(total, windows, np.diff(edges) / US_PER_S, self._device_count(span[1], sites)).set_index(
            pd.DatetimeIndex(edges[:-1].astype("M8[us]"), tz="UTC").tz_convert(zone).rename("start")
        )

    def _frame(self, total: Floats, windows: Floats, lengths_s: Floats, devices: int) -> pd.DataFrame:
        """Return the columns of `collector.analysis.summarise.by_time`."""
        is_gap = total[:, SECONDS] <= 0
        counts = np.where(is_gap[:, None], np.nan, total[:, : -len(FIGURES)])
        columns = dict(zip(self.labels, counts.T, strict=False))
        columns["visits"] = counts[:, : len(self.labels)].sum(axis=1)
        columns["windows"] = windows.round().astype(np.int64)
        columns["coverage"] = total[:, WATCHED_S] / (lengths_s * max(devices, 1))
        columns["degraded"] = np.divide(
            total[:, DEGRADED_S], total[:, SECONDS], out=np.full(len(total), np.nan), where=~is_gap
        )
        columns["seconds"] = lengths_s
        columns |= dict(zip(DOUBTFUL_COLUMNS, counts.T[len(self.labels) :], strict=True))
        return pd.DataFrame(columns)

    def _device_count(self, now: datetime, sites: Ints | None) -> int:
        """Return the number of devices with a window that ended in the last hour."""
        recent = self._ends > _floor(now - HOUR, MINUTE_S)
        return int((recent if sites is None else recent & np.isin(self._sites, sites)).sum())

    def _note_devices(self, rows: Rows) -> None:
        grown = max(int(rows.devices.max()) + 1 - len(self._ends), 0)
        self._ends, self._sites = (
            np.concatenate([each, np.zeros(grown, np.int64)]) for each in (self._ends, self._sites)
        )
        np.maximum.at(self._ends, rows.devices, rows.ends)
        self._sites[rows.devices] = rows.sites

    def _note_ended(self, rows: Rows, first: int) -> None:
        minute = (rows.ends - 1) // self.minutes.length_us
        length = np.minimum(np.searchsorted(STEPS, (rows.ends - rows.starts) / US_PER_S), len(STEPS) - 1)
        for each in np.unique(minute[minute >= first]).tolist():
            own = minute == each
            sites = rows.sites[own]
            ended = self._ended.get(each, np.zeros((0, 1 + len(STEPS)), np.int64))
            grown = np.zeros((max(int(sites.max()) + 1 - len(ended), 0), 1 + len(STEPS)), np.int64)
            grown[:, 0] = NEVER
            ended = np.concatenate([ended, grown])
            np.add.at(ended, (sites, 1 + length[own]), 1)
            np.minimum.at(ended, (sites, 0), rows.starts[own])
            self._ended[each] = ended


def _from_first(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the buckets before the first with a window."""
    touched = np.flatnonzero(table["windows"].to_numpy())
    return table.iloc[touched[0] :] if len(touched) else table.iloc[:0]


def to_us(moment: datetime) -> int:
    """Return a moment as microseconds since 1970."""
    return int(moment.timestamp() * US_PER_S)


def _floor(moment: datetime, length_s: int) -> int:
    """Return the start of the bucket that a moment lies in, microseconds since 1970."""
    return to_us(moment) // (length_s * US_PER_S) * length_s * US_PER_S
