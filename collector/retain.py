"""Days that are too old -> deleted from the store; their roll-ups stay."""

import logging
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

from contract.errors import FacetallyError
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


def retain(root: Path, keep_days: int, now: Callable[[], datetime]) -> date | None:
    """Delete the oldest day that is too old, once its roll-ups are on disk -> the day, said in the log, or None.

    One at a time, so that a receiver is not kept from its broker for long. A day that cannot be rolled up or deleted is
    said too, and stays. Several collectors may do this at once.
    """
    failed: set[str] = set()
    for day in too_old(root, keep_days, now().date()):
        if f"{day:%Y-%m}" in failed:
            continue
        from collector.cells import HOUR_S, QUARTER_S  # noqa: PLC0415 - only who deletes needs pandas
        from collector.rollup import Rollups  # noqa: PLC0415

        try:
            for cell_s in (HOUR_S, QUARTER_S):
                Rollups(root, cell_s, now).retire(day)
            sizes = [path.stat().st_size for path in (root / f"date={day}").glob("site=*/*")]
            shutil.rmtree(root / f"date={day}")
        except FileNotFoundError:
            continue  # another collector was faster
        except (FacetallyError, OSError) as error:
            _log.warning(line("not_deleted", date=day, reason=error))
            failed.add(f"{day:%Y-%m}")
            continue
        _log.info(line("deleted", date=day, files=len(sizes), bytes=sum(sizes), keep_days=keep_days))
        return day
    return None
