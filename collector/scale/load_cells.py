"""Load the cells of a store by workers that sum the windows of each folder, so that only sums are transferred."""

from datetime import date, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from collector.rollups.cells import HOUR_S, cell_s_for, cells
from collector.store.columns import FIXED_COLUMNS, KEY_COLUMNS
from collector.store.csv_file import schema_of
from collector.store.damage import DamageReports, log_damage
from collector.store.load import files_of, folders, read
from collector.store.workers import Workers

DAY = timedelta(days=1)
UNSET_CLOCK = date(1970, 1, 1)
"""Date of windows of a clock that was never set. They have no time, so the offset of their zone does not matter."""


def load_cells(
    root: Path, since: datetime | None, until: datetime | None, site: str | None, zone: ZoneInfo, workers: Workers
) -> pd.DataFrame:
    """Return the windows that `collector.store.load.load` loads as cells that fit the hours and days of the zone.

    Rows and files that cannot be used are left out and logged.
    """
    chosen = list(folders(root, since, until, site))
    sum_up = partial(_cells_of, since=since, until=until, cell_s=_cell_s(chosen, zone))
    tables = []
    for table, reports in workers.map(sum_up, chosen):
        reports.pass_on(log_damage)
        tables.append(table)
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else cells(schema_of(FIXED_COLUMNS).empty_table().to_pandas())


def _cells_of(
    folder: Path, *, since: datetime | None, until: datetime | None, cell_s: int
) -> tuple[pd.DataFrame, DamageReports]:
    """Sum the windows of one day and site up to cells, each window once; also return what was reported of its files."""
    reports = DamageReports()
    frame = read(files_of(folder, reports.note), reports.note).drop_duplicates(list(KEY_COLUMNS))
    chosen = pd.Series(True, index=frame.index)
    if since is not None:
        chosen &= frame["start"] >= since
    if until is not None:
        chosen &= frame["start"] < until
    return cells(frame[chosen], cell_s), reports


def _cell_s(chosen: list[Path], zone: ZoneInfo) -> int:
    """Return the length of cells that fit the zone on all days of some folders."""
    days = {date.fromisoformat(folder.parent.name.removeprefix("date=")) for folder in chosen} - {UNSET_CLOCK}
    if not days:
        return HOUR_S
    first, last = (datetime(*day.timetuple()[:3], tzinfo=timezone.utc) for day in (min(days), max(days) + DAY))
    return cell_s_for(zone, first, last)
