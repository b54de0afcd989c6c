"""The store -> cells of its windows, kept so that a year is read in a moment.

``<root>/_rollup/<seconds>/YYYY-MM.parquet`` holds the cells of a month's folders (`collector.store.cells`), and of each
folder the names, sizes and times of the files that they were made of: one that has grown is read again, and no other.
What was written to in the last quarter of an hour is kept in memory only, so that a card is not worn by today's counts.
Readers of the store leave the folder alone for its underscore. It can be deleted at any time, except that of days that
`retire` was told of nothing else is left.

A file that is damaged (`collector.store.rollup_file`) is kept, with the ending ``.damaged``; its cells are made again from
the rows, and `Rollups.damages` names it for as long as it is there, because cells of retired days cannot be made again.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path

import pandas as pd

from base.logs import line
from collector.errors import StoreFailed
from collector.store import rollup_file
from collector.store.cells import HOUR_S, cells
from collector.store.damage import Damage, Noted, log_damage
from collector.store.load import KEY, read
from collector.store.rollup_file import Content, DamagedRollup, Part

FOLDER = "_rollup"
QUIET_S = 900
"""A folder is settled when nothing was written to it for so long."""
RECENT = timedelta(days=2)
RECHECK_S = 60
"""Older days than RECENT are looked at again after so long: a window may come late."""
JOINS = 4
"""Tables of several months that are kept in memory."""
RETIRED = "retired\n"
"""Before a folder's files: it is about to go, and its cells stay as they are; alone, it is gone."""
DAMAGED = ".damaged"
LOST = "hours are made again from the rows, but those of days that retention has deleted are missing"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Month:
    """Cells of one month, with the column ``date`` in front, what each folder's were made of and were made without."""

    frame: pd.DataFrame
    prints: dict[Part, str] = field(default_factory=dict)
    damages: dict[Part, tuple[Damage, ...]] = field(default_factory=dict)
    stored: dict[Part, str] = field(default_factory=dict)
    file: str = ""
    checked: float = 0.0
    damage: Damage | None = None
    """What is wrong with the month's own file, which could not be put aside."""


