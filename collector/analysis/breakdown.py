"""Summaries by several dimensions: time by site, time by device, weekday by hour of the day.

`break_down` generalises the functions of `collector.analysis.summarise`: the same columns, indexed by the dimensions in
the order given. Every combination of a bucket of time and a site or device has a row, so that gaps show.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.intervals import Span, bucket_edges, cut, with_known_time
from collector.analysis.summarise import HOUR_S, TIME_STEPS, WEEKDAYS, bucket_sums, sum_pieces, summarise
from collector.store.intervals import Ints

Dimension = Literal["total", "hour", "day", "week", "month", "weekday", "site", "device"]
SENDERS = ("site", "device")
HOURS_OF_DAY = 24


def check_dimensions(by: Sequence[str]) -> None:
    """Raise ValueError if the dimensions cannot be combined; the text says which can."""
    if len(set(by)) != len(by):
        raise ValueError(f"by: each name must be given once, is {','.join(by)}")
    if "total" in by and len(by) > 1:
        raise ValueError(f"by: total must stand alone, is {','.join(by)}")
    times = [name for name in by if name not in (*SENDERS, "total")]
    if len(times) > 1 and set(times) != {"weekday", "hour"}:
        raise ValueError(
            "by: must have at most one of hour, day, week, month, weekday, or both weekday and hour,"
            f" has {','.join(times)}"
        )


def break_down(frame: pd.DataFrame, by: Sequence[Dimension], zone: ZoneInfo, span: Span | None = None) -> pd.DataFrame:
    """Return one row per combination of the dimensions, with the columns of `collector.analysis.summarise`.

    ``device`` includes the site. With ``weekday`` the index has the name of the day, and ``hour`` is the hour of the
    day, 0 to 23; without it, ``hour`` is its start. Raises ValueError as `check_dimensions` does.
    """
    check_dimensions(by)
    if len(by) == 1:
        return summarise(frame, by[0], zone, span)
    times = [name for name in by if name not in SENDERS]
    senders = [*SENDERS] if "device" in by else ["site"] if "site" in by else []
    if not times:
        return summarise(frame, "device", zone, span)
    frame = with_known_time(frame)
    edges = bucket_edges(frame, _step(times), zone, span)
    bucket_group, levels = _groups_of_buckets(edges, times, zone)
    size = len(levels[0]) if levels else 0
    lengths_s = bucket_sums(bucket_group, np.diff(edges) / 1e6, size)
    sender, sender_levels, devices = _senders(frame, senders)
    pieces = cut(frame, edges)
    code = sender[pieces.rows] * size + bucket_group[pieces.bucket]
    table = sum_pieces(frame, replace(pieces, bucket=code), np.tile(lengths_s, len(devices)), np.repeat(devices, size))
    columns = dict(zip(senders, (level.repeat(size) for level in sender_levels), strict=True))
    columns |= {name: level[np.tile(np.arange(size), len(devices))] for name, level in zip(times, levels, strict=True)}
    return _ordered(table, columns, [*dict.fromkeys(name for each in by for name in _names(each))])


def _names(dimension: str) -> tuple[str, ...]:
    return SENDERS if dimension == "device" else (dimension,)


def _step(times: Sequence[str]) -> Any:
    """Return the length of the buckets that are summed up to the dimensions of time."""
    if "hour" in times:
        return HOUR_S
    return TIME_STEPS.get(times[0])


def _groups_of_buckets(edges: Ints, times: Sequence[str], zone: ZoneInfo) -> tuple[Ints, list["pd.Index[Any]"]]:
    """Return the group of each bucket between the edges, and for each dimension of time the value of each group."""
    starts = pd.DatetimeIndex(edges[:-1].astype("M8[us]"), tz="UTC").tz_convert(zone)
    if "weekday" not in times:
        return np.arange(len(starts)), [starts]
    middles = pd.DatetimeIndex((edges[:-1] + np.diff(edges) // 2).astype("M8[us]"), tz="UTC").tz_convert(zone)
    day = np.asarray(middles.day_of_week, np.int64)
    if len(times) == 1:
        return day, [pd.Index(WEEKDAYS)]
    group = day * HOURS_OF_DAY + np.asarray(starts.hour, np.int64)
    values: dict[str, pd.Index[Any]] = {
        "weekday": pd.Index(WEEKDAYS).repeat(HOURS_OF_DAY),
        "hour": pd.Index(list(range(HOURS_OF_DAY)) * 7),
    }
    return group, [values[name] for name in times]


def _senders(frame: pd.DataFrame, names: list[str]) -> tuple[Ints, list["pd.Index[Any]"], Ints]:
    """Return the sender of each row, the name or names of each sender, and its number of devices."""
    if not names:
        devices = len(frame[list(SENDERS)].drop_duplicates())
        return np.zeros(len(frame), np.int64), [], np.array([devices])
    groups = frame.groupby(names, sort=True)
    found = groups["device"].nunique()
    levels = [found.index.get_level_values(at) for at in range(len(names))]
    return np.asarray(groups.ngroup(), np.int64), levels, np.asarray(found, np.int64)


def _ordered(table: pd.DataFrame, columns: dict[str, "pd.Index[Any]"], names: list[str]) -> pd.DataFrame:
    """Index a table by its dimensions, sorted in their order; weekdays from Monday."""
    keys = [_sort_key(columns[name]) for name in names]
    table.index = pd.MultiIndex.from_arrays([columns[name] for name in names], names=names)
    return table.iloc[np.lexsort(keys[::-1])]


def _sort_key(level: "pd.Index[Any]") -> Any:
    if level.isin(WEEKDAYS).all() and len(level):
        return level.map({day: number for number, day in enumerate(WEEKDAYS)}).to_numpy()
    return level.asi8 if isinstance(level, pd.DatetimeIndex) else level.to_numpy()
