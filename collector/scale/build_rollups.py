"""Bring the roll-up files of a store up to date, so that no view has to wait for them."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.errors import StoreFailed
from collector.rollups.rollup import FOLDER
from collector.rollups.rollup_month import MonthRollup
from collector.scale.load_cells import cell_s_of_days
from collector.store.damage import log_damage
from collector.store.source_files import stored_days
from collector.store.workers import Workers

SAVE_ATTEMPTS = 3
"""The page may replace a roll-up file meanwhile."""


class BuiltMonth(NamedTuple):
    """The roll-up of one month."""

    name: str
    """``YYYY-MM``."""
    cells: int


def build_rollups(root: Path, zone: ZoneInfo, now: Callable[[], datetime], workers: Workers) -> Iterator[BuiltMonth]:
    """Bring the cells that fit the zone up to date, month by month; yield each month once its file is written.

    The workers sum up the folders that have changed. This process holds the cells of one month. Raises StoreFailed if a
    file cannot be written.
    """
    days = stored_days(root)
    cell_s = cell_s_of_days(map(date.fromisoformat, days), zone)
    for name in sorted({day[: len("2026-03")] for day in days}):
        path = root / FOLDER / str(cell_s) / f"{name}.parquet"
        month = MonthRollup(root, path, cell_s=cell_s, now=now, on_damage=log_damage, workers=workers)
        for _ in range(SAVE_ATTEMPTS):
            month.refresh(save_recent=True)
            if month.is_saved:
                break
        else:
            raise StoreFailed(f"{path}: the cells of {name} cannot be saved")
        yield BuiltMonth(name, len(month.frame))
