"""Write the roll-ups of a year of a fleet without its windows, as retention leaves them.

A year of ten thousand devices has 5.3 billion windows, some 840 GB of CSV. Their hourly cells are 87 million rows, of
which this writes all, or those of a few days of each month. Sizes and times of reading grow with the days written.
"""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.load.year import DEVICES_PER_SITE, LABEL_PROBABILITIES, LABELS, OPENING_HOURS
from collector.rollups import rollup_file
from collector.rollups.cells import HOUR_S
from collector.rollups.rollup import FOLDER
from collector.rollups.rollup_file import MonthCells
from collector.store.source_files import DELETED, Folder

START = datetime(2025, 7, 1, tzinfo=timezone.utc)
MONTHS = 12
HOURS = 24


def site_name(number: int) -> str:
    """Return the name of a site."""
    return f"shop-{number:04}"


def fill(
    root: Path, devices: int, days_a_month: int, rng: np.random.Generator, *, with_year_before: bool = False
) -> None:
    """Write the roll-ups of twelve months, or of 24 with the year before; ``days_a_month`` days of each month."""
    last = START + pd.DateOffset(months=MONTHS - 1)
    months = pd.date_range(end=last, periods=MONTHS * (1 + with_year_before), freq="MS")
    for first in months:
        days = pd.date_range(first, first + pd.offsets.MonthBegin(1), freq="D", inclusive="left")[:days_a_month]
        sites = range(-(-devices // DEVICES_PER_SITE))
        frame = pd.concat([_day(devices, day, rng) for day in days], ignore_index=True)
        sources = {Folder(f"{day:%Y-%m-%d}", site_name(site)): DELETED for day in days for site in sites}
        rollup_file.write(root / FOLDER / str(HOUR_S) / f"{first:%Y-%m}.parquet", MonthCells(frame, sources), None)


def _day(devices: int, day: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Return the cells of one day: an hour a row, a window a minute, visits in opening hours."""
    device = np.repeat(np.arange(devices), HOURS)
    hour = np.tile(np.arange(HOURS), devices)
    rate = np.where((hour >= OPENING_HOURS[0]) & (hour < OPENING_HOURS[1]), 60.0, 0.0)
    visits = rng.multinomial(rng.poisson(rate), LABEL_PROBABILITIES).astype(np.float64)
    start = day + pd.to_timedelta(hour, unit="h")
    sites, names = (
        [site_name(at // DEVICES_PER_SITE) for at in range(devices)],
        [f"door-{at:05}" for at in range(devices)],
    )
    columns = {
        "date": f"{day:%Y-%m-%d}", "site": np.repeat(sites, HOURS), "device": np.repeat(names, HOURS),
        "model_expression": "expression@ba9876543210", "clock": "synced", "begin": start, "start": start,
        "end": start + timedelta(hours=1), "windows": 60, "seconds": 3600.0,
        "coverage": rng.choice([1.0, 0.98, 0.95], len(device)), "degraded": 0.0, "doubtful_low": 0.0,
        "doubtful_high": 0.0,
    }  # fmt: skip
    return pd.DataFrame(columns | dict(zip(LABELS, visits.T, strict=True)))
