"""Write windows as rows of CSV files, each window once, whatever a power cut interrupts.

`collector.store.file_names` names the file of a row. The same window always belongs in the same file, so a file's own
rows are enough to detect a repeat, however old it is. Their keys are read when the file is first written to, and are
kept as runs of ``seq``, a few bytes per boot. The keys of compacted days are in `collector.store.key_file`.

A file's header decides which rows it takes. It is compared when the file is opened and before each append. A file with
another header, or one that cannot be used, stays as it is, and its rows go into a further file.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from base.durable_file import cut_torn_line, drop_cached, make_folder
from base.logs import line
from collector.errors import StoreFailed, StoreRefused
from collector.store.append_file import Addition, GroupAppender
from collector.store.damage import DamageLog, file_damage
from collector.store.file_names import file_names, folder_name, is_file_of, parquet_name
from collector.store.key_file import Run, key_path, read_keys
from collector.store.rows import columns_of, header, row
from collector.store.sequence_set import SequenceSet
from contract.message import Counts

MAX_OPEN_FILES = 4096
"""Files whose keys are kept in memory. Beyond it the least recently used is dropped, and read again when needed."""
MAX_RUNS = 500_000
"""Runs of sequence numbers of all these files, some 200 bytes each. It bounds the memory for a device that never
repeats a boot."""
FILE_ERRORS = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EIO, errno.ELOOP, errno.ENXIO)
"""Errors of one file. Any other error concerns the disk, and nothing can be stored."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _File:
    """A file of the store, the keys of its rows, and the rows that are not written yet."""

    path: Path
    header: str
    sequences: dict[tuple[str, str], SequenceSet] = field(default_factory=dict)
    """Sequence numbers by device and boot."""
    pending: list[str] = field(default_factory=list)
    """Rows to append."""
    run_count: int = 0
    """Runs in ``sequences``."""

    def add_key(self, device: str, boot: str, seq: int) -> bool:
        """Add a key; False if it is there already."""
        sequence = self.sequences.get((device, boot))
        if sequence is None:
            sequence = self.sequences[device, boot] = SequenceSet()
        before = sequence.run_count
        is_new = sequence.add(seq)
        self.run_count += sequence.run_count - before
        return is_new

    def add_run(self, run: Run) -> None:
        """Add the keys of consecutive windows."""
        sequence = self.sequences.setdefault((run.device, run.boot), SequenceSet())
        before = sequence.run_count
        sequence.add_run(run.first, run.last)
        self.run_count += sequence.run_count - before


