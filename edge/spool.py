"""Messages -> a file that survives a power cut, until the broker has them."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from contract.errors import BadMessage
from contract.logs import line
from contract.message import Counts, decode, encode
from edge.errors import SpoolCorrupt, SpoolError
from edge.release import join, may_leave

log = logging.getLogger("edge.spool")
SCHEMA = """
CREATE TABLE IF NOT EXISTS ready (number INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS held (one INTEGER PRIMARY KEY CHECK (one = 1), payload BLOB NOT NULL);
"""


class Spool:
    """Finished windows in order: held back while fewer than k visits, ready from then on, deleted when acknowledged."""

    def __init__(self, database: sqlite3.Connection, max_windows: int) -> None:
        self._database, self._max = database, max_windows
        self._seq = 0
        self.dropped = 0

    def add(self, counts: Counts) -> None:
        """Take a finished window, its ``seq`` still open; on disk when this returns. SpoolError if the disk refuses."""
        with _translated("add a window"), self._database:
            held = self._held()
            joined = join(held, counts) if held else counts
            if not may_leave(joined):
                self._database.execute("INSERT OR REPLACE INTO held VALUES (1, ?)", (encode(joined),))
                return
            ready = encode(msgspec.structs.replace(joined, seq=self._seq))
            self._database.execute("DELETE FROM held")
            self._database.execute("INSERT INTO ready (payload) VALUES (?)", (ready,))
            self._drop_oldest()
        self._seq += 1

    def waiting(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """At most ``limit`` messages with a number above ``after``, oldest first: number and JSON."""
        query = "SELECT number, payload FROM ready WHERE number > ? ORDER BY number LIMIT ?"
        with _translated("read"):
            return list(self._database.execute(query, (after, limit)))

    def delete(self, numbers: list[int]) -> None:
        """The broker has these."""
        with _translated("delete"), self._database:
            self._database.executemany("DELETE FROM ready WHERE number = ?", [(number,) for number in numbers])

    def depth(self) -> int:
        """How many messages wait to be sent."""
        with _translated("read"):
            return int(self._database.execute("SELECT count(*) FROM ready").fetchone()[0])

    def oldest(self) -> Counts | None:
        """The message that waits longest."""
        rows = self.waiting(0, 1)
        with _translated("read"):
            return decode(rows[0][1], Counts) if rows else None

    def _held(self) -> Counts | None:
        row = self._database.execute("SELECT payload FROM held").fetchone()
        return decode(row[0], Counts) if row else None

    def _drop_oldest(self) -> None:
        """Keep within the bound; what is dropped is counted and said."""
        cut = self._database.execute(
            "DELETE FROM ready WHERE number <= (SELECT max(number) FROM ready) - ?", (self._max,)
        ).rowcount
        if cut:
            self.dropped += cut
            log.warning(line("spool_full", dropped=cut, dropped_since_start=self.dropped, max_windows=self._max))


@contextmanager
def opened(path: Path, max_windows: int) -> Iterator[Spool]:
    """The spool at a path, made if it is not there; a file that is none is set aside (``NAME.corrupt``), and said."""
    try:
        database = _connect(path)
    except SpoolCorrupt as error:
        aside = path.with_name(path.name + ".corrupt")
        log.error(line("spool_corrupt", file=path, set_aside=aside, reason=error))
        path.replace(aside)
        for rest in ("-wal", "-shm"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
        database = _connect(path)
    with contextlib.closing(database):
        yield Spool(database, max_windows)


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that has committed only what is on disk (WAL, synchronous FULL), and a file that is sound."""
    with _translated(f"open {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.executescript(SCHEMA)
            verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            for (payload,) in database.execute("SELECT payload FROM held"):
                decode(payload, Counts)
        except (sqlite3.DatabaseError, BadMessage):
            database.close()
            raise
    return database


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """SQLite's errors as SpoolError; SpoolCorrupt where the file is to blame, not the disk, its rights or a lock."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise SpoolError(f"spool: could not {doing}: {error}") from error
    except (sqlite3.Error, BadMessage) as error:
        raise SpoolCorrupt(f"spool: could not {doing}: {error}") from error
