"""Append rows to CSV files that another process may compact and delete at the same moment."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from base.durable_file import make_folder, sync_folder
from base.file_system import FileSystem
from collector.errors import StoreFailed

FEW_FILES = 8
"""Up to so many files are synced one by one, at the same time. For more of them their file system is synced at once,
which also waits for what other programs write there. For 400 files that took a sixth of the time."""
THREADS = 16
"""Files that are synced at the same time. A file system combines the work."""


@dataclass(frozen=True, slots=True)
class Addition:
    """What is appended to one file."""

    path: Path
    header: str
    """First line, written if the file is new."""
    rows: str


class GroupAppender:
    """Appends to many files of a store, and returns once all is on disk. To be closed at the end."""

    def __init__(self, root: Path) -> None:
        self._file_system = FileSystem(root)
        self._can_sync = self._file_system.can_sync
        self._threads = ThreadPoolExecutor(THREADS)

    def close(self) -> None:
        """Release threads and folder."""
        self._threads.shutdown()
        self._file_system.close()

    def append(self, additions: Sequence[Addition]) -> None:
        """Append to files, on disk when this returns. After StoreFailed some of the rows may be there."""
        if len(additions) > FEW_FILES and self._can_sync:
            self._append_and_sync_file_system(additions)
            return
        work = [self._threads.submit(_append_durably, addition) for addition in additions]
        wait(work)
        for addition, done in zip(additions, work, strict=True):
            with _named(addition.path):
                done.result()

    def _append_and_sync_file_system(self, additions: Sequence[Addition]) -> None:
        for addition in additions:
            with _named(addition.path):
                folder = addition.path.parent
                if self._file_system.holds(folder):
                    if not folder.is_dir():
                        folder.mkdir(parents=True, exist_ok=True)
                    with locked(addition.path) as file:
                        _append(file, addition)
                        if not self._file_system.holds_file(file.fileno()):  # the file itself is a link
                            os.fsync(file.fileno())
                else:  # a link to another disk
                    _append_durably(addition)
        with _named(additions[0].path):
            self._file_system.sync()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in a StoreFailed."""
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}") from error


def _append_durably(addition: Addition) -> None:
    """Append rows, on disk when this returns."""
    make_folder(addition.path.parent)
    with locked(addition.path) as file:
        is_new = _append(file, addition)
        os.fsync(file.fileno())
        if is_new:
            sync_folder(addition.path.parent)


def _append(file: IO[bytes], addition: Addition) -> bool:
    """Write header and rows to the end of a file; return whether it is new. StoreFailed for another header."""
    expected = addition.header.encode()
    is_new = file.seek(0, os.SEEK_END) == 0
    if not is_new and os.pread(file.fileno(), len(expected), 0) != expected:
        raise StoreFailed(f"{addition.path}: the header has changed since the file was opened")
    file.write((expected if is_new else b"") + addition.rows.encode())
    file.flush()
    return is_new


@contextmanager
def locked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for appending, made if it is missing, and hold its lock. Raises OSError.

    Whoever deletes a file of the store holds this lock too, so the file stays at its path until the block ends.
    """
    while True:
        with path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                yield file
                return
