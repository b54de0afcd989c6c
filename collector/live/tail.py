"""Read what has been added to the recent days of a store since the last look.

The receiver is another process, and there may be several. What they have in common is the store, so the page follows
its files as ``tail -f`` does. Lines of all files with one header are parsed together, because a fleet adds a line or
two to each of a thousand files.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa

from collector.store.csv_file import read_rows
from collector.store.damage import Damage, DamageCallback, unreadable, unreadable_folder
from collector.store.parquet_file import read_parquet_file
from collector.store.source_files import FileStamp, scan_day, stored_days

MAX_BYTES = 2**25
"""Bytes that are parsed together. It bounds the memory of the first look, which reads whole days."""


class Rewritten(Exception):
    """A file was changed in another way than by appending, or is gone: what was read of it may be wrong."""


@dataclass(slots=True)
class _Read:
    """How far a CSV file was read."""

    header: bytes = b""
    inode: int = 0
    bytes: int = 0
    lines: int = 0
    is_damaged: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """New lines of one file, without their last line break."""

    path: Path
    first_line: int
    rows: bytes


@dataclass(slots=True)
class _DamageCount:
    """Counts damages that are reported again with their files."""

    number: int = 0

    def note(self, _path: Path, damage: Damage | None) -> None:
        """Take a report."""
        self.number += damage is not None


@dataclass(slots=True)
class Tail:
    """The recent files of a store, and how far they were read. Not safe for use by several threads."""

    root: Path
    on_damage: DamageCallback
    _stamps: dict[Path, FileStamp] = field(default_factory=dict)
    _read: dict[Path, _Read] = field(default_factory=dict)

    @property
    def stamp(self) -> str:
        """A text that changes when one of the files has changed."""
        latest = max((stamp.mtime_ns for stamp in self._stamps.values()), default=0)
        return f"{latest}-{sum(stamp.size for stamp in self._stamps.values())}"

    def new_rows(self, since: datetime) -> Iterator[pa.Table]:
        """Yield rows of the days from ``since`` on that were not read before; rows of one table have one header.

        A row may come again, when its file was compacted or two collectors have stored it. Raises Rewritten if that
        which was read may not be in the store any more.
        """
        before = {path: stamp for path, stamp in self._stamps.items() if _day(path) >= _utc_date(since)}
        self._stamps = self._scan(since)
        self._check_gone(before)
        self._read = {path: read for path, read in self._read.items() if path in self._stamps}
        changed = [path for path, stamp in self._stamps.items() if before.get(path) != stamp]
        yield from self._new_lines(path for path in changed if path.suffix == ".csv")
        for path in changed:
            if path.suffix == ".parquet":
                table = read_parquet_file(path, self.on_damage)
                if table is not None and table.num_rows:
                    yield table

    def _scan(self, since: datetime) -> dict[Path, FileStamp]:
        found: dict[Path, FileStamp] = {}

        def keep(unread: Path, error: OSError) -> None:
            """Leave a folder that cannot be read as it was."""
            self.on_damage(unread, unreadable_folder(self.root, unread, error))
            found.update({path: stamp for path, stamp in self._stamps.items() if unread in path.parents})

        for date in sorted(day for day in stored_days(self.root) if day >= _utc_date(since)):
            try:
                for folder, source in scan_day(self.root, date, keep):
                    within = folder.within(self.root)
                    found |= {within / stamp.name: stamp for stamp in source.files}
            except FileNotFoundError:
                continue  # deleted by retention
        return found

    def _check_gone(self, before: dict[Path, FileStamp]) -> None:
        """Raise Rewritten if a file is gone that was not compacted."""
        compacted = {path.parent for path in self._stamps if path.suffix == ".parquet"}
        for path in before:
            if path not in self._stamps and path.parent not in compacted:
                raise Rewritten(str(path))

    def _new_lines(self, paths: Iterator[Path]) -> Iterator[pa.Table]:
        parts: dict[bytes, list[_Part]] = {}
        size = 0
        for path in paths:
            for header, part in self._parts(path):
                parts.setdefault(header, []).append(part)
                size += len(part.rows)
                if size >= MAX_BYTES:
                    yield from self._parse(parts)
                    parts, size = {}, 0
        yield from self._parse(parts)

    def _parts(self, path: Path) -> Iterator[tuple[bytes, _Part]]:
        """Yield header and new lines of a file; nothing if it cannot be read. Raises Rewritten."""
        read = self._read.setdefault(path, _Read())
        try:
            with path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if not read.header:
                    header = file.readline(MAX_BYTES)
                    if not header.endswith(b"\n"):
                        return  # being written
                    self._read[path] = read = _Read(header[:-1], inode, len(header), 1)
                file.seek(read.bytes - 1)
                if inode != read.inode or file.read(1) != b"\n":
                    raise Rewritten(str(path))
                while rows := file.read(MAX_BYTES).rpartition(b"\n")[0]:
                    part = _Part(path, read.lines + 1, rows)
                    read.bytes += len(rows) + 1
                    read.lines += rows.count(b"\n") + 1
                    file.seek(read.bytes)
                    yield read.header, part
        except FileNotFoundError:
            return  # compacted, or deleted by retention
        except OSError as error:
            self.on_damage(path, unreadable(path, error))
            self._stamps.pop(path, None)  # so that the next look tries again

    def _parse(self, parts: dict[bytes, list[_Part]]) -> Iterator[pa.Table]:
        for header, group in parts.items():
            damages = _DamageCount()
            rows = b"\n".join(part.rows for part in group)
            table = read_rows(group[0].path, header, rows, damages.note)
            if not damages.number:
                for part in group:
                    if not self._read[part.path].is_damaged:
                        self.on_damage(part.path, None)
                if table is not None:
                    yield table
                continue
            for part in group:
                table = read_rows(part.path, header, part.rows, self._note, part.first_line)
                if table is not None:
                    yield table

    def _note(self, path: Path, damage: Damage | None) -> None:
        """Report a damage of a part, or that a file is whole as far as it was read."""
        read = self._read[path]
        read.is_damaged = read.is_damaged or damage is not None
        if damage is not None or not read.is_damaged:
            self.on_damage(path, damage)


def _utc_date(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).date().isoformat()


def _day(path: Path) -> str:
    return path.parts[-3].removeprefix("date=")
