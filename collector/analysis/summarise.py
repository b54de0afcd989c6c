"""Visits per bucket of time, site or device, and how much of each bucket was watched.

Every table has one float64 column per label, followed by the columns `FIGURES`. Three cases look alike and are kept
apart:

- zero: ``visits`` is 0 and ``coverage`` is above 0. A camera watched and nobody came.
- gap: ``visits`` is NaN and ``windows`` is 0. No data.
- degraded: ``degraded`` is above 0, the fraction of the windows' time in which a device reported reduced visibility.

A window that spans two buckets adds to both, in proportion to its time in each. Sums are preserved, and the counts of
a bucket need not be whole numbers (windows merged under the privacy rule can be hours long). ``coverage`` is the number
of seconds watched divided by the seconds of the bucket times the number of devices in the table. It exceeds 1 only
where windows of one device overlap, for example after its clock was set back. A bucket that has not ended yet counts as
whole.
Windows of a clock that was never synchronised have no time: only `by_site` and `by_device` count them.

``doubtful_low`` is the number of visits that may be part of another visit or nobody's, ``doubtful_high`` of those that
may be two people's. They are summed as visits are: 0 where no visit is doubtful, NaN in a gap.

Every function accepts windows (`collector.store.load.load`) or cells (`collector.rollups.cells.cells`, kept by
`collector.rollups.rollup`) and returns the same for both.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.intervals import (
    Pieces,
    Span,
    Step,
    bounds,
    bucket_edges,
    cut,
    uncut,
    with_known_time,
)
from collector.store.columns import DOUBTFUL_COLUMNS, UNSET
from collector.store.intervals import Floats, Ints, microseconds
from collector.store.load import labels

By = Literal["total", "hour", "day", "week", "month", "weekday", "site", "device"]
FIGURES = ("visits", "windows", "coverage", "degraded", "seconds", *DOUBTFUL_COLUMNS)
"""Visits of all labels; windows that touch the bucket; fraction watched; fraction of that degraded; length of the
bucket in seconds; doubtful visits, down and up."""
ONE_ROW = pd.Index(["total"], name="total")
"""Index of the only row of `by_total`."""
BUCKET_FIGURES = ("windows", "coverage", "degraded", "seconds")
"""Those of `FIGURES` that a row per label has, too."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOUR_S = 3600
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 900, 1800, HOUR_S, 3 * HOUR_S, 6 * HOUR_S)
TIME_STEPS: dict[str, Step] = {"hour": HOUR_S, "day": None, "week": "week", "month": "month"}
"""Length of the buckets of time, by name."""
UNITS = ((HOUR_S, "hour"), (60, "minute"), (1, "second"))


def summarise(frame: pd.DataFrame, by: By, zone: ZoneInfo, span: Span | None = None) -> pd.DataFrame:
    """Return one row per hour, day, week, month, weekday, site or device, or one for all; see the functions below."""
    if by in TIME_STEPS:
        return by_time(frame, TIME_STEPS[by], zone, span).rename_axis(by)
    if by == "weekday":
        return by_weekday(frame, zone, span)
    if by == "total":
        return by_total(frame, span)
    return by_site(frame, span) if by == "site" else by_device(frame, span)


def by_time(
    frame: pd.DataFrame, step: Step, zone: ZoneInfo, span: Span | None = None, devices: int | None = None
) -> pd.DataFrame:
    """Return one row per bucket in order of time, gaps included.

    ``devices`` is the number of devices whose clock was set, if the rows do not tell it.

    The index is the start of the bucket in ``zone``. Days have 23 to 25 hours, as the zone says, and the last bucket of
    a day ends with the day. Every bucket that ``span`` or a window touches has a row.
    """
    frame = with_known_time(frame)
    edges = bucket_edges(frame, step, zone, span)
    number = device_count(frame) if devices is None else devices
    table = sum_pieces(frame, cut(frame, edges), np.diff(edges) / 1e6, number)
    starts = pd.DatetimeIndex(edges[:-1].astype("M8[us]"), tz="UTC").tz_convert(zone)
    table.index = starts.rename("start")
    return table


