"""Windows -> visits per bucket of time, site or device, with how much of it was watched.

Every table here has one float64 column a label and then `FIGURES`. Three things that look alike are kept apart:

- zero: ``visits`` is 0 and ``coverage`` is above 0. Somebody watched, nobody came.
- gap: ``visits`` is NaN and ``windows`` is 0. Nobody knows.
- degraded: ``degraded`` is above 0, the share of the windows' time in which a device gave a reason for seeing less.

A window that lies in two buckets adds to both, in proportion to its time in each: sums are kept, and the counts of a
bucket need not be whole (windows joined under the privacy rule may be hours long). ``coverage`` is the seconds watched,
the sum of coverage times duration, by the bucket's seconds and the number of devices in the table. It passes 1 only
where windows of one device overlap, as after a clock was put back; a bucket that has not ended yet counts as whole.
Windows whose clock was never synchronised have no place in time: only `by_site` and `by_device` count them.

``doubtful_low`` and ``doubtful_high`` say how many visits may be none and how many there may be more. They are summed
as visits are: 0 where no visit is doubtful, NaN in a gap.

Each function takes windows (`collector.store.load.load`) or cells (`collector.store.cells.cells`, kept by `collector.store.rollup`), and
says the same of both.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.store.columns import DOUBTFUL_COLUMNS
from collector.store.load import labels

By = Literal["hour", "day", "weekday", "site", "device"]
FIGURES = ("visits", "windows", "coverage", "degraded", "seconds", *DOUBTFUL_COLUMNS)
"""Visits of all labels; windows that touch the bucket; two shares of 1, as said above; the bucket's length; doubtful
visits, down and up."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOUR_S = 3600
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 900, 1800, HOUR_S, 3 * HOUR_S, 6 * HOUR_S)
UNITS = ((HOUR_S, "hour"), (60, "minute"), (1, "second"))
Span = tuple[datetime, datetime]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Windows or cells cut at the edges of buckets, (pieces,) each: the row it is of, its bucket, the share of the
    row's visits in it, its seconds, and how many windows it adds to those that touch the bucket.
    """

    rows: Ints
    bucket: Ints
    share: Floats
    seconds: Floats
    windows: Ints


def summarise(frame: pd.DataFrame, by: By, zone: ZoneInfo, span: Span | None = None) -> pd.DataFrame:
    """A table of `collector.store.load.load` -> one row a bucket; see the function of the name."""
    if by == "hour":
        return _named(by_time(frame, HOUR_S, zone, span), "hour")
    if by == "day":
        return _named(by_time(frame, None, zone, span), "day")
    if by == "weekday":
        return by_weekday(frame, zone, span)
    return by_site(frame, span) if by == "site" else by_device(frame, span)


def by_time(frame: pd.DataFrame, step_s: int | None, zone: ZoneInfo, span: Span | None = None) -> pd.DataFrame:
    """One row a bucket of ``step_s`` seconds from local midnight on, or of a local day if None, in order, gaps too.

    The index is the bucket's start in ``zone``. Days have 23 to 25 hours as the zone says, and a day's last bucket ends
    with the day. All buckets that ``span`` or a window touches are there.
    """
    frame = _timed(frame)
    edges = _edges(frame, step_s, zone, span)
    table = _total(frame, _pieces(frame, edges), np.diff(edges) / 1e6, _devices(frame))
    starts = pd.DatetimeIndex(edges[:-1].astype("M8[us]"), tz="UTC").tz_convert(zone)
    table.index = starts.rename("start")
    return table


def by_weekday(frame: pd.DataFrame, zone: ZoneInfo, span: Span | None = None) -> pd.DataFrame:
    """Seven rows, Monday first, by local day: sums over all days of a name that ``span`` or a window touches."""
    frame = _timed(frame)
    edges = _edges(frame, None, zone, span)
    pieces = _pieces(frame, edges)
    middles = pd.DatetimeIndex((edges[:-1] + np.diff(edges) // 2).astype("M8[us]"), tz="UTC").tz_convert(zone)
    weekday = np.asarray(middles.day_of_week, dtype=np.int64)
    lengths_s = _sums(weekday, np.diff(edges) / 1e6, 7)
    table = _total(frame, replace(pieces, bucket=weekday[pieces.bucket]), lengths_s, _devices(frame))
    table.index = pd.Index(WEEKDAYS, name="weekday")
    return table


def by_site(frame: pd.DataFrame, span: Span | None = None) -> pd.DataFrame:
    """One row a site with a window, in alphabetical order; the bucket is from the first start to the last end of those
    whose clock can be believed, and their coverage is shown.
    """
    return _by_sender(frame, ["site"], span)


def by_device(frame: pd.DataFrame, span: Span | None = None) -> pd.DataFrame:
    """One row a site and device that has a window; the bucket as in `by_site`."""
    return _by_sender(frame, ["site", "device"], span)


def step_for(frame: pd.DataFrame, span: Span | None = None, most: int = 60) -> int | None:
    """A bucket's seconds, for at most so many buckets and none shorter than most windows; None stands for a day."""
    windows = _timed(frame)
    starts, ends = _bounds(windows, span)
    if not len(starts):
        return HOUR_S
    least = (ends.max() - starts.min()) / 1e6 / most
    if len(windows):
        first, last = _microseconds(windows)  # without the span: its length is not that of a window
        least = max(least, float(np.median(last - first)) / 1e6)
    return next((step for step in STEPS_S if step >= least), None)


