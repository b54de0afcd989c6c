"""Remember in PostgreSQL how far each file of a store was read, in the transaction that inserts its rows."""

import hashlib
import socket
from pathlib import Path

from msgspec import Struct
from msgspec.structs import astuple

from collector.postgresql.connection import Connection

TAIL_BYTES = 4096
"""Bytes before the end of what was read that show whether a file has only grown."""


class FileProgress(Struct, frozen=True):
    """How far a file was read."""

    path: str
    """Path below the store."""
    bytes: int = 0
    """Bytes that were read, from the start of the file."""
    lines: int = 0
    """Lines that were read, the header included; 0 for a Parquet file."""
    tail: str = ""
    """`tail_hash` of the last `TAIL_BYTES` that were read."""
    modified: int = 0
    """Time of the file's last change, nanoseconds since 1970; 0 while it has not been read to its end."""
    size: int = 0
    """Bytes of the file when it was found; 0 while it has not been read to its end."""
    damage: str | None = None
    """What was left out, and why."""


def tail_hash(tail: bytes) -> str:
    """Return a hash of the last `TAIL_BYTES` of some bytes."""
    return hashlib.sha256(tail[-TAIL_BYTES:]).hexdigest()


def store_name(root: Path) -> str:
    """Return the name of a store: several stores may be kept in one database."""
    return f"{socket.gethostname()}:{root.resolve()}"


class Progress:
    """The progress of one store."""

    def __init__(self, connection: Connection, store: str) -> None:
        self._connection, self._store = connection, store

    def read(self) -> dict[str, FileProgress]:
        """Return the progress of all files by path."""
        rows = self._connection.execute(
            "SELECT path, bytes, lines, tail, modified, size, damage FROM store_files WHERE store = %s", [self._store]
        )
        return {row[0]: FileProgress(*row) for row in rows}

    def save(self, file: FileProgress) -> None:
        """Save the progress of a file, within the transaction that inserts its rows."""
        self._connection.execute(
            "INSERT INTO store_files (store, path, bytes, lines, tail, modified, size, damage)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (store, path) DO UPDATE SET bytes = excluded.bytes,"
            " lines = excluded.lines, tail = excluded.tail, modified = excluded.modified, size = excluded.size,"
            " damage = excluded.damage",
            [self._store, *astuple(file)],
        )

    def forget(self, paths: list[str]) -> None:
        """Forget files that are gone."""
        if paths:
            self._connection.execute(
                "DELETE FROM store_files WHERE store = %s AND path = ANY(%s)", [self._store, paths]
            )

    def forget_all(self) -> None:
        """Forget all files, so that all are read again."""
        self._connection.execute("DELETE FROM store_files WHERE store = %s", [self._store])
