"""Days that are too old -> deleted from the store; their roll-ups stay.

What is deleted is gone, and a clock may be wrong. So the machine's clock must have run steadily for a day
(`collector.devices.clock_check.ClockHistory`), and most devices must say the same time (`collector.devices.clock_check.Witnesses`).
"""

import logging
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

from base.errors import FacetallyError
from base.logs import line
from collector.devices.clock_check import ClockHistory, Opinion

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


class Retention:
    """Deletes what is too old from a store. Several collectors may do this at once."""

    def __init__(self, root: Path, keep_days: int, now: Callable[[], datetime], clock: ClockHistory) -> None:
        self._root, self._keep_days, self._now, self._clock = root, keep_days, now, clock
        self._stuck: set[date] = set()
        self._doubt = ""

    def delete_oldest(self, opinion: Opinion) -> date | None:
        """Delete the oldest day that is too old, once its roll-ups are on disk -> the day, said in the log, or None.

        One at a time, so that a receiver is not kept from its broker for long. A day that cannot be rolled up or
        deleted stays, is said once, and is tried again the next time. Windows that come for a deleted day are rolled up
        and deleted as well. ``opinion`` is what the devices say of the clock; while it is in doubt nothing is deleted.
        """
        steady = self._clock.is_steady()
        due = too_old(self._root, self._keep_days, self._now().date())
        if not due or self._doubts(steady, opinion, due[0]):
            return None
        for day in due:
            try:
                files, size = self._delete(day)
            except FileNotFoundError:
                continue  # another collector was faster
            except (FacetallyError, OSError) as error:
                if day not in self._stuck:
                    _log.warning(line("not_deleted", date=day, reason=error))
                self._stuck.add(day)
                continue
            self._stuck.discard(day)
            _log.info(line("deleted", date=day, files=files, bytes=size, keep_days=self._keep_days))
            return day
        return None

    def _doubts(self, steady: bool, opinion: Opinion, first: date) -> bool:
        """Whether the clock is in doubt; a new reason is said once."""
        doubt = {
            "agreed": "" if steady else "the clock has not run steadily for a day yet",
            "contradicted": "most devices say another time than the clock of this machine",
            "unknown": "too few devices have said what time it is in the last day",
        }[opinion]
        if doubt and doubt != self._doubt:
            _log.warning(line("not_deleted", date=first, reason=doubt))
        self._doubt = doubt
        return bool(doubt)

    def _delete(self, day: date) -> tuple[int, int]:
        """Number and bytes of the files of a day, which are gone afterwards."""
        from collector.store.cells import HOUR_S, QUARTER_S  # noqa: PLC0415 - only who deletes needs pandas
        from collector.store.rollup import Rollups  # noqa: PLC0415

        rollups = [Rollups(self._root, cell_s, self._now) for cell_s in (HOUR_S, QUARTER_S)]
        for each in rollups:
            each.retire(day)
        folder = self._root / f"date={day}"
        sizes = [path.stat().st_size for path in folder.glob("site=*/*")]
        shutil.rmtree(folder)
        for each in rollups:
            each.deleted(day)
        return len(sizes), sum(sizes)
