"""The spool: a SQLite file in which messages survive a power cut until they are delivered."""

import contextlib
import logging
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from base.logs import line
from contract.errors import BadMessage
from contract.message import Counts, decode, encode
from edge.delivery.k_anonymity import join, may_leave
from edge.errors import SpoolCorrupt, SpoolError

log = logging.getLogger(__name__)
RELEASE_S = 900.0
MAX_BYTES = 64_000_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS ready (number INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS early (number INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL, start REAL NOT NULL,
    end REAL NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS held (one INTEGER PRIMARY KEY CHECK (one = 1), payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS agreement (one INTEGER PRIMARY KEY CHECK (one = 1), payload BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class UnsyncedWindow:
    """A window recorded before the clock was synchronised."""

    boot: str
    """Boot id of the kernel from whose start the seconds count."""
    start: float
    """Monotonic seconds, as ``end``."""
    end: float
    counts: Counts
    """The message, with the times of the clock as it was then."""
    number: int = 0
    """Row in the spool."""


class Spool:
    """Finished windows in order: held back below k visits, ready from then on, deleted once delivered.

    If the file is found damaged it is set aside and a new one is opened. The operation that found the damage raises
    SpoolCorrupt; the next one works.

    ``dropped`` is the number of messages dropped since the start, ``released_visits`` that of the visits in the
    messages that became ready.
    """

    def __init__(self, path: Path, max_windows: int, max_bytes: int, release_s: float) -> None:
        self._path, self._max_windows, self._max_bytes = path, max_windows, max_bytes
        self._release_s = release_s
        self._number = self._seq = self.dropped = 0
        self.released_visits = 0
        self._open()

    def _open(self) -> None:
        """Open the file. Numbers continue in a new file too, so that no PUBACK of an old message deletes a new one."""
        self._database = _open_or_replace(self._path)
        self._number = max(self._number, _last_number(self._database))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, counts: Counts) -> None:
        """Add a finished window; its ``seq`` is set when it becomes ready. It is on disk when this returns.

        Raise SpoolError if it cannot be written.
        """
        with self._transaction("add a window"):
            ready = self._add(counts)
        self._advance(ready)

    def add_unsynced(self, window: UnsyncedWindow) -> None:
        """Add a window from before the clock was synchronised; it is on disk when this returns."""
        row = (window.boot, window.start, window.end, encode(window.counts))
        with self._recovered("add an unsynced window"), self._database:
            self._database.execute("INSERT INTO early (boot, start, end, payload) VALUES (?, ?, ?, ?)", row)

    def first_unsynced(self) -> UnsyncedWindow | None:
        """The oldest of the windows that wait for the clock."""
        query = "SELECT boot, start, end, payload, number FROM early ORDER BY number LIMIT 1"
        with self._recovered("read"):
            for boot, start, end, payload, number in self._database.execute(query).fetchall():
                return UnsyncedWindow(boot, start, end, decode(payload, Counts), number)
        return None

    def release_unsynced(self, window: UnsyncedWindow, counts: Counts) -> None:
        """Replace a window that waited for the clock by its final message, in one transaction."""
        with self._transaction("release an unsynced window"):
            self._database.execute("DELETE FROM early WHERE number = ?", (window.number,))
            ready = self._add(counts)
        self._advance(ready)

    def _advance(self, ready: Counts | None) -> None:
        """Count a message that became ready and is committed: the next one gets the next numbers."""
        if ready is not None:
            self._number, self._seq = self._number + 1, self._seq + 1
            self.released_visits += sum(ready.visits.values())

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[None]:
        """Run a transaction. If it fails, what it dropped is back and not counted."""
        dropped = self.dropped
        try:
            with self._recovered(doing), self._database:
                yield
        except SpoolError:
            self.dropped = dropped
            raise

    @contextmanager
    def _recovered(self, doing: str) -> Iterator[None]:
        """Raise SQLite's errors as SpoolError; before SpoolCorrupt a damaged file is replaced by a new one."""
        try:
            with _translated(doing):
                yield
        except SpoolCorrupt:
            self._database.close()
            self._open()
            raise

    def _add(self, counts: Counts) -> Counts | None:
        """Join a window with the held one, then hold it or make it ready; return the message if it became ready."""
        held = self._held()
        joined = join(held, counts) if held else counts
        if not may_leave(joined, counts, self._release_s):
            self._database.execute("INSERT OR REPLACE INTO held VALUES (1, ?)", (encode(joined),))
            return None
        self._make_ready(joined)
        return joined

    def _make_ready(self, counts: Counts) -> None:
        ready = encode(msgspec.structs.replace(counts, seq=self._seq))
        self._database.execute("DELETE FROM held")
        self._database.execute("INSERT INTO ready (number, payload) VALUES (?, ?)", (self._number + 1, ready))
        self._drop_oldest()

    def release_held(self) -> None:
        """Make the held window ready if it holds no visit or k: the source has ended, and no window follows."""
        ready = None
        with self._transaction("release the held window"):
            held = self._held()
            if held and may_leave(held, held, 0.0):
                self._make_ready(held)
                ready = held
        self._advance(ready)

    def held_visits(self) -> int:
        """Number of visits that are held back until there are k."""
        with self._recovered("read"):
            held = self._held()
        return sum(held.visits.values()) if held else 0

    def agreement(self) -> bytes | None:
        """What `keep_agreement` kept last; the format is that of `edge.delivery.agreement`."""
        with self._recovered("read"):
            row = self._database.execute("SELECT payload FROM agreement").fetchone()
        return bytes(row[0]) if row else None

    def keep_agreement(self, payload: bytes) -> None:
        """Keep the comparison of two classifiers; it is on disk when this returns."""
        with self._recovered("keep an agreement table"), self._database:
            self._database.execute("INSERT OR REPLACE INTO agreement VALUES (1, ?)", (payload,))

    def waiting(self, after: int, limit: int, besides: Collection[int] = ()) -> list[tuple[int, bytes]]:
        """Return number and JSON of at most ``limit`` ready messages, oldest first.

        Only those with a number above ``after`` and not in ``besides``.
        """
        query = "SELECT number, payload FROM ready WHERE number > ? ORDER BY number LIMIT ?"
        with self._recovered("read"):
            rows = self._database.execute(query, (after, limit + len(besides)))
            return [row for row in rows if row[0] not in besides][:limit]

    def newest(self) -> int:
        """The number of the newest ready message; 0 if there is none."""
        with self._recovered("read"):
            return int(self._database.execute("SELECT coalesce(max(number), 0) FROM ready").fetchone()[0])

    def delete(self, numbers: list[int]) -> None:
        """Delete messages that are delivered, by their numbers."""
        with self._recovered("delete"), self._database:
            self._database.executemany("DELETE FROM ready WHERE number = ?", [(number,) for number in numbers])

    def depth(self) -> int:
        """Number of ready messages."""
        with self._recovered("read"):
            return int(self._database.execute("SELECT count(*) FROM ready").fetchone()[0])

    def oldest(self) -> Counts | None:
        """The oldest ready message."""
        rows = self.waiting(0, 1)
        with _translated("read"):
            return decode(rows[0][1], Counts) if rows else None

    def _held(self) -> Counts | None:
        row = self._database.execute("SELECT payload FROM held").fetchone()
        return decode(row[0], Counts) if row else None

    def _drop_oldest(self) -> None:
        """Keep within the limits. Dropped messages are counted, and logged each time their number doubles."""
        before = self.dropped
        self.dropped += self._database.execute(
            "DELETE FROM ready WHERE number <= (SELECT max(number) FROM ready) - ?", (self._max_windows,)
        ).rowcount
        while self._bytes() > self._max_bytes and (some := self._drop_some()):
            self.dropped += some
        if self.dropped.bit_length() > before.bit_length():
            log.warning(line("spool_full", dropped_since_start=self.dropped))

    def _drop_some(self) -> int:
        """Drop the oldest hundredth of the ready messages, never the newest one; how many were dropped."""
        query = "SELECT number FROM ready ORDER BY number LIMIT max(1, (SELECT count(*) FROM ready) / 100)"
        last = self._database.execute("SELECT max(number) FROM ready").fetchone()[0]
        return self._database.execute(f"DELETE FROM ready WHERE number IN ({query}) AND number < ?", (last,)).rowcount  # noqa: S608

    def _bytes(self) -> int:
        """Size of the used pages of the file."""
        pages, free, size = (
            self._database.execute(f"PRAGMA {what}").fetchone()[0]
            for what in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


@contextmanager
def opened(path: Path, max_windows: int, max_bytes: int = MAX_BYTES, release_s: float = RELEASE_S) -> Iterator[Spool]:
    """Open the spool at a path, or create it, limited in messages and in bytes.

    A file that is not a spool is set aside as ``NAME.corrupt`` and logged. ``release_s`` is the release period of
    `edge.delivery.k_anonymity.may_leave`, seconds.
    """
    with contextlib.closing(Spool(path, max_windows, max_bytes, release_s)) as spool:
        yield spool


def _open_or_replace(path: Path) -> sqlite3.Connection:
    """Connect to the file at a path; a corrupt one is set aside and replaced by a new one."""
    try:
        return _connect(path)
    except SpoolCorrupt as error:
        aside = path.with_name(path.name + ".corrupt")
        with _translated(f"set {path} aside"):
            path.replace(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        log.error(line("spool_corrupt", file=path, set_aside=aside, reason=error))
        return _connect(path)


def _last_number(database: sqlite3.Connection) -> int:
    """The number of the newest message, whether it is still there or not."""
    query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'ready'"
    with _translated("read"):
        return int(database.execute(query).fetchone()[0])


def _connect(path: Path) -> sqlite3.Connection:
    """Connect to a file and check it. What is committed is on disk (WAL, synchronous FULL)."""
    with _translated(f"open {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.executescript(SCHEMA)
            problem = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise sqlite3.DatabaseError(problem)
            _drop_unreadable(database)
        except sqlite3.DatabaseError:
            database.close()
            raise
    return database


def _drop_unreadable(database: sqlite3.Connection) -> None:
    """Drop and log held and unsynced windows that are not valid messages, such as those of another version."""
    for table, key in (("held", "one"), ("early", "number")):
        for number, payload in database.execute(f"SELECT {key}, payload FROM {table}").fetchall():  # noqa: S608
            try:
                decode(payload, Counts)
            except BadMessage as error:
                log.error(line(f"{table}_unreadable", reason=error))
                with database:
                    database.execute(f"DELETE FROM {table} WHERE {key} = ?", (number,))  # noqa: S608


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Raise SQLite's errors as SpoolError, or as SpoolCorrupt if the file itself is damaged."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise SpoolError(f"spool: could not {doing}: {error}") from error
    except (sqlite3.Error, BadMessage) as error:
        raise SpoolCorrupt(f"spool: could not {doing}: {error}") from error
