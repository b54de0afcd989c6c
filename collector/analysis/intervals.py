"""Bucket edges in local time, and windows cut at those edges.

All times are int64 microseconds since 1970-01-01 UTC, so that cutting is exact. A *window* is a row of
`collector.store.load.load`; a *cell* is a row of `collector.rollups.cells.cells`, which has the column ``begin``.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.store.columns import DOUBTFUL_COLUMNS
from collector.store.intervals import US_PER_S, Floats, Ints, microseconds, split_at_edges
from collector.store.load import labels

Span = tuple[datetime, datetime]
"""Start (inclusive) and end (exclusive)."""
Step = int | Literal["week", "month"] | None
"""Length of a bucket: seconds, a week from Monday or a calendar month of the zone, or None for a day of the zone."""

NO_TIMES = pd.DataFrame({"start": pd.DatetimeIndex([], tz="UTC"), "end": pd.DatetimeIndex([], tz="UTC")})
"""Table without a row, for `bucket_edges` of a span alone. It must not be changed."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Windows or cells cut at bucket edges. Every array has shape ``(pieces,)``."""

    rows: Ints
    """Row number in the table that was cut."""
    bucket: Ints
    """Number of the bucket that the piece lies in."""
    fraction: Floats
    """Fraction of the row's visits that fall into the piece, 0 to 1."""
    seconds: Floats
    windows: Ints
    """Windows that the piece adds to the number of windows touching its bucket."""
    whole: bool = False
    """Whether the pieces are the rows themselves, in order: then nothing need be copied to sum them."""

    def of_rows(self, values: Floats) -> Floats:
        """Return the value of each piece's row; ``values`` has one per row."""
        return values if self.whole else values[self.rows]

    def divided(self, values: Floats) -> Floats:
        """Return each piece's part of its row's value."""
        return values if self.whole else values[self.rows] * self.fraction


def visits_without_time(frame: pd.DataFrame) -> float:
    """Return the visits of windows or cells whose clock was never set: in the totals, in no chart over time."""
    return float(np.nansum(frame.loc[frame["clock"] == "unsynced", labels(frame)].to_numpy(np.float64)))


def prorated(cells: pd.DataFrame, span: Span) -> pd.DataFrame:
    """Return the cells of a span with the part of the last cell that lies in it: counts and seconds in proportion.

    The cells of a span are whole hours. A period that ended at 17:40 is compared with one up to 17:40, not up to 18:00.
    """
    until = pd.Timestamp(span[1])
    over = ((cells["start"] < until) & (cells["end"] > until)).to_numpy()
    if not over.any():
        return cells
    starts, ends = microseconds(cells[over])
    part = (int(span[1].timestamp() * US_PER_S) - starts) / (ends - starts)
    frame = cells.copy()
    for name in ("seconds", *DOUBTFUL_COLUMNS, *labels(cells)):
        frame[name] = frame[name].astype(np.float64)
        frame.loc[over, name] = frame.loc[over, name] * part
    return frame


def with_known_time(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows of devices whose clock was never synchronised: their times mean nothing."""
    known = frame["clock"] != "unsynced"
    return frame if known.all() else frame[known]


def bounds(frame: pd.DataFrame, span: Span | None) -> tuple[Ints, Ints]:
    """Return the starts and ends of all rows, with the span appended as one more row."""
    starts, ends = microseconds(frame)
    if span is None:
        return starts, ends
    first, last = (int(moment.timestamp() * 1e6) for moment in span)
    return np.append(starts, first), np.append(ends, last)


def bucket_edges(frame: pd.DataFrame, step: Step, zone: ZoneInfo, span: Span | None) -> Ints:
    """Return the edges of the buckets that cover all rows and the span, shape ``(buckets + 1,)``.

    Buckets of a number of seconds begin at local midnight and are cut off at the next one. Days and months are as long
    as the zone says. Without a row and a span there is no bucket.
    """
    starts, ends = bounds(frame, span)
    if not len(starts):
        return np.zeros(1, np.int64)
    first, last = int(starts.min()), max(int(ends.max()) - 1, int(starts.min()))
    local = pd.DatetimeIndex(np.array([first, last], "M8[us]"), tz="UTC").tz_convert(zone).tz_localize(None).normalize()
    if step == "month":
        return _utc(pd.date_range(local[0].replace(day=1), local[1] + pd.offsets.MonthBegin(1), freq="MS"), zone)
    if step == "week":
        monday = local[0] - pd.Timedelta(days=local[0].day_of_week)
        return _utc(pd.date_range(monday, local[1] + pd.Timedelta(days=7), freq="7D"), zone)
    days = _utc(pd.date_range(local[0], local[1] + pd.Timedelta(days=1), freq="D"), zone)
    if step is None:
        return days
    step_us = step * 1_000_000
    counts = -(-np.diff(days) // step_us)
    edges = np.append(np.repeat(days[:-1], counts) + _position_in_run(counts) * step_us, days[-1])
    begin = max(int(np.searchsorted(edges, first, "right")) - 1, 0)
    return edges[begin : int(np.searchsorted(edges, last, "right")) + 1]


def cut(frame: pd.DataFrame, edges: Ints) -> Pieces:
    """Cut windows at the edges, or assign cells to buckets.

    Raises ValueError if an edge lies within a cell: a cell cannot be cut, because it does not say when its visits were.
    """
    starts, ends = microseconds(frame)
    first = np.searchsorted(edges, starts, "right") - 1
    if "begin" in frame:
        if (ends > edges[first + 1]).any():
            raise ValueError("buckets must not begin within a cell: use shorter cells or longer buckets")
        pieces = uncut(frame, first)
        # a window that began before the bucket is counted by the bucket's first cell; later cells count it again
        touching = np.where(starts == edges[first], frame["windows"].to_numpy(), pieces.windows)
        return replace(pieces, windows=touching)
    split = split_at_edges(starts, ends, edges)
    return Pieces(split.row, split.bucket, split.fraction, split.seconds, np.ones(len(split.row), np.int64))


def uncut(frame: pd.DataFrame, bucket: Ints) -> Pieces:
    """Return every row as one piece in the given bucket, ``bucket`` of shape ``(rows,)``.

    A window that was divided between several cells is counted by the cell in which it began.
    """
    rows, ones = np.arange(len(frame)), np.ones(len(frame))
    if "begin" not in frame:
        starts, ends = microseconds(frame)
        return Pieces(rows, bucket, ones, (ends - starts) / 1e6, ones.astype(np.int64), whole=True)
    windows = np.where(frame["begin"] == frame["start"], frame["windows"], 0)
    return Pieces(rows, bucket, ones, frame["seconds"].to_numpy(), windows, whole=True)


def _position_in_run(lengths: Ints) -> Ints:
    """Return ``0, 1, ...`` for each run in turn: ``[2, 3]`` becomes ``[0, 1, 0, 1, 2]``."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _utc(midnights: pd.DatetimeIndex, zone: ZoneInfo) -> Ints:
    """Convert local midnights to UTC. A midnight that occurs twice is the first; one that is skipped is the moment
    after the gap.
    """
    aware = midnights.tz_localize(zone, ambiguous=np.ones(len(midnights), bool), nonexistent="shift_forward")
    utc: Ints = aware.as_unit("us").asi8
    return utc