def step_name(step_s: int | None) -> str:
    """``60`` -> ``"minute"``, ``21600`` -> ``"6 hours"``, None -> ``"day"``."""
    if step_s is None:
        return "day"
    number, unit = next((step_s // size, unit) for size, unit in UNITS if step_s % size == 0)
    return unit if number == 1 else f"{number} {unit}s"


def gaps(table: pd.DataFrame) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Start and end of each run of buckets of `by_time` without a window."""
    gap = (table["windows"] == 0).to_numpy()
    starts = pd.DatetimeIndex(table.index)
    ends = starts + pd.to_timedelta(table["seconds"].to_numpy(), unit="s")
    changes = np.flatnonzero(np.diff(np.concatenate(([0], gap.astype(np.int8), [0]))))
    return [(starts[first], ends[past - 1]) for first, past in zip(changes[::2], changes[1::2], strict=True)]


def _by_sender(frame: pd.DataFrame, names: list[str], span: Span | None) -> pd.DataFrame:
    timed = frame["clock"] != "unsynced"
    if timed.any():  # what was watched of windows without a place in time is not known to be of this length
        frame = frame.assign(coverage=frame["coverage"].where(timed, 0.0))
    groups = frame.groupby(names, sort=True)
    starts, ends = _bounds(frame[timed] if timed.any() else frame, span)
    length_s = np.full(groups.ngroups, (ends.max() - starts.min()) / 1e6 if len(starts) else 0.0)
    code = np.asarray(groups.ngroup(), dtype=np.int64)
    devices = np.asarray(groups["device"].nunique(), dtype=np.int64)
    table = _total(frame, _whole(frame, code), length_s, devices)
    table.index = groups.size().index
    return table


def _named(table: pd.DataFrame, name: str) -> pd.DataFrame:
    table.index.name = name
    return table


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    timed = frame["clock"] != "unsynced"
    return frame if timed.all() else frame[timed]


def _devices(frame: pd.DataFrame) -> int:
    return int(frame.groupby(["site", "device"], sort=False).ngroups)


def _microseconds(frame: pd.DataFrame) -> tuple[Ints, Ints]:
    """Starts and ends, (n,) int64 each, microseconds since 1970."""
    return pd.DatetimeIndex(frame["start"]).as_unit("us").asi8, pd.DatetimeIndex(frame["end"]).as_unit("us").asi8


def _bounds(frame: pd.DataFrame, span: Span | None) -> tuple[Ints, Ints]:
    """As `_microseconds`, with the span as one window more."""
    starts, ends = _microseconds(frame)
    if span is None:
        return starts, ends
    first, last = (int(moment.timestamp() * 1e6) for moment in span)
    return np.append(starts, first), np.append(ends, last)


def _edges(frame: pd.DataFrame, step_s: int | None, zone: ZoneInfo, span: Span | None) -> Ints:
    """Edges of the buckets that hold all windows and the span, (buckets + 1,) int64, microseconds since 1970."""
    starts, ends = _bounds(frame, span)
    if not len(starts):
        return np.zeros(1, np.int64)
    first, last = int(starts.min()), max(int(ends.max()) - 1, int(starts.min()))
    local = pd.DatetimeIndex(np.array([first, last], "M8[us]"), tz="UTC").tz_convert(zone).tz_localize(None).normalize()
    midnights = pd.date_range(local[0], local[1] + pd.Timedelta(days=1), freq="D")
    # where a clock change falls on midnight: the first of two, or the moment after the one that is left out
    aware = midnights.tz_localize(zone, ambiguous=np.ones(len(midnights), bool), nonexistent="shift_forward")
    days: Ints = aware.as_unit("us").asi8
    if step_s is None:
        return days
    step = step_s * 1_000_000
    counts = -(-np.diff(days) // step)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    edges = np.append(np.repeat(days[:-1], counts) + within * step, days[-1])
    kept = slice(
        max(int(np.searchsorted(edges, first, "right")) - 1, 0), int(np.searchsorted(edges, last, "right")) + 1
    )
    return edges[kept]


def _pieces(frame: pd.DataFrame, edges: Ints) -> _Pieces:
    """Windows cut at the edges, or cells put between them; ValueError if an edge lies within a cell."""
    starts, ends = _microseconds(frame)
    first = np.searchsorted(edges, starts, "right") - 1
    if "begin" in frame:
        if (ends > edges[first + 1]).any():
            raise ValueError("a bucket begins within a cell: take shorter cells or longer buckets")
        whole = _whole(frame, first)
        # of a window that began before, the bucket's first cell tells; later cells have it again
        touching = np.where(starts == edges[first], frame["windows"].to_numpy(), whole.windows)
        return replace(whole, windows=touching)
    number = np.searchsorted(edges, ends, "left") - first
    rows = np.repeat(np.arange(len(frame)), number)
    bucket = first[rows] + np.arange(len(rows)) - np.repeat(np.cumsum(number) - number, number)
    seconds = (np.minimum(ends[rows], edges[bucket + 1]) - np.maximum(starts[rows], edges[bucket])) / 1e6
    return _Pieces(rows, bucket, seconds / ((ends - starts)[rows] / 1e6), seconds, np.ones(len(rows), np.int64))


def _whole(frame: pd.DataFrame, bucket: Ints) -> _Pieces:
    """Each window, or each cell, as one piece; a window counts where it began."""
    rows, ones = np.arange(len(frame)), np.ones(len(frame))
    if "begin" not in frame:
        starts, ends = _microseconds(frame)
        return _Pieces(rows, bucket, ones, (ends - starts) / 1e6, ones.astype(np.int64))
    began = np.where(frame["begin"] == frame["start"], frame["windows"], 0)
    return _Pieces(rows, bucket, ones, frame["seconds"].to_numpy(), began)


def _total(frame: pd.DataFrame, pieces: _Pieces, lengths_s: Floats, devices: int | Ints) -> pd.DataFrame:
    """Pieces -> one row a bucket; ``lengths_s`` is (buckets,)."""
    bucket, size = pieces.bucket, len(lengths_s)
    columns, visits = {}, np.zeros(size)
    for name in labels(frame):
        values = frame[name].to_numpy(np.float64)[pieces.rows] * pieces.share
        known = ~np.isnan(values)
        sums = _sums(bucket[known], values[known], size)
        columns[name] = np.where(_sums(bucket, known.astype(np.float64), size) > 0, sums, np.nan)
        visits += sums
    degraded = frame["degraded"] if "begin" in frame else frame["degraded"] != ""
    watched_s = _sums(bucket, frame["coverage"].to_numpy()[pieces.rows] * pieces.seconds, size)
    degraded_s = _sums(bucket, degraded.to_numpy(np.float64)[pieces.rows] * pieces.seconds, size)
    any_s = _sums(bucket, pieces.seconds, size)
    table = pd.DataFrame(columns, index=range(size))
    table["visits"] = np.where(any_s > 0, visits, np.nan)
    table["windows"] = _sums(bucket, pieces.windows.astype(np.float64), size).astype(np.int64)
    table["coverage"] = _ratio(watched_s, lengths_s * devices)
    table["degraded"] = _ratio(degraded_s, any_s)
    table["seconds"] = lengths_s
    for name in DOUBTFUL_COLUMNS:
        doubtful = frame[name].to_numpy(np.float64) if name in frame else np.zeros(len(frame))
        table[name] = np.where(any_s > 0, _sums(bucket, doubtful[pieces.rows] * pieces.share, size), np.nan)
    return table


def _sums(bucket: Ints, values: Floats, size: int) -> Floats:
    """The sum of the values of each bucket, (size,), 0 where there is none."""
    return np.bincount(bucket, weights=values, minlength=size).astype(np.float64)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Elementwise, NaN where the whole is nothing."""
    ratio: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratio
