"""Find the files of a store, and record which of them something was computed from."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from collector.store.file_names import is_counts_file

DATE_PREFIX, SITE_PREFIX = "date=", "site="
_DATE_FOLDER = re.compile(r"date=([0-9]{4}-[0-9]{2}-[0-9]{2})")
_RETIRED_MARK = "retired\n"
_STAMP = re.compile(r"(.+?) ([0-9]+) (-?[0-9]+)(?:\n|\Z)", re.DOTALL)


class Folder(NamedTuple):
    """The folder of one day and site in the store."""

    date: str
    """``YYYY-MM-DD``."""
    site: str

    def within(self, root: Path) -> Path:
        """Return the folder's path in a store."""
        return root / f"{DATE_PREFIX}{self.date}" / f"{SITE_PREFIX}{self.site}"


class FileStamp(NamedTuple):
    """A file as it was when it was read. It changes when the file is written to."""

    name: str
    size: int
    """Bytes."""
    mtime_ns: int
    """Time of the last write, nanoseconds since 1970."""


class SourceState(Enum):
    """What may happen to the files of a folder."""

    LIVE = "live"
    """Rows may come; the cells follow the files."""
    RETIRED = "retired"
    """The cells stay as they are; the files are about to be deleted."""
    DELETED = "deleted"
    """The cells stay as they are; the files are gone, and any file that is there now is not in the cells."""


@dataclass(frozen=True, slots=True)
class Source:
    """The files that the cells of one folder were computed from."""

    files: tuple[FileStamp, ...] = ()
    """In order of their names; empty once they are deleted."""
    state: SourceState = SourceState.LIVE

    @property
    def is_final(self) -> bool:
        """Whether the cells stay as they are, whatever files are there."""
        return self.state is not SourceState.LIVE

    def retired(self) -> "Source":
        """Return the source with its cells made final. Without files there is nothing left to delete."""
        return Source(self.files, SourceState.RETIRED) if self.files else DELETED

    def is_older_than(self, time_s: float) -> bool:
        """Whether all files were last written before a time, in seconds since 1970."""
        return all(file.mtime_ns / 1e9 < time_s for file in self.files)

    def encode(self) -> str:
        """Return the source as the text that a roll-up file holds: ``name size mtime`` lines after a mark if final."""
        lines = "\n".join(f"{file.name} {file.size} {file.mtime_ns}" for file in self.files)
        return _RETIRED_MARK + lines if self.is_final else lines

    @staticmethod
    def is_final_text(text: str) -> bool:
        """Whether a text of `encode` is that of a source whose cells stay as they are."""
        return text.startswith(_RETIRED_MARK)

    @classmethod
    def decode(cls, text: str) -> "Source":
        """Return the source of a text of `encode`."""
        is_final = cls.is_final_text(text)
        stamps = _STAMP.findall(text.removeprefix(_RETIRED_MARK))
        source = cls(tuple(FileStamp(name, int(size), int(mtime_ns)) for name, size, mtime_ns in stamps))
        return source.retired() if is_final else source


DELETED = Source(state=SourceState.DELETED)

UnreadableCallback = Callable[[Path, OSError], None]
"""Called with each folder that cannot be read, of a day or of a site in it, and the error."""


def stored_days(root: Path) -> list[str]:
    """Return the dates that have a folder in the store, ``YYYY-MM-DD``; none if there is no store."""
    try:
        names = [path.name for path in root.iterdir()]
    except FileNotFoundError:
        return []
    return [match[1] for name in names if (match := _DATE_FOLDER.fullmatch(name)) and _is_date(match[1])]


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


MAX_LISTINGS = 3
"""Attempts to list a folder whose files are being compacted."""
TICK_NS = 100_000_000
"""More than the distance of two time stamps that a file system can tell apart, nanoseconds."""


class StoredSites:
    """The sites that have folders in a store. A day is read again when a folder was added to it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._days: dict[str, tuple[int, frozenset[str]]] = {}

    def all(self) -> set[str]:
        """Return the sites of all days."""
        days = {}
        for date in stored_days(self._root):
            try:
                days[date] = self._of_day(date)
            except FileNotFoundError:
                continue  # deleted by retention
            except OSError:  # those who read its windows report it
                days[date] = self._days.get(date, (0, frozenset()))
        self._days = days
        return {name for _, sites in days.values() for name in sites}

    def _of_day(self, date: str) -> tuple[int, frozenset[str]]:
        """Return when a day's folder was last seen to be changed, and its sites."""
        path, known = self._root / f"{DATE_PREFIX}{date}", self._days.get(date)
        changed_ns = path.stat().st_mtime_ns
        if known is not None and known[0] == changed_ns:
            return known
        if time.time_ns() - changed_ns < TICK_NS:
            changed_ns = 0  # a site that comes within the same tick of the clock would not be seen
        with os.scandir(path) as folders:
            names = [folder.name for folder in folders if folder.name.startswith(SITE_PREFIX)]
        return changed_ns, frozenset(sys.intern(name.removeprefix(SITE_PREFIX)) for name in names)


def scan_day(root: Path, date: str, on_unreadable: UnreadableCallback | None = None) -> Iterator[tuple[Folder, Source]]:
    """Yield the folders of a day with the files that are there now; FileNotFoundError if the day is gone.

    Folders that cannot be read are left out and passed to ``on_unreadable``. Without it, the first raises OSError.
    """
    day = root / f"{DATE_PREFIX}{date}"
    try:
        with os.scandir(day) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(SITE_PREFIX)]
    except FileNotFoundError:
        raise
    except OSError as error:
        _report(on_unreadable, day, error)
        return
    for name in names:
        source = _source_or_none(day / name, on_unreadable)
        if source is not None:
            yield Folder(date, name.removeprefix(SITE_PREFIX)), source


def scan_site(
    root: Path, dates: Iterable[str], site: str, on_unreadable: UnreadableCallback | None = None
) -> dict[Folder, Source]:
    """Return the folders of a site that are there now, of some days, with their files; as `scan_day` does."""
    found = {}
    for date in dates:
        folder = Folder(date, site)
        source = _source_or_none(folder.within(root), on_unreadable)
        if source is not None:
            found[folder] = source
    return found


def _report(on_unreadable: UnreadableCallback | None, folder: Path, error: OSError) -> None:
    if on_unreadable is None:
        raise error
    on_unreadable(folder, error)


def _source_or_none(folder: Path, on_unreadable: UnreadableCallback | None) -> Source | None:
    """Return the files of a folder; None if there is no such folder, or if it cannot be read."""
    try:
        return _source(folder)
    except FileNotFoundError:
        return None  # deleted by retention, or the site has no windows of that day
    except OSError as error:
        _report(on_unreadable, folder, error)
        return None


def _source(folder: str | Path) -> Source:
    """Return the files of a folder, listed again if one is compacted meanwhile; FileNotFoundError without a folder."""
    for _ in range(MAX_LISTINGS - 1):
        with suppress(FileNotFoundError):
            return _listed(folder)
    return _listed(folder)


def _listed(folder: str | Path) -> Source:
    with os.scandir(folder) as entries:
        files = [(entry.name, entry.stat()) for entry in entries if is_counts_file(entry.name)]
    return Source(tuple(sorted(FileStamp(name, stat.st_size, stat.st_mtime_ns) for name, stat in files)))
