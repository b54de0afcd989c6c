"""Sum windows up to cells: the counts of each device per hour or quarter of an hour.

A cell is one row per site, device, bundle, kind of clock, cell in which its windows began (``begin``), and cell in
which the counted part of them lies (``start`` to ``end``). Cells begin at whole multiples of their length since 1970
UTC. Counts of a window that reaches into the next cell are divided between the two in proportion to time. A year is
some thousand rows per device. Summing cells gives what summing windows gives, unless a bucket begins within a cell.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.store.columns import DOUBTFUL_COLUMNS, SENDER_COLUMNS, label_columns
from collector.store.intervals import US_PER_S, Floats, Ints, microseconds, split_at_multiples
from contract.fields import LONGEST_WINDOW

HOUR_S = 3600
QUARTER_S = 900
TWO_DAYS = pd.Timedelta(days=2)


def cells(frame: pd.DataFrame, cell_s: int = HOUR_S) -> pd.DataFrame:
    """Sum a table of `collector.store.load.load` up to cells of ``cell_s`` seconds, in the order of the windows.

    Returns the columns `CELL_COLUMNS`, `DOUBTFUL_COLUMNS`, then the labels:

    - ``begin``, ``start``, ``end``: UTC.
    - ``windows``: number of windows that overlap the cell; ``seconds``: their time within it.
    - ``coverage``, ``degraded``: ratio of those seconds that was watched, and that was degraded, 0 to 1.
    - doubtful visits and labels: float64, divided by time. A label is NaN where no window of the cell has it.
    """
    starts, ends = microseconds(frame)
    cell_us = cell_s * US_PER_S
    pieces = split_at_multiples(starts, ends, cell_us)
    rows, began = pieces.row, (starts // cell_us)[pieces.row]
    sender = np.asarray(frame.groupby(list(SENDER_COLUMNS), sort=False).ngroup(), np.int64)
    code, chosen = _group(sender[rows], began, pieces.bucket)

    def total(values: np.ndarray[Any, Any]) -> Floats:
        return np.bincount(code, weights=values, minlength=len(chosen)).astype(np.float64)

    table = frame[list(SENDER_COLUMNS)].iloc[rows[chosen]].reset_index(drop=True)
    cell = pieces.bucket[chosen]
    for name, number in (("begin", began[chosen]), ("start", cell), ("end", cell + 1)):
        table[name] = pd.DatetimeIndex((number * cell_us).astype("M8[us]"), tz="UTC")
    table["windows"] = np.bincount(code, minlength=len(chosen))
    table["seconds"] = total(pieces.seconds)
    table["coverage"] = total(frame["coverage"].to_numpy()[rows] * pieces.seconds) / table["seconds"]
    table["degraded"] = total((frame["degraded"] != "").to_numpy()[rows] * pieces.seconds) / table["seconds"]
    counts = {}
    for name in DOUBTFUL_COLUMNS:
        doubtful = frame[name].to_numpy(np.float64) if name in frame else np.zeros(len(frame))
        counts[name] = total(doubtful[rows] * pieces.fraction)
    for name in label_columns(frame):
        visits = frame[name].to_numpy(np.float64)[rows]
        known = ~np.isnan(visits)
        counts[name] = np.where(total(known) > 0, total(np.where(known, visits, 0.0) * pieces.fraction), np.nan)
    return pd.concat([table, pd.DataFrame(counts, index=table.index)], axis=1)


def cell_s_for(zone: ZoneInfo, since: datetime, until: datetime) -> int:
    """Return the longest cell, in seconds, such that hours and days of the zone begin at the edge of a cell.

    That is an hour, or a quarter of an hour where the zone's offset from UTC is not a whole number of hours, as in
    Kolkata, Lord Howe and Kathmandu. Offsets are checked from two days before the range, because the first bucket
    begins at a local midnight, until the end of the longest window that may begin in it.
    """
    first, last = pd.Timestamp(since).floor("D") - TWO_DAYS, pd.Timestamp(until).ceil("D") + LONGEST_WINDOW + TWO_DAYS
    days = pd.date_range(first, last, freq="D")
    local = days.tz_convert(zone).to_pydatetime()
    whole = all(moment.utcoffset().total_seconds() % HOUR_S == 0 for moment in local)
    return HOUR_S if whole else QUARTER_S


def _group(sender: Ints, began: Ints, cell: Ints) -> tuple[Ints, Ints]:
    """Return the number of the group of each piece, (n,), and the index of one piece of each group, (groups,)."""
    keys = pd.DataFrame({"sender": sender, "began": began, "cell": cell})
    code = keys.groupby(list(keys.columns), sort=False).ngroup()
    return np.asarray(code, np.int64), np.flatnonzero(~keys.duplicated()).astype(np.int64)
