"""Keep the cells of one month up to date with the store's files, in memory and in a roll-up file.

The file holds, for each folder of the store, the names, sizes and times of the files that its cells were computed
from. Only folders whose files have changed are read again. Folders that were written to in the last quarter of an hour
are kept in memory only, so that today's counts do not wear out a memory card.

A damaged roll-up file is renamed to end in ``.damaged``. Its cells are computed again from the rows, except cells of
deleted days, which cannot be.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from base.logs import line
from collector.errors import StoreFailed
from collector.language.catalogue import mark
from collector.rollups import rollup_file
from collector.rollups.rollup_file import DamagedRollup, FileIdentity, MonthCells
from collector.rollups.rollup_update import Files, changes, compute, incomplete_folders, no_cells, unread, update
from collector.store.damage import Damage, DamageCallback, Fault, file_damage
from collector.store.source_files import DELETED, Folder, Source, SourceState, scan_day, stored_days
from collector.store.workers import ThisProcess, Workers

QUIET_S = 900
"""A folder's cells are written to the file when nothing was written to the folder for so long."""
RECENT = timedelta(days=2)
RESCAN_S = 60
"""Folders of days before RECENT are scanned again after so long, because a window may come late."""
DAMAGED_SUFFIX = ".damaged"
CELLS_LOST = mark(
    "{reason}; its cells are computed again from the rows, except those of days that retention has deleted"
)
WAS_DAMAGED = mark("was damaged")

_log = logging.getLogger(__name__)


