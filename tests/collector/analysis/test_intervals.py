"""Bucket edges are those of the zone, and windows are cut exactly at them."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from collector.analysis.intervals import bucket_edges, cut
from collector.reading.reader import shares_by_period
from collector.rollups.cells import cells
from collector.store.load import load
from tests.support.store import put, window

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


def frame_of(*windows: tuple[str, str]) -> pd.DataFrame:
    """Starts and ends in UTC."""
    return pd.DataFrame({"start": [w[0] for w in windows], "end": [w[1] for w in windows]}).astype(
        "datetime64[us, UTC]"
    )


def test_months_begin_at_local_midnights() -> None:
    """Months of Berlin from the one of the first window to the one of the last, with the offset of each."""
    frame = frame_of(("2026-02-28 23:30", "2026-02-28 23:40"), ("2026-04-02 10:00", "2026-04-02 11:00"))
    edges = bucket_edges(frame, "month", BERLIN, None)
    starts = [moment.isoformat() for moment in pd.DatetimeIndex(edges.astype("M8[us]"), tz="UTC")]
    assert starts == ["2026-02-28T23:00:00+00:00", "2026-03-31T22:00:00+00:00", "2026-04-30T22:00:00+00:00"]


def test_the_parts_of_a_window_sum_to_the_window() -> None:
    """A window over three days has a part in each, in proportion to time."""
    frame = frame_of(("2026-03-02 18:00", "2026-03-04 06:00"))
    pieces = cut(frame, bucket_edges(frame, None, UTC, None))
    assert pieces.bucket.tolist() == [0, 1, 2]
    assert pieces.fraction.tolist() == pytest.approx([1 / 6, 4 / 6, 1 / 6])
    assert pieces.divided(np.array([12.0])).sum() == pytest.approx(12)
    assert pieces.windows.tolist() == [1, 1, 1]


def test_a_cell_is_never_cut(tmp_path: Path) -> None:
    """A bucket that begins within a cell is an error, because a cell does not know when its visits were."""
    put(tmp_path, *(window(number) for number in range(60)))
    frame = cells(load(tmp_path))
    with pytest.raises(ValueError, match="use shorter cells or longer buckets"):
        cut(frame, bucket_edges(frame, 1800, UTC, None))


def test_shares_of_a_year_are_by_month_with_gaps(tmp_path: Path) -> None:
    """A month without windows has a row with unknown shares, and a window at midnight is divided between two months."""
    midnight = datetime(2026, 3, 1, tzinfo=timezone.utc)
    half = timedelta(seconds=30)
    put(tmp_path, window(1, start=midnight - half), window(2, start=datetime(2026, 5, 4, tzinfo=timezone.utc)))
    span = (midnight - timedelta(days=200), midnight + timedelta(days=100))
    happiness = shares_by_period(load(tmp_path), UTC, span, {}).xs("happiness", level="label")
    visits = {f"{start:%m}": value for start, value in happiness["visits"].items() if value}
    assert visits == {"02": 1.5, "03": 1.5, "05": 3.0}
    assert happiness["share"].notna().sum() == 3
    assert len(happiness) == 11
