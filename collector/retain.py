"""Days that are too old -> deleted from the store; their roll-ups stay."""

import logging
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

from contract.logs import line

_log = logging.getLogger(__name__)


def too_old(root: Path, keep_days: int, today: date) -> list[date]:
    """The days of a store, UTC, that end more than ``keep_days`` days before today begins; never today or later."""
    last = today - timedelta(days=max(keep_days, 1))
    days = []
    for folder in root.glob("date=*"):
        try:
            day = date.fromisoformat(folder.name.removeprefix("date="))
        except ValueError:
            continue  # not one of ours
        if day < last:
            days.append(day)
    return sorted(days)


def retain(root: Path, keep_days: int, now: Callable[[], datetime]) -> list[date]:
    """Delete whole days that are too old, each after its roll-ups are on disk -> the days deleted, each said in the
    log. A day that cannot be deleted, or rolled up, is said too, and left for the next time.

    Several collectors may do this at once.
    """
    deleted = []
    for day in too_old(root, keep_days, now().date()):
        from collector.cells import HOUR_S, QUARTER_S  # noqa: PLC0415 - only who deletes needs pandas
        from collector.rollup import Rollups  # noqa: PLC0415

        try:
            for cell_s in (HOUR_S, QUARTER_S):
                Rollups(root, cell_s, now).retire(day)
            files = [path.stat().st_size for path in (root / f"date={day}").glob("site=*/*") if path.is_file()]
            shutil.rmtree(root / f"date={day}")
        except FileNotFoundError:
            continue  # another collector was faster
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one day, the others and the counts go on
            _log.warning(line("not_deleted", date=day, reason=error))
            continue
        _log.info(line("deleted", date=day, files=len(files), bytes=sum(files), keep_days=keep_days))
        deleted.append(day)
    return deleted
