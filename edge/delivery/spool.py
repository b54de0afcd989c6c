"""Messages -> a file that survives a power cut, until they are delivered."""

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

log = logging.getLogger("edge.delivery.spool")
RELEASE_S = 900.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS ready (number INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS early (number INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL, start REAL NOT NULL,
    end REAL NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS held (one INTEGER PRIMARY KEY CHECK (one = 1), payload BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class UnsyncedWindow:
    """A window from before the clock was synchronised: the kernel's boot in which its monotonic seconds count, and the
    message as the wall clock had it then.
    """

    boot: str
    start: float
    end: float
    counts: Counts
    number: int = 0


class Spool:
    """Finished windows in order: held back while fewer than k visits, ready from then on, deleted when delivered.

    A file that is found damaged meanwhile is opened again as at the start, which sets it aside: what was being done
    fails with SpoolCorrupt, and works the next time.
    """

    def __init__(self, path: Path, max_windows: int, max_bytes: int, release_s: float) -> None:
        self._path, self._max_windows, self._max_bytes = path, max_windows, max_bytes
        self._release_s = release_s
        self._number = self._seq = self.dropped = 0
        self._open()

    def _open(self) -> None:
        """Numbers go on, in a new file too, so that what comes is not taken for what the broker has already."""
        self._database = _sound(self._path)
        self._number = max(self._number, _last_number(self._database))

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def add(self, counts: Counts) -> None:
        """Take a finished window, its ``seq`` still open; on disk when this returns. SpoolError if the disk refuses."""
        with self._whole("add a window"):
            left = self._add(counts)
        self._left(left)

    def add_unsynced(self, early: UnsyncedWindow) -> None:
        """Take a window from before the clock was synchronised; on disk when this returns."""
        row = (early.boot, early.start, early.end, encode(early.counts))
        with self._mended("add an early window"), self._database:
            self._database.execute("INSERT INTO early (boot, start, end, payload) VALUES (?, ?, ?, ?)", row)

    def first_unsynced(self) -> UnsyncedWindow | None:
        """Of the windows that wait for the clock, the oldest."""
        query = "SELECT boot, start, end, payload, number FROM early ORDER BY number LIMIT 1"
        with self._mended("read"):
            for boot, start, end, payload, number in self._database.execute(query).fetchall():
                return UnsyncedWindow(boot, start, end, decode(payload, Counts), number)
        return None

    def settle(self, early: UnsyncedWindow, counts: Counts) -> None:
        """An early window has got its time for good: it goes on as ``counts``, once."""
        with self._whole("settle an early window"):
            self._database.execute("DELETE FROM early WHERE number = ?", (early.number,))
            left = self._add(counts)
        self._left(left)

    def _left(self, messages: int) -> None:
        """On disk for good: the next message has the next numbers."""
        self._number, self._seq = self._number + messages, self._seq + messages

    @contextmanager
    def _whole(self, doing: str) -> Iterator[None]:
        """A transaction; what it dropped comes back, and does not count, if it fails."""
        dropped = self.dropped
        try:
            with self._mended(doing), self._database:
                yield
        except SpoolError:
            self.dropped = dropped
            raise

    @contextmanager
    def _mended(self, doing: str) -> Iterator[None]:
        """SQLite's errors as SpoolError; what is damaged is done away with before it is raised."""
        try:
            with _translated(doing):
                yield
        except SpoolCorrupt:
            self._database.close()
            self._open()
            raise

    def _add(self, counts: Counts) -> int:
        """Inside a transaction: join with what is held back, and hold or make ready; how many became ready."""
        held = self._held()
        joined = join(held, counts) if held else counts
        if not may_leave(joined, counts, self._release_s):
            self._database.execute("INSERT OR REPLACE INTO held VALUES (1, ?)", (encode(joined),))
            return 0
        self._make_ready(joined)
        return 1

    def _make_ready(self, counts: Counts) -> None:
        ready = encode(msgspec.structs.replace(counts, seq=self._seq))
        self._database.execute("DELETE FROM held")
        self._database.execute("INSERT INTO ready (number, payload) VALUES (?, ?)", (self._number + 1, ready))
        self._drop_oldest()

    def release(self) -> None:
        """The source has ended, and no window follows: what is held leaves now, if it holds no visit or k."""
        left = 0
        with self._whole("release what is held"):
            held = self._held()
            if held and may_leave(held, held, 0.0):
                self._make_ready(held)
                left = 1
        self._left(left)

    def waiting(self, after: int, limit: int, besides: Collection[int] = ()) -> list[tuple[int, bytes]]:
        """At most ``limit`` messages with a number above ``after`` and not among ``besides``, oldest first: number and
        JSON.
        """
        query = "SELECT number, payload FROM ready WHERE number > ? ORDER BY number LIMIT ?"
        with self._mended("read"):
            rows = self._database.execute(query, (after, limit + len(besides)))
            return [row for row in rows if row[0] not in besides][:limit]

    def newest(self) -> int:
        """The number of the message that came last and still waits; 0 if none does."""
        with self._mended("read"):
            return int(self._database.execute("SELECT coalesce(max(number), 0) FROM ready").fetchone()[0])

    def delete(self, numbers: list[int]) -> None:
        """These are delivered."""
        with self._mended("delete"), self._database:
            self._database.executemany("DELETE FROM ready WHERE number = ?", [(number,) for number in numbers])

    def depth(self) -> int:
        """How many messages wait to be sent."""
        with self._mended("read"):
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
        """Keep within the bounds; what is dropped is counted, and said when it begins and as it doubles."""
        before = self.dropped
        self.dropped += self._database.execute(
            "DELETE FROM ready WHERE number <= (SELECT max(number) FROM ready) - ?", (self._max_windows,)
        ).rowcount
        while self._bytes() > self._max_bytes and (cut := self._drop_some()):
            self.dropped += cut
        if self.dropped.bit_length() > before.bit_length():
            log.warning(line("spool_full", dropped_since_start=self.dropped))

    def _drop_some(self) -> int:
        """The oldest hundredth of what waits, but never the message that came last; how many they were."""
        query = "SELECT number FROM ready ORDER BY number LIMIT max(1, (SELECT count(*) FROM ready) / 100)"
        last = self._database.execute("SELECT max(number) FROM ready").fetchone()[0]
        return self._database.execute(f"DELETE FROM ready WHERE number IN ({query}) AND number < ?", (last,)).rowcount  # noqa: S608

    def _bytes(self) -> int:
        """Of the file, what is in use."""
        pages, free, size = (
            self._database.execute(f"PRAGMA {what}").fetchone()[0]
            for what in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


@contextmanager
def opened(path: Path, max_windows: int, max_bytes: int = 64_000_000, release_s: float = RELEASE_S) -> Iterator[Spool]:
    """The spool at a path, made if it is not there, bounded in messages and in bytes on the disk; a file that is none
    is set aside (``NAME.corrupt``), and said. Of windows with fewer than k visits see `edge.delivery.k_anonymity.may_leave`.
    """
    with contextlib.closing(Spool(path, max_windows, max_bytes, release_s)) as spool:
        yield spool


def _sound(path: Path) -> sqlite3.Connection:
    """A connection to a file that is sound; one that is not is set aside, and a new one begun."""
    try:
        return _connect(path)
    except SpoolCorrupt as error:
        aside = path.with_name(path.name + ".corrupt")
        with _translated(f"set {path} aside"):
            path.replace(aside)
            for rest in ("-wal", "-shm"):
                path.with_name(path.name + rest).unlink(missing_ok=True)
        log.error(line("spool_corrupt", file=path, set_aside=aside, reason=error))
        return _connect(path)


def _last_number(database: sqlite3.Connection) -> int:
    """The number of the message that came last, whether it still waits or not."""
    query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'ready'"
    with _translated("read"):
        return int(database.execute(query).fetchone()[0])


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
            _forget_unreadable(database)
        except sqlite3.DatabaseError:
            database.close()
            raise
    return database


def _forget_unreadable(database: sqlite3.Connection) -> None:
    """A held or early window that is no message (an older or a newer version's) is dropped and said; the rest is
    sound.
    """
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
    """SQLite's errors as SpoolError; SpoolCorrupt where the file is to blame, not the disk, its rights or a lock."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise SpoolError(f"spool: could not {doing}: {error}") from error
    except (sqlite3.Error, BadMessage) as error:
        raise SpoolCorrupt(f"spool: could not {doing}: {error}") from error