def by_weekday(frame: pd.DataFrame, zone: ZoneInfo, span: Span | None = None) -> pd.DataFrame:
    """Return seven rows, Monday first: sums over all local days of that name which ``span`` or a window touches."""
    frame = with_known_time(frame)
    edges = bucket_edges(frame, None, zone, span)
    pieces = cut(frame, edges)
    middles = pd.DatetimeIndex((edges[:-1] + np.diff(edges) // 2).astype("M8[us]"), tz="UTC").tz_convert(zone)
    weekday = np.asarray(middles.day_of_week, dtype=np.int64)
    lengths_s = bucket_sums(weekday, np.diff(edges) / 1e6, 7)
    table = sum_pieces(frame, replace(pieces, bucket=weekday[pieces.bucket]), lengths_s, device_count(frame))
    table.index = pd.Index(WEEKDAYS, name="weekday")
    return table


def by_total(frame: pd.DataFrame, span: Span | None = None, devices: int | None = None) -> pd.DataFrame:
    """Return one row with the sums of all windows; the bucket is as in `by_site`.

    ``devices`` is the number of devices, if the rows do not tell it.
    """
    if len(frame):
        return _by_sender(frame, [], span, devices)
    names = [*labels(frame), *FIGURES]
    seconds = 0.0 if span is None else (span[1] - span[0]).total_seconds()
    return pd.DataFrame(dict.fromkeys(names, np.nan) | {"windows": 0, "seconds": seconds}, index=ONE_ROW)


def by_site(frame: pd.DataFrame, span: Span | None = None) -> pd.DataFrame:
    """Return one row per site that has a window, in alphabetical order.

    The bucket reaches from the first start to the last end of all windows with a synchronised clock, and the span. The
    last cell of the span ends with the span. Only windows with a synchronised clock add to the coverage.
    """
    return _by_sender(frame, ["site"], span)


def by_device(frame: pd.DataFrame, span: Span | None = None) -> pd.DataFrame:
    """Return one row per site and device that has a window; the bucket is as in `by_site`."""
    return _by_sender(frame, ["site", "device"], span)


def label_columns(table: pd.DataFrame) -> list[str]:
    """Return the label columns of a table of this module: those before `FIGURES`."""
    return [str(name) for name in table.columns[: -len(FIGURES)]]


def step_for(frame: pd.DataFrame, span: Span | None = None, max_buckets: int = 60) -> int | None:
    """Return the shortest bucket length, in seconds, that gives at most ``max_buckets`` and is no shorter than the
    median window; None stands for a day.
    """
    windows = with_known_time(frame)
    starts, ends = bounds(windows, span)
    if not len(starts):
        return HOUR_S
    shortest = (ends.max() - starts.min()) / 1e6 / max_buckets
    if len(windows):
        first, last = microseconds(windows)  # without the span, whose length is not that of a window
        shortest = max(shortest, float(np.median(last - first)) / 1e6)
    return next((step for step in STEPS_S if step >= shortest), None)


def step_name(step_s: int | None) -> str:
    """Name a bucket length: ``60`` is ``"minute"``, ``21600`` is ``"6 hours"``, None is ``"day"``."""
    if step_s is None:
        return "day"
    number, unit = next((step_s // size, unit) for size, unit in UNITS if step_s % size == 0)
    return unit if number == 1 else f"{number} {unit}s"


def gaps(table: pd.DataFrame) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Return start and end of each run of buckets without a window, in a table of `by_time`."""
    gap = (table["windows"] == 0).to_numpy()
    starts = pd.DatetimeIndex(table.index)
    ends = starts + pd.to_timedelta(table["seconds"].to_numpy(), unit="s")
    changes = np.flatnonzero(np.diff(np.concatenate(([0], gap.astype(np.int8), [0]))))
    return [(starts[first], ends[past - 1]) for first, past in zip(changes[::2], changes[1::2], strict=True)]


def device_count(frame: pd.DataFrame) -> int:
    """Return the number of devices that the rows are of."""
    return len(frame[["site", "device"]].drop_duplicates())


def by_site_sums(sums: pd.DataFrame, frame: pd.DataFrame, span: Span, devices: Mapping[str, int]) -> pd.DataFrame:
    """Return the table of `by_site` for sums of sites over all time, one or several cells per site.

    ``frame`` is a table with all times, ``devices`` the number of devices of each site.
    """
    length_s = _length_s(frame, span)
    sums = _untimed(sums)
    groups = sums.groupby("site", sort=True)
    names = groups.size().index
    table = sum_pieces(
        sums,
        uncut(sums, np.asarray(groups.ngroup(), np.int64)),
        np.full(len(names), length_s),
        np.array([devices[str(name)] for name in names], np.int64),
    )
    table.index = names
    return table


def _untimed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which clocks that were never set have watched nothing: how much of the bucket is not known."""
    known = frame["clock"] != UNSET
    return frame.assign(coverage=frame["coverage"].where(known, 0.0)) if known.any() else frame


def _length_s(frame: pd.DataFrame, span: Span | None) -> float:
    """Return the length of the bucket of `by_site`, seconds."""
    known = frame["clock"] != UNSET
    starts, ends = bounds(frame[known] if known.any() else frame, span)
    if "begin" in frame and span is not None:
        ends[(starts < ends[-1]) & (ends > ends[-1])] = ends[-1]
    return float((ends.max() - starts.min()) / 1e6) if len(starts) else 0.0


def _by_sender(frame: pd.DataFrame, names: list[str], span: Span | None, number: int | None = None) -> pd.DataFrame:
    length_s = _length_s(frame, span)
    frame = _untimed(frame)
    if not names:
        number = device_count(frame) if number is None else number
        table = sum_pieces(frame, uncut(frame, np.zeros(len(frame), np.int64)), np.array([length_s]), number)
        return table.set_axis(ONE_ROW)
    groups = frame.groupby(names, sort=True)
    devices = np.asarray(groups["device"].nunique(), dtype=np.int64)
    group = np.asarray(groups.ngroup(), dtype=np.int64)
    table = sum_pieces(frame, uncut(frame, group), np.full(groups.ngroups, length_s), devices)
    table.index = groups.size().index
    return table


def sum_pieces(frame: pd.DataFrame, pieces: Pieces, lengths_s: Floats, devices: int | Ints) -> pd.DataFrame:
    """Sum pieces by bucket. ``lengths_s`` is the length of each bucket in seconds, ``(buckets,)``."""
    bucket, size = pieces.bucket, len(lengths_s)
    any_s = bucket_sums(bucket, pieces.seconds, size)
    columns, visits = {}, np.zeros(size)
    for name in labels(frame):
        values = pieces.divided(frame[name].to_numpy(np.float64))
        known = ~np.isnan(values)
        if known.all():
            has_label, sums = any_s > 0, bucket_sums(bucket, values, size)
        else:
            has_label = np.bincount(bucket[known], minlength=size) > 0
            sums = bucket_sums(bucket[known], values[known], size)
        columns[name] = np.where(has_label, sums, np.nan)
        visits += sums
    degraded = np.asarray(frame["degraded"] if "begin" in frame else frame["degraded"] != "", np.float64)
    watched_s = bucket_sums(bucket, pieces.of_rows(frame["coverage"].to_numpy(np.float64)) * pieces.seconds, size)
    degraded_s = bucket_sums(bucket, pieces.of_rows(degraded) * pieces.seconds, size)
    columns["visits"] = np.where(any_s > 0, visits, np.nan)
    columns["windows"] = bucket_sums(bucket, pieces.windows.astype(np.float64), size).astype(np.int64)
    columns["coverage"] = _ratio(watched_s, lengths_s * devices)
    columns["degraded"] = _ratio(degraded_s, any_s)
    columns["seconds"] = lengths_s
    for name in DOUBTFUL_COLUMNS:
        doubtful = frame[name].to_numpy(np.float64) if name in frame else np.zeros(len(frame))
        columns[name] = np.where(any_s > 0, bucket_sums(bucket, pieces.divided(doubtful), size), np.nan)
    return pd.DataFrame(columns, index=range(size))


def bucket_sums(bucket: Ints, values: Floats, size: int) -> Floats:
    """Sum the values of each bucket, ``(size,)``, 0 for an empty one."""
    return np.bincount(bucket, weights=values, minlength=size).astype(np.float64)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divide elementwise, NaN where ``whole`` is 0."""
    ratio: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratio
