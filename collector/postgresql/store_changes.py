"""Read what is new in the files of a store: the end of CSV files that have grown, and whole files that are new.

A CSV file that was changed in another way than by appending is read again from its start. A repeat is harmless.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from msgspec.structs import replace

from collector.postgresql.progress import TAIL_BYTES, FileProgress, tail_hash
from collector.store.csv_file import read_rows
from collector.store.damage import Damage, DamageCallback, file_damage, unreadable
from collector.store.parquet_file import read_parquet_file
from collector.store.source_files import FileStamp, UnreadableCallback, scan_day, stored_days

CHUNK_BYTES = 2**20
"""Bytes of a CSV file that are read at once, and the longest line."""
BATCH_ROWS = 5000
"""Rows of a Parquet file that are sent in one transaction."""


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A file of the store as it was found."""

    path: str
    """Path below the store."""
    stamp: FileStamp

    def is_read(self, progress: FileProgress | None) -> bool:
        """Whether the file was read to its end, and has not changed since."""
        seen = None if progress is None else (progress.modified, progress.size)
        return seen == (self.stamp.mtime_ns, self.stamp.size)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one file, and the progress once they are stored."""

    table: pa.Table | None
    """Rows with the types of `collector.store.csv_file.schema_of`; None if none can be used."""
    progress: FileProgress


def store_files(root: Path, on_unreadable: UnreadableCallback) -> dict[str, StoreFile]:
    """Return all files of a store that hold windows, by path, in order of their days; see `scan_day`."""
    found = {}
    for date in sorted(stored_days(root)):
        try:
            for folder, source in sorted(scan_day(root, date, on_unreadable)):
                for stamp in source.files:
                    path = f"{folder.within(root).relative_to(root)}/{stamp.name}"
                    found[path] = StoreFile(path, stamp)
        except FileNotFoundError:
            continue  # deleted by retention
    return found


def batches(
    root: Path, file: StoreFile, known: Mapping[str, FileProgress], on_damage: DamageCallback
) -> Iterator[Batch]:
    """Yield what is new in a file. A file that is gone yields nothing."""
    progress = known.get(file.path, FileProgress(file.path))
    read = _parquet if file.path.endswith(".parquet") else _csv
    try:
        yield from read(root, file, progress, on_damage)
    except FileNotFoundError:
        return  # compacted, or deleted by retention
    except OSError as error:
        on_damage(root / file.path, unreadable(root / file.path, error))


def _csv(root: Path, file: StoreFile, progress: FileProgress, on_damage: DamageCallback) -> Iterator[Batch]:
    """Yield the lines that follow those that were read."""
    path = root / file.path
    with path.open("rb") as opened:
        header = opened.readline(CHUNK_BYTES)
        if not header.endswith(b"\n"):
            yield Batch(None, _at_end(progress, file))  # being written, or no file of the store
            return
        at = progress.bytes
        opened.seek(max(at - TAIL_BYTES, 0))
        is_edited = file.stamp.size < at or file.stamp.size == progress.size
        if at < len(header) or is_edited or tail_hash(opened.read(min(at, TAIL_BYTES))) != progress.tail:
            progress = FileProgress(file.path, len(header), 1, tail_hash(header))
        while True:
            opened.seek(progress.bytes)
            block = opened.read(CHUNK_BYTES)
            rows, line_break, _ = block.rpartition(b"\n")
            if not line_break:
                damage = progress.damage
                if len(block) == CHUNK_BYTES:
                    found = file_damage(path, f"line {progress.lines + 1}: must end within {CHUNK_BYTES} bytes")
                    on_damage(path, found)
                    damage = str(found)
                yield Batch(None, _at_end(replace(progress, damage=damage), file))
                return
            found_damages: list[Damage] = []
            table = read_rows(path, header[:-1], rows, _both(found_damages, on_damage), progress.lines + 1)
            progress = FileProgress(
                file.path,
                progress.bytes + len(rows) + 1,
                progress.lines + rows.count(b"\n") + 1,
                _tail_at(opened.fileno(), progress.bytes + len(rows) + 1),
                damage=str(found_damages[0]) if found_damages else progress.damage,
            )
            yield Batch(table, progress)


def _parquet(root: Path, file: StoreFile, progress: FileProgress, on_damage: DamageCallback) -> Iterator[Batch]:
    """Yield all rows of a file; only the last batch marks it as read. No batch marks a file that cannot be read."""
    path, damages = root / file.path, list[Damage]()
    note = _both(damages, on_damage)
    table = read_parquet_file(path, note)
    if table is not None:
        try:
            table.validate(full=True)
        except pa.ArrowInvalid as error:  # text that is not UTF-8
            note(path, file_damage(path, error))
            table = None
    done = FileProgress(file.path, file.stamp.size, damage=str(damages[0]) if damages else None)
    done = _at_end(done, file)
    if table is None:
        if path.exists() and not any(damage.is_unreadable for damage in damages):
            yield Batch(None, done)
        return
    for at in range(0, max(table.num_rows, 1), BATCH_ROWS):
        is_last = at + BATCH_ROWS >= table.num_rows
        yield Batch(table.slice(at, BATCH_ROWS), done if is_last else progress)


def _at_end(progress: FileProgress, file: StoreFile) -> FileProgress:
    """Return the progress of a file that was read to its end."""
    return replace(progress, modified=file.stamp.mtime_ns, size=file.stamp.size)


def _both(found: list[Damage], on_damage: DamageCallback) -> DamageCallback:
    """Return a callback that keeps a damage and passes it on."""

    def note(path: Path, damage: Damage | None) -> None:
        if damage is not None:
            found.append(damage)
        on_damage(path, damage)

    return note


def _tail_at(descriptor: int, end: int) -> str:
    """Return `tail_hash` of the bytes of a file that end at a position."""
    first = max(end - TAIL_BYTES, 0)
    return tail_hash(os.pread(descriptor, end - first, first))
