"""Sum up the last full hour of each device from the store."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from collector.publish.full_hours import HOUR
from collector.rollups.cells import HOUR_S, cells
from collector.store.columns import DOUBTFUL_COLUMNS, label_columns
from collector.store.load import load
from contract.hour import Hour

MAX_WINDOW_AGE = timedelta(days=2)
"""Windows that began longer ago are left out: counts held back over a closure are no counts of this hour."""
DIGITS = 4


def last_hours(root: Path, start: datetime) -> list[Hour]:
    """Return the hour that begins at ``start``, UTC, of each device with windows in it, by site and device.

    Windows whose clock was never set are left out, as in `collector.analysis.summarise`.
    """
    frame = load(root, start - MAX_WINDOW_AGE, start + HOUR)
    frame = frame[(frame["clock"] != "unsynced") & (frame["end"] > start)].reset_index(drop=True)
    if frame.empty:
        return []
    table = cells(frame)
    table = table[table["start"] == pd.Timestamp(start)]
    return [_hour(site, device, start, rows) for (site, device), rows in table.groupby(["site", "device"])]


def _hour(site: Any, device: Any, start: datetime, rows: pd.DataFrame) -> Hour:
    """Return the hour of the cells of one device."""
    watched_s = float((rows["coverage"] * rows["seconds"]).sum())
    visits = rows[label_columns(rows)].sum(min_count=1).dropna()
    low, high = (round(float(rows[name].sum()), DIGITS) for name in DOUBTFUL_COLUMNS)
    return Hour(
        schema=1,
        site=site,
        device=device,
        start=start,
        end=start + HOUR,
        windows=int(rows["windows"].sum()),
        coverage=min(round(watched_s / HOUR_S, DIGITS), 1.0),
        visits={str(label): round(float(number), DIGITS) for label, number in visits.items()},
        doubtful_low=low,
        doubtful_high=high,
    )
