"""Load the cells of a store by workers that sum the windows of each folder, so that only sums are transferred."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from collector.rollups.cells import HOUR_S, cell_s_for
from collector.rollups.rollup_update import folder_cells, no_cells
from collector.store.damage import log_damage
from collector.store.load import folders
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
    days = (date.fromisoformat(folder.parent.name.removeprefix("date=")) for folder in chosen)
    sum_up = partial(folder_cells, cell_s=cell_s_of_days(days, zone), since=since, until=until)
    tables = []
    for table, reports in workers.map_groups(sum_up, chosen):
        reports.pass_on(log_damage)
        tables.append(table)
    filled = [table for table in tables if len(table)]
    found = pd.concat(filled, ignore_index=True) if filled else no_cells(HOUR_S)
    return found.drop(columns="date")


def cell_s_of_days(days: Iterable[date], zone: ZoneInfo) -> int:
    """Return the length of cells that fit the zone on all of some days, seconds."""
    known = set(days) - {UNSET_CLOCK}
    if not known:
        return HOUR_S
    first, last = (datetime(*day.timetuple()[:3], tzinfo=timezone.utc) for day in (min(known), max(known) + DAY))
    return cell_s_for(zone, first, last)
