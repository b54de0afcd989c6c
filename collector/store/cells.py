"""Windows -> cells: what each device counted in each hour, so that a year is some thousand rows a device.

A cell is one row for each site, device, bundle, kind of clock, the cell in which its windows began (``begin``) and the
cell that the counted part of them lies in (``start`` to ``end``). Cells begin at whole multiples of their length since
1970 UTC. A window that reaches into the next cell is divided between the two by time, as `collector.analysis.summarise` divides
it between buckets, so that summing cells up gives what summing windows up gives wherever no bucket begins within a
cell.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.store.load import labels
from collector.store.rows import OPTIONAL

HOUR_S = 3600
QUARTER_S = 900
TWO_DAYS = pd.Timedelta(days=2)
SENDER = ("site", "device", "model_expression", "clock")
CELL = (*SENDER, "begin", "start", "end", "windows", "seconds", "coverage", "degraded", *OPTIONAL)
"""Columns before the labels: ``windows`` that touch the cell, their ``seconds`` in it, and of these the shares (0 to 1)
that were watched and that were degraded; doubtful visits, float64, divided by time as visits are."""
Ints = np.ndarray[Any, np.dtype[np.int64]]


def cells(frame: pd.DataFrame, cell_s: int = HOUR_S) -> pd.DataFrame:
    """A table of `collector.store.load.load` -> its cells: columns `CELL`, then one float64 column a label.

    A label is NaN where no window of the cell had it. Times are UTC; the order is that of the windows.
    """
    starts, ends = (pd.DatetimeIndex(frame[name]).as_unit("us").asi8 for name in ("start", "end"))
    cell_us = cell_s * 1_000_000
    first = starts // cell_us
    number = -(-ends // cell_us) - first
    rows = np.repeat(np.arange(len(frame)), number)
    at = first[rows] + np.arange(len(rows)) - np.repeat(np.cumsum(number) - number, number)
    seconds = (np.minimum(ends[rows], (at + 1) * cell_us) - np.maximum(starts[rows], at * cell_us)) / 1e6
    sender = np.asarray(frame.groupby(list(SENDER), sort=False).ngroup(), np.int64)
    code, chosen = _codes(sender[rows], first[rows], at)

    def total(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.bincount(code, weights=values, minlength=len(chosen)).astype(np.float64)

    table = frame[list(SENDER)].iloc[rows[chosen]].reset_index(drop=True)
    for name, count in (("begin", first[rows[chosen]]), ("start", at[chosen]), ("end", at[chosen] + 1)):
        table[name] = pd.DatetimeIndex((count * cell_us).astype("M8[us]"), tz="UTC")
    table["windows"] = np.bincount(code, minlength=len(chosen))
    table["seconds"] = total(seconds)
    table["coverage"] = total(frame["coverage"].to_numpy()[rows] * seconds) / table["seconds"]
    table["degraded"] = total((frame["degraded"] != "").to_numpy()[rows] * seconds) / table["seconds"]
    share = seconds / ((ends - starts)[rows] / 1e6)
    counted = {}
    for name in OPTIONAL:
        counted[name] = total(frame[name].to_numpy(np.float64)[rows] * share) if name in frame else np.zeros(len(table))
    for name in labels(frame):
        visits = frame[name].to_numpy(np.float64)[rows]
        known = ~np.isnan(visits)
        counted[name] = np.where(total(known) > 0, total(np.where(known, visits, 0.0) * share), np.nan)
    return pd.concat([table, pd.DataFrame(counted, index=table.index)], axis=1)


def cell_s_for(zone: ZoneInfo, since: datetime, until: datetime) -> int:
    """The longest cell that no hour or day of the zone begins within: an hour, or a quarter where the zone is off UTC
    by half an hour or by quarters, as in Kolkata, Lord Howe and Kathmandu.
    """
    days = pd.date_range(pd.Timestamp(since).floor("D") - TWO_DAYS, pd.Timestamp(until).ceil("D") + TWO_DAYS, freq="D")
    local = days.tz_convert(zone).to_pydatetime()  # two days more: the first bucket begins at a local midnight
    whole = all(moment.utcoffset().total_seconds() % HOUR_S == 0 for moment in local)
    return HOUR_S if whole else QUARTER_S


def _codes(sender: Ints, begin: Ints, at: Ints) -> tuple[Ints, Ints]:
    """Pieces, (n,) each -> the number of each piece's cell, (n,), and one piece of each cell, (cells,)."""
    keys = pd.DataFrame({"sender": sender, "begin": begin, "at": at})
    code = keys.groupby(list(keys.columns), sort=False).ngroup()
    return np.asarray(code, np.int64), np.flatnonzero(~keys.duplicated()).astype(np.int64)