class StoreWriter:
    """The files of one writer. As a context manager it holds the writer's lock, and repairs torn files at the start.

    ``damages`` receives the files and rows that are left out.
    """

    def __init__(self, root: Path, writer: str, damages: DamageLog | None = None) -> None:
        self._root = root
        self._writer = writer
        self._damages = damages or DamageLog()
        self._files: dict[tuple[int, str, tuple[str, ...]], _File] = {}
        """By day (proleptic Gregorian ordinal), site and columns; the least recently used first."""
        self._lock: IO[bytes] | None = None
        self._appender: GroupAppender | None = None

    def __enter__(self) -> "StoreWriter":
        try:
            make_folder(self._root)
            self._lock = self._take_lock()
            self._appender = GroupAppender(self._root)
            # rows that a killed process wrote but did not sync count as repeats now, and repeats are acknowledged
            os.sync()
            for path in sorted(self._root.glob(f"date=*/site=*/counts-*-{self._writer}.csv")):
                if is_file_of(path.name, self._writer):
                    self._repair(path)
        except OSError as error:
            raise StoreRefused(f"store {self._root}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._appender:
            self._appender.close()
        if self._lock:
            self._lock.close()

    def add(self, counts: Counts) -> bool:
        """Prepare the row of a window for `flush`; False if its key is stored already.

        Raises BadMessage if the window cannot be a row, and StoreFailed if its file cannot be read. After StoreFailed
        the store must be opened again.
        """
        text = row(counts)
        columns = columns_of(counts)
        key = (counts.start.toordinal(), counts.site, columns)
        file = self._files.pop(key, None)
        if file is None:
            file = self._with_compacted_keys(self._open(folder_name(counts), columns), columns)
        self._files[key] = file
        if not file.add_key(counts.device, counts.boot, counts.seq):
            return False
        file.pending.append(text)
        return True

    def flush(self) -> None:
        """Bring the prepared rows to disk; StoreFailed if that is not possible."""
        due = [file for file in self._files.values() if file.pending]
        if due:
            assert self._appender is not None
            self._appender.append([Addition(file.path, file.header, "".join(file.pending)) for file in due])
        for file in due:
            file.pending.clear()
        self._drop_least_recent()

    def _drop_least_recent(self) -> None:
        """Drop the least recently used files from memory until the bounds hold; one file always stays."""
        runs = sum(file.run_count for file in self._files.values())
        while len(self._files) > MAX_OPEN_FILES or (runs > MAX_RUNS and len(self._files) > 1):
            runs -= self._files.pop(next(iter(self._files))).run_count

    def _open(self, folder: str, columns: tuple[str, ...]) -> _File:
        """Find the file for rows with these columns and read its keys; skip files that cannot be used."""
        expected = header(columns)
        for name, may_create in file_names(columns, self._writer):
            path = self._root / folder / name
            try:
                with path.open(encoding="latin-1", newline="\n") as lines:
                    found = next(lines, "")
                    if found == expected or (found == "" and may_create):
                        return self._read_keys(_File(path, expected), lines)
                    if may_create:  # a short name may belong to another label set
                        self._damages.note(path, file_damage(path, "the header must be that of its label set"))
            except FileNotFoundError:
                if may_create:
                    return _File(path, expected)
            except OSError as error:
                if error.errno not in FILE_ERRORS:
                    raise StoreFailed(f"{path}: {error.strerror}") from error
                self._damages.note(path, file_damage(path, error.strerror))
        raise StoreFailed(f"{self._root / folder}: too many files that cannot be used; move them away")

    def _with_compacted_keys(self, file: _File, columns: tuple[str, ...]) -> _File:
        """Add the keys of windows with these columns that have been compacted."""
        parquet = file.path.with_name(parquet_name(columns, self._writer))
        path = key_path(parquet)
        try:
            for run in read_keys(path):
                file.add_run(run)
        except FileNotFoundError:
            if parquet.exists():
                self._damages.note(path, file_damage(path, "is missing; repeats of compacted windows are stored again"))
        except (OSError, ValueError) as error:
            self._damages.note(path, file_damage(path, error))
        return file

    def _read_keys(self, file: _File, lines: Iterable[str]) -> _File:
        """Read the keys of a file's rows; report lines that are no rows."""
        commas = file.header.count(",")
        damaged, first = 0, 0
        for number, text in enumerate(lines, 2):
            cells = text.split(",", 5)
            if text.count(",") < commas or not cells[4].isascii() or not cells[4].isdigit():
                damaged, first = damaged + 1, first or number
            else:
                file.add_key(cells[2], cells[3], int(cells[4]))
        damage = file_damage(file.path, f"line {first} is not a row of counts", damaged) if damaged else None
        self._damages.note(file.path, damage)
        return file

    def _repair(self, path: Path) -> None:
        """Cut a torn last line off a file; a file that cannot be opened is left alone.

        The kernel keeps in memory what the disk has refused. It is dropped, or those rows would count as repeats.
        """
        try:
            drop_cached(path)
            removed = cut_torn_line(path)
        except OSError as error:
            if error.errno not in FILE_ERRORS:
                raise
            self._damages.note(path, file_damage(path, error.strerror))
            return
        if removed:
            _log.warning(line("torn_line_removed", file=path, bytes=removed))

    def _take_lock(self) -> IO[bytes]:
        """Hold ``<root>/<writer>.lock`` until the process ends, however it ends."""
        lock = (self._root / f"{self._writer}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise StoreRefused(
                f"store {self._root}: another collector writes there as {self._writer!r};"
                " each collector must have its own store.writer"
            ) from None
        return lock
