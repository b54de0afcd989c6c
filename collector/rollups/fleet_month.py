"""A month of all sites: the saved cells, by day, and in memory those of folders that have changed since.

Only the second are kept in memory as a table; `collector.rollups.day_files` has the first.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from collector.rollups import day_files, rollup_file
from collector.rollups.day_files import DayFiles
from collector.rollups.rollup_file import DamagedRollup, FileIdentity, MonthCells
from collector.rollups.rollup_month import QUIET_S, RECENT, RESCAN_S, MonthRollup
from collector.rollups.rollup_update import Files, changes, no_cells, unread, update
from collector.store.source_files import Folder, Source, scan_day, stored_days

RESCAN_FACTOR, COMPUTE_FACTOR = 20.0, 5.0
"""Old folders are scanned again, and cells are computed again, after at least so many times what the last time took.
So a fleet whose files take long to read is behind by some minutes, and most views need not wait for them."""
LONG_S = 1.0
"""What takes less is done at each call."""
SAVE_AGAIN_S = 3600.0
"""A month that could not be saved is tried again after so long."""


class FleetUnavailable(Exception):
    """The files of a month cannot be made or read; all cells must be read instead."""


@dataclass(slots=True)
class FleetMonth:
    """One month. Not safe for use by several threads."""

    files: Files
    path: Path
    """The month's roll-up file."""
    now: Callable[[], datetime]
    make_month: Callable[[], MonthRollup]
    """Returns what brings the roll-up file up to date. It reads the whole month, and is forgotten afterwards."""
    days: DayFiles | None = None
    """The saved cells; None without any."""
    changed: MonthCells = field(init=False)
    """Cells of folders that are not, or not as they are now, in the roll-up file."""
    replaced: frozenset[Folder] = frozenset()
    """Folders whose saved cells do not count."""
    version: int = 0
    """Grows when ``changed`` or ``replaced`` do."""
    _identity: FileIdentity | None = None
    _saved: dict[Folder, str] | None = None
    _present: dict[Folder, Source] = field(default_factory=dict)
    _scanned_s: float | None = None
    _rescan_s: float = RESCAN_S
    _save_after_s: float = 0.0
    _compute_after_s: float = 0.0
    _is_stale: bool = False

    def __post_init__(self) -> None:
        self.changed = MonthCells(no_cells(self.files.cell_s))

    def refresh(self) -> None:
        """Bring the month up to date. Raises FleetUnavailable."""
        now_s = self.now().timestamp()
        self._open()
        scan_all = self._scanned_s is None or not 0 <= now_s - self._scanned_s < self._rescan_s
        self._is_stale |= self._scan(scan_all)
        if scan_all and now_s >= self._save_after_s and self._unsaved(now_s):
            self._save(now_s)
            self._is_stale = True
        if self._is_stale and time.monotonic() >= self._compute_after_s:
            began_s = time.monotonic()
            self._compute()
            took_s = time.monotonic() - began_s
            self._compute_after_s = began_s + COMPUTE_FACTOR * took_s if took_s > LONG_S else 0.0
            self._is_stale = False

    def cells(self, date: str) -> pd.DataFrame:
        """Return all cells of a day; texts may be categorical."""
        frames = []
        if self.days is not None and date in self.days.contents.days:
            saved = self.days.cells(date)
            gone = {folder.site for folder in self.replaced if folder.date == date}
            frames.append(saved[~saved["site"].isin(gone)] if gone else saved)
        frames.append(self.changed.frame[self.changed.frame["date"] == date])
        filled = [frame for frame in frames if len(frame)]
        if len(filled) == 1:
            return filled[0]
        return pd.concat(map(_plain, filled), ignore_index=True) if filled else no_cells(self.files.cell_s)

    def changed_dates(self) -> set[str]:
        """Return the dates of which not all cells are the saved ones."""
        return {folder.date for folder in self.changed.sources} | {folder.date for folder in self.replaced}

    def reopen(self, *, make_again: bool) -> None:
        """Open the files of the days again, because one of them is gone; ``make_again`` if one is damaged.

        Raises FleetUnavailable.
        """
        if make_again:
            day_files.forget(self.path)
        self._take(None, None)
        self._open()

    def _open(self) -> None:
        """Open the files for the present roll-up file."""
        for attempt in range(2):
            identity = rollup_file.identity(self.path)
            if identity == self._identity and (self.days is not None or identity is None):
                return
            try:
                days = day_files.find(self.path)
            except (DamagedRollup, FileNotFoundError) as error:
                if attempt:
                    raise FleetUnavailable(str(error)) from error
                day_files.forget(self.path)
                self.make_month().refresh()  # renames a damaged file, computes an old one again
                continue
            except OSError as error:
                raise FleetUnavailable(str(error)) from error
            self._take(identity, days)
            for _, _, found in days.contents.damages if days is not None else ():
                for each in found:
                    self.files.on_damage(self.files.root / each.file, each)
            return

    def _take(self, identity: FileIdentity | None, days: DayFiles | None) -> None:
        """Take the files for a roll-up file, so that the next `refresh` compares them with what is in the store."""
        self._identity, self.days, self._saved, self._scanned_s = identity, days, None, None
        self._compute_after_s = 0.0  # cells that are saved now must not be counted as changed ones, too
        self.version += 1

    def _scan(self, scan_all: bool) -> bool:
        """Scan the folders that are there; return whether something may have changed."""
        now, began_s = self.now(), time.monotonic()
        first = (now - RECENT).date().isoformat()
        dates = [day for day in stored_days(self.files.root) if day.startswith(self.path.stem)]
        present = {} if scan_all else {folder: at for folder, at in self._present.items() if folder.date < first}
        unreadable: list[tuple[Path, OSError]] = []
        for date in dates:
            if scan_all or date >= first:
                with suppress(FileNotFoundError):  # deleted by retention
                    present.update(scan_day(self.files.root, date, lambda *each: unreadable.append(each)))
        if unreadable:
            saved = {folder: Source.decode(text) for folder, text in self._texts().items()}
            present |= unread(saved | self._present, self.files, unreadable)
        if scan_all:
            self._scanned_s = now.timestamp()
            self._rescan_s = max(RESCAN_S, RESCAN_FACTOR * (time.monotonic() - began_s))
        is_changed = scan_all or present != self._present
        self._present = present
        return is_changed

    def _texts(self) -> dict[Folder, str]:
        """Return the saved sources; none if no folder of the month is left, and none was."""
        if self.days is None or not (self._present or self.days.contents.live):
            return {}
        if self._saved is None:
            try:
                found = rollup_file.read_sources(self.path).texts
            except (OSError, DamagedRollup) as error:
                raise FleetUnavailable(str(error)) from error
            if rollup_file.identity(self.path) != self._identity:
                raise FileNotFoundError(f"{self.path} was replaced")
            self._saved = found
        return self._saved

    def _different(self) -> dict[Folder, Source]:
        """Return the folders that are there and not in the roll-up file as they are, or with a file left out."""
        texts, incomplete = self._texts(), self._incomplete()
        return {
            folder: source
            for folder, source in self._present.items()
            if (texts.get(folder) != source.encode() or folder in incomplete) and not _is_final(texts.get(folder))
        }

    def _incomplete(self) -> set[Folder]:
        """Return the saved folders with a file that could not be read then."""
        damages = () if self.days is None else self.days.contents.damages
        return {Folder(date, site) for date, site, found in damages if any(each.is_unreadable for each in found)}

    def _gone(self) -> set[Folder]:
        """Return the saved folders that are not there any more, and were not retired."""
        return {folder for folder, text in self._texts().items() if folder not in self._present and not _is_final(text)}

    def _unsaved(self, now_s: float) -> bool:
        """Whether the roll-up file should be written."""
        still = self._incomplete() - (self.changed.sources.keys() - self.changed.incomplete())
        return bool(self._gone()) or any(
            source.is_older_than(now_s - QUIET_S)
            for folder, source in self._different().items()
            if folder not in still or source.encode() != self._texts().get(folder)
        )

    def _save(self, now_s: float) -> None:
        before = self._identity
        self.make_month().refresh()
        self._open()
        if self._identity == before:
            self._save_after_s = now_s + SAVE_AGAIN_S
        self._scan(scan_all=True)

    def _compute(self) -> None:
        """Compute the cells of folders that are not in the roll-up file as they are."""
        different, gone = self._different(), self._gone()
        new, old = changes(self.changed, different)
        if new or old:
            update(self.changed, self.files, new, old)
        replaced = frozenset(gone | {folder for folder in different if folder in self._texts()})
        if new or old or replaced != self.replaced:
            self.version += 1
        self.replaced = replaced


def _is_final(text: str | None) -> bool:
    return text is not None and Source.is_final_text(text)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table without categories, which could not be joined."""
    categorical = [name for name in day_files.TEXTS if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    return frame.astype(dict.fromkeys(categorical, "str")) if categorical else frame
