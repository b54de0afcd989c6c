"""Delete days of the store that are older than ``store.keep_days``; their roll-ups stay.

Deletion cannot be undone, and the clock may be wrong. So nothing is deleted unless the machine's clock has run
steadily for a day (`collector.devices.clock_check.ClockHistory`) and most devices report the same time
(`collector.devices.clock_check.DeviceClocks`).
"""

import logging
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

from base.errors import FacetallyError
from base.logs import line
from collector.devices.clock_check import ClockAgreement, ClockHistory

_log = logging.getLogger(__name__)


def expired_days(root: Path, keep_days: int, today: date) -> list[date]:
    """Return the days of a store, in UTC, that are more than ``keep_days`` days before today; never today or later."""
    first_kept = today - timedelta(days=max(keep_days, 1))
    days = []
    for folder in root.glob("date=*"):
        try:
            day = date.fromisoformat(folder.name.removeprefix("date="))
        except ValueError:
            continue  # not a folder of the store
        if day < first_kept:
            days.append(day)
    return sorted(days)


class Retention:
    """Deletes expired days from a store. Several collectors may do this at the same time."""

    def __init__(self, root: Path, keep_days: int, now: Callable[[], datetime], clock: ClockHistory) -> None:
        self._root, self._keep_days, self._now, self._clock = root, keep_days, now, clock
        self._failed: set[date] = set()
        self._logged_doubt: str | None = None

    def delete_oldest(self, agreement: ClockAgreement) -> date | None:
        """Delete the oldest expired day once its cells are saved; return it, or None if no day was deleted.

        One day per call, so that the receiver is soon back at its broker. A day that cannot be rolled up or deleted
        stays, is logged once, and is tried again at the next call. Windows that come later for a deleted day are rolled
        up and deleted too. ``agreement`` compares the devices' clocks with this machine's; nothing is deleted unless
        they agree.
        """
        is_steady = self._clock.is_steady()
        expired = expired_days(self._root, self._keep_days, self._now().date())
        if not expired:
            return None
        doubt = _doubt(is_steady, agreement)
        self._log_doubt(doubt, expired[0])
        if doubt is not None:
            return None
        for day in expired:
            try:
                files, size = self._delete(day)
            except FileNotFoundError:
                continue  # another collector has deleted it
            except (FacetallyError, OSError) as error:
                if day not in self._failed:
                    _log.warning(line("not_deleted", date=day, reason=error))
                self._failed.add(day)
                continue
            self._failed.discard(day)
            _log.info(line("deleted", date=day, files=files, bytes=size, keep_days=self._keep_days))
            return day
        return None

    def _log_doubt(self, doubt: str | None, first: date) -> None:
        """Log why the clock is in doubt when the reason changes; ``first`` is the oldest expired day."""
        if doubt is not None and doubt != self._logged_doubt:
            _log.warning(line("not_deleted", date=first, reason=doubt))
        self._logged_doubt = doubt

    def _delete(self, day: date) -> tuple[int, int]:
        """Save the cells of a day and delete its files; return their number and bytes."""
        from collector.rollups.cells import HOUR_S, QUARTER_S  # noqa: PLC0415 - pandas only where days are deleted
        from collector.rollups.rollup import Rollups  # noqa: PLC0415

        rollups = [Rollups(self._root, cell_s, self._now) for cell_s in (HOUR_S, QUARTER_S)]
        for each in rollups:
            each.retire(day)
        folder = self._root / f"date={day}"
        sizes = [path.stat().st_size for path in folder.glob("site=*/*")]
        shutil.rmtree(folder)
        for each in rollups:
            each.mark_deleted(day)
        return len(sizes), sum(sizes)


def _doubt(is_steady: bool, agreement: ClockAgreement) -> str | None:
    """Return why the clock of this machine is in doubt; None if it is not."""
    if agreement == "contradicted":
        return "most devices report another time than the clock of this machine"
    if agreement == "unknown":
        return "too few devices have reported the time in the last day"
    return None if is_steady else "the clock of this machine has not run steadily for a day yet"