class Rollups:
    """The cells of a store, brought up to date whenever they are asked for. For any number of threads."""

    def __init__(self, root: Path, cell_s: int, now: Callable[[], datetime], noted: Noted = log_damage) -> None:
        self._root, self._cell_s, self._now, self._noted = root, cell_s, now, noted
        self._months: dict[str, _Month] = {}
        self._joins: dict[tuple[int, ...], tuple[list[pd.DataFrame], pd.DataFrame]] = {}
        self._lock = threading.Lock()

    def cells(
        self, since: datetime | None = None, until: datetime | None = None, site: str | None = None
    ) -> pd.DataFrame:
        """Cells of the windows that begin in ``[since, until)``, all if None, both rounded outwards to whole cells; of
        one site if named. Columns as `collector.store.cells.cells` says; rows and files that hold something else are left
        out, and ``noted`` is told of them.
        """
        with self._lock:
            frames = [self._fresh(month).frame for month in self._names(since, until)]
            frame = self._joined(frames)
        step = pd.Timedelta(seconds=self._cell_s)
        keep = pd.Series(True, index=frame.index)
        if since is not None:
            keep &= frame["begin"] >= pd.Timestamp(since).tz_convert("UTC").floor(step)
        if until is not None:
            keep &= frame["begin"] < pd.Timestamp(until).tz_convert("UTC").ceil(step)
        if site is not None:
            keep &= frame["site"] == site
        return frame if keep.all() else frame[keep].reset_index(drop=True)

    def _joined(self, frames: list[pd.DataFrame]) -> pd.DataFrame:
        """Months as one table; the last few are kept, for a page asks for the same again and again."""
        key = tuple(map(id, frames))
        if key not in self._joins:
            table = pd.concat(frames, ignore_index=True) if frames else _nothing(self._cell_s)
            self._joins[key] = (frames, table.drop(columns="date"))
            while len(self._joins) > JOINS:
                del self._joins[next(iter(self._joins))]
        return self._joins[key][1].copy(deep=False)

    def retire(self, day: date) -> None:
        """Keep the cells of a day for good, on disk; its folder may be deleted afterwards. StoreFailed if they cannot
        be written.

        Of a day that was deleted before, windows that have come since are added to its cells.
        """
        with self._lock:
            name = f"{day:%Y-%m}"
            month = self._fresh(name)
            for part, text in dict(self._look(day.isoformat())).items():
                if found := month.damages.get(part):
                    raise StoreFailed(f"{found[0]}; a day that cannot be read as a whole stays")
                if month.prints.get(part) == RETIRED:
                    month.frame = pd.concat([month.frame, self._made(part[0], [part[1]], month)], ignore_index=True)
                elif month.prints.get(part) not in (text, RETIRED + text):
                    raise StoreFailed(f"{self._folder}: windows of {part} came while it was retired; they stay")
                month.prints[part] = RETIRED + text
            self._write(name, month)
            if month.stored != month.prints:
                raise StoreFailed(f"{self._folder}: the roll-ups of {day} cannot be kept")

    def deleted(self, day: date) -> None:
        """A retired day's folder is gone: what comes for it from now on is not in its cells."""
        with self._lock:
            name = f"{day:%Y-%m}"
            month = self._fresh(name)
            month.prints |= {part: RETIRED for part in month.prints if part[0] == day.isoformat()}
            self._write(name, month)

    def damages(self) -> tuple[Damage, ...]:
        """The files of roll-ups that are or were damaged; the rows left out of cells are told to ``noted``."""
        found = damaged_files(self._root, self._cell_s)
        with self._lock:
            return (*found, *(month.damage for month in self._months.values() if month.damage is not None))

    def _names(self, since: datetime | None, until: datetime | None) -> list[str]:
        """The months that may hold something of the range, in order."""
        known = {path.stem for path in self._folder.glob("????-??.parquet")}
        names = sorted(known | {day[:7] for day in self._days()})
        first = "" if since is None else f"{since.astimezone(timezone.utc):%Y-%m}"
        last = "9" if until is None else f"{until.astimezone(timezone.utc):%Y-%m}"
        return [name for name in names if first <= name <= last]

    @property
    def _folder(self) -> Path:
        return self._root / FOLDER / str(self._cell_s)

    def _days(self) -> list[str]:
        """Dates that have a folder, ``YYYY-MM-DD``."""
        try:
            names = [path.name for path in self._root.iterdir()]
        except FileNotFoundError:
            return []
        return [name[5:] for name in names if name.startswith("date=") and len(name) == 15]

    def _fresh(self, name: str) -> _Month:
        """A month as it is on disk now: only folders whose files have changed are read."""
        month = self._months.setdefault(name, _Month(_nothing(self._cell_s)))
        self._reread(name, month)
        now = self._now()
        all_days = now.timestamp() - month.checked >= RECHECK_S
        recent = (now - RECENT).date().isoformat()
        days = [day for day in self._days() if day[:7] == name and (all_days or day >= recent)]
        there = {part: text for day in days for part, text in self._look(day)}
        kept = {part for part, text in month.prints.items() if text.startswith(RETIRED)}
        gone = {part for part in month.prints if all_days and part not in there and part not in kept}
        new = {part: text for part, text in there.items() if part not in kept and month.prints.get(part) != text}
        if new or gone:
            self._replace(month, new, gone)
        if all_days:
            month.checked = now.timestamp()
            settled = now.timestamp() - QUIET_S
            quiet = {part: text for part, text in month.prints.items() if part in kept or _newest(text) < settled}
            if quiet != month.stored:
                self._write(name, month, quiet)
        return month

    def _look(self, day: str) -> Iterable[tuple[Part, str]]:
        """Each site's folder of a day, and the names, sizes and times of its files."""
        with os.scandir(self._root / f"date={day}") as folders:
            for folder in folders:
                if folder.name.startswith("site="):
                    with os.scandir(folder.path) as files:
                        found = [(each.name, each.stat()) for each in files if each.name.endswith(".csv")]
                    prints = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in sorted(found)]
                    yield (day, folder.name[5:]), "\n".join(prints)

    def _replace(self, month: _Month, new: dict[Part, str], gone: set[Part]) -> None:
        """Read the folders that have changed, and put their cells in the place of the old ones."""
        frame = month.frame
        if any(part in month.prints for part in [*new, *gone]):
            parts = pd.MultiIndex.from_frame(frame[["date", "site"]])
            frame = frame[~parts.isin([*new, *gone])]
        days = sorted({day for day, _ in new})
        month.damages = {part: found for part, found in month.damages.items() if part not in gone and part not in new}
        made = [self._made(day, [site for other, site in sorted(new) if other == day], month) for day in days]
        filled = [each for each in (frame, *made) if len(each)]
        month.frame = pd.concat(filled, ignore_index=True) if filled else _nothing(self._cell_s)
        month.prints = {part: text for part, text in month.prints.items() if part not in gone} | new

    def _made(self, day: str, sites: list[str], month: _Month) -> pd.DataFrame:
        """The cells of a day's folders of some sites, each window once; what is left out is noted with the month."""

        def noted(path: Path, damage: Damage | None) -> None:
            if damage is not None:
                part = (day, path.parent.name[5:])
                month.damages[part] = (*month.damages.get(part, ()), damage)
            self._noted(path, damage)

        folders = [self._root / f"date={day}" / f"site={site}" for site in sites]
        paths = [path for folder in folders for path in sorted(folder.glob("counts-*.csv"))]
        table = cells(read(paths, noted).drop_duplicates(KEY), self._cell_s)
        table.insert(0, "date", day)
        return table

    def _reread(self, name: str, month: _Month) -> None:
        """Take in the month's file if it is another than this process has read or written."""
        path = self._folder / f"{name}.parquet"
        file = rollup_file.identity(path)
        if file == month.file:
            return
        month.file, month.stored, month.prints, month.damages = file, {}, {}, {}
        month.frame, month.checked, month.damage = _nothing(self._cell_s), 0.0, None
        try:
            content = rollup_file.read(path)
        except FileNotFoundError:
            return
        except OSError as error:
            month.file = "unreadable"  # and so never replaced by this process: what is retired may be in it
            self._report(path, month, f"cannot be read: {error.strerror or error}")
            return
        except DamagedRollup as error:
            self._set_aside(path, month, str(error))
            return
        if not content.current:  # cells of days that have rows are made again from them
            content = content.only({part: text for part, text in content.prints.items() if text.startswith(RETIRED)})
        month.frame, month.prints, month.damages = content.frame, content.prints, content.damages
        month.stored = dict(month.prints) if content.current else {}  # written again in the newest version
        for found in month.damages.values():
            for damage in found:
                self._noted(self._root / damage.file, damage)

    def _set_aside(self, path: Path, month: _Month, reason: str) -> None:
        """Keep a damaged file under a name of its own, and begin anew."""
        _log.warning(line("rollup_damaged", file=path, reason=reason))
        aside = path.with_name(path.name + DAMAGED)
        number = 1
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.name}{DAMAGED}-{number}")
        try:
            path.replace(aside)
        except OSError:
            self._report(path, month, reason)
        month.file = rollup_file.identity(path)

    def _report(self, path: Path, month: _Month, reason: str) -> None:
        """Remember what is wrong with a month's file that stays where it is."""
        month.damage = Damage("/".join(path.parts[-3:]), 0, f"{reason}; {LOST}")
        _log.warning(line("rollup_unreadable", file=path, reason=reason))

    def _write(self, name: str, month: _Month, prints: dict[Part, str] | None = None) -> None:
        """Replace the month's file by the cells of these folders, all if None, on disk when this returns. Without leave
        to write, or if another process was faster, it stays as it is.
        """
        prints = month.prints if prints is None else prints
        path = self._folder / f"{name}.parquet"
        content = Content(month.frame, month.prints, month.damages).only(prints)
        try:
            if not rollup_file.write(path, content, month.file):
                return
        except OSError as error:
            _log.warning(line("rollup_not_kept", file=path, reason=error.strerror or error))
            return
        month.stored, month.file = dict(prints), rollup_file.identity(path)


def damaged_files(root: Path, cell_s: int | None = None) -> tuple[Damage, ...]:
    """The damaged files of roll-ups that were put aside: of cells of one length, or of all."""
    paths = sorted((root / FOLDER).glob(f"{cell_s or '*'}/*{DAMAGED}*"))
    return tuple(Damage("/".join(path.parts[-3:]), 0, f"was damaged; {LOST}") for path in paths)


@lru_cache
def _nothing(cell_s: int) -> pd.DataFrame:
    """No cells, in the columns that cells have; one table for all, which nobody changes."""
    empty = cells(read([]), cell_s)
    empty.insert(0, "date", pd.Series(dtype="str"))
    return empty


def _newest(made_of: str) -> float:
    """When the newest of a folder's files was written, seconds since 1970."""
    return max((int(text.rpartition(" ")[2]) / 1e9 for text in made_of.splitlines()), default=0.0)


def hours(root: Path, now: Callable[[], datetime]) -> Rollups:
    """Rollups of whole hours, which fit most time zones; see `collector.store.cells.cell_s_for`."""
    return Rollups(root, HOUR_S, now)
