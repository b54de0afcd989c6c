"""Append rows to a CSV file that another process may compact and delete at the same moment."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from base.durable_file import make_folder, sync_folder
from collector.errors import StoreFailed


def append_rows(path: Path, header: str, rows: str) -> None:
    """Append rows to a file, which is begun if needed, and return when they are on disk.

    Raises StoreFailed if the file has another header, and OSError.
    """
    make_folder(path.parent)
    with locked(path) as file:
        is_new = file.seek(0, os.SEEK_END) == 0
        if not is_new and os.pread(file.fileno(), len(header), 0) != header.encode():
            raise StoreFailed(f"{path}: the header has changed since the file was opened")
        file.write(((header if is_new else "") + rows).encode())
        file.flush()
        os.fsync(file.fileno())
        if is_new:
            sync_folder(path.parent)


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