class MonthRollup:
    """The cells of one month. Not safe for use by several threads."""

    def __init__(
        self,
        root: Path,
        path: Path,
        *,
        cell_s: int,
        now: Callable[[], datetime],
        on_damage: DamageCallback,
        workers: Workers | None = None,
    ) -> None:
        self._root, self._path, self._cell_s, self._now, self._on_damage = root, path, cell_s, now, on_damage
        self._workers = workers or ThisProcess()
        self._month = MonthCells(no_cells(cell_s))
        self._saved: dict[Folder, Source] = {}
        self._incomplete: set[Folder] = set()
        self._identity: FileIdentity | None = None
        self._is_unreadable = False
        self._scanned_s: float | None = None
        self.damage: Damage | None = None
        """What is wrong with the roll-up file, where it could not be renamed."""

    @property
    def frame(self) -> pd.DataFrame:
        """The cells after the last `refresh`, with the column ``date`` of their folder in front."""
        return self._month.frame

    @property
    def is_saved(self) -> bool:
        """Whether the roll-up file has the cells of all folders."""
        return self._saved == self._month.sources

    def refresh(self, *, save_recent: bool = False) -> None:
        """Bring the cells up to date: read the folders whose files have changed, and save what is quiet, or all."""
        self._read_file()
        now = self._now()
        now_s = now.timestamp()
        scan_all = self._scanned_s is None or now_s - self._scanned_s >= RESCAN_S
        present = self._scan(None if scan_all else (now - RECENT).date().isoformat())
        changed, gone = changes(self._month, present)
        if not scan_all:
            gone = set()
        if changed or gone:
            update(self._month, self._files(), changed, gone)
        if scan_all:
            self._scanned_s = now_s
            quiet = {
                folder: source
                for folder, source in self._month.sources.items()
                if save_recent or source.is_final or source.is_older_than(now_s - QUIET_S)
            }
            if quiet != self._saved or self._incomplete - incomplete_folders(self._month.damages):
                self.save(quiet)

    def retire(self, date: str) -> None:
        """Make the cells of a day final and save them, so that its folder may be deleted.

        If the day was deleted before, the windows that have come since are added to its cells. Raises StoreFailed if
        the cells are incomplete or cannot be saved, and FileNotFoundError if there is no such folder.
        """
        self.refresh()
        for folder, present in dict(scan_day(self._root, date)).items():
            if damages := self._month.damages.get(folder):
                raise StoreFailed(f"{damages[0]}; a day with damaged files is not deleted")
            source = self._month.sources.get(folder)
            if source is not None and source.state is SourceState.DELETED:
                late = compute(self._month, self._files(), [folder])
                self._month.frame = pd.concat([self._month.frame, late], ignore_index=True)
            elif source is None or source.files != present.files:
                raise StoreFailed(
                    f"{self._path}: windows of site {folder.site} came while the day was retired; {folder.date} stays"
                )
            self._month.sources[folder] = present.retired()
        self.save(self._month.sources)
        if not self.is_saved:
            raise StoreFailed(f"{self._path}: the cells of {date} cannot be saved")

    def mark_deleted(self, date: str) -> None:
        """Record that the folder of a retired day is gone.

        Windows that come for it from now on are not in its cells.
        """
        self.refresh()
        self._month.sources |= {folder: DELETED for folder in self._month.sources if folder.date == date}
        self.save(self._month.sources)

    def save(self, sources: dict[Folder, Source]) -> None:
        """Replace the roll-up file by the cells of these folders, on disk when this returns.

        The file stays as it is if it cannot be written, or if another process has replaced it.
        """
        if self._is_unreadable:
            return  # it may hold cells of deleted days
        try:
            if not rollup_file.write(self._path, self._month.only(sources), self._identity):
                return
        except OSError as error:
            _log.warning(line("rollup_not_saved", file=self._path, reason=error.strerror or error))
            return
        self._saved, self._identity = dict(sources), rollup_file.identity(self._path)
        self._incomplete = incomplete_folders(self._month.damages)

    def _files(self) -> Files:
        return Files(self._root, self._cell_s, self._on_damage, self._workers)

    def _scan(self, since: str | None) -> dict[Folder, Source]:
        """Return the month's folders that are there now with their files, of all days or from a date on."""
        found: dict[Folder, Source] = {}
        unreadable: list[tuple[Path, OSError]] = []
        for day in stored_days(self._root):
            if day.startswith(self._path.stem) and (since is None or day >= since):
                with suppress(FileNotFoundError):  # deleted by retention
                    found.update(scan_day(self._root, day, lambda *each: unreadable.append(each)))
        return found | unread(self._month, self._files(), unreadable)

    def _read_file(self) -> None:
        """Read the roll-up file if it is another than this process has read or written."""
        identity = rollup_file.identity(self._path)
        if identity == self._identity and not self._is_unreadable:
            return
        self._identity, self._is_unreadable, self._saved, self._incomplete = identity, False, {}, set()
        self._month, self._scanned_s = MonthCells(no_cells(self._cell_s)), None
        damage, self.damage = self.damage, None
        try:
            month = rollup_file.read(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._is_unreadable = True
            self._report(f"cannot be read: {error.strerror or error}", damage)
            return
        except DamagedRollup as error:
            self._rename_damaged(str(error), damage)
            return
        if month.version == rollup_file.VERSION:
            self._saved = dict(month.sources)
        else:  # compute again what has rows, and save in the newest version
            month = month.only({folder: source for folder, source in month.sources.items() if source.is_final})
        self._month, self._incomplete = month, incomplete_folders(month.damages)
        for found in month.damages.values():
            for each in found:
                self._on_damage(self._root / each.file, each)

    def _rename_damaged(self, reason: str, reported: Damage | None) -> None:
        """Keep a damaged file under another name, and begin a new one."""
        _log.warning(line("rollup_damaged", file=self._path, reason=reason))
        kept, number = self._path.with_name(self._path.name + DAMAGED_SUFFIX), 1
        while kept.exists():
            number += 1
            kept = self._path.with_name(f"{self._path.name}{DAMAGED_SUFFIX}-{number}")
        try:
            self._path.replace(kept)
        except OSError:
            self._report(reason, reported)
        self._identity = rollup_file.identity(self._path)

    def _report(self, reason: str, reported: Damage | None) -> None:
        """Remember what is wrong with a roll-up file that keeps its name; log it unless that was ``reported``."""
        self.damage = file_damage(self._path, Fault.of(CELLS_LOST, reason=reason))
        if self.damage != reported:
            _log.warning(line("rollup_unreadable", file=self._path, reason=reason))
