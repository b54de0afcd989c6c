"""Counts -> rows of CSV on disk, each once, whenever the power goes.

``<root>/date=YYYY-MM-DD/site=<site>/counts-<labelset>-<writer>.csv``, the date being that of ``start`` in UTC. The same
message always belongs in the same file, so a file's own rows are all that must be known to refuse a repeat, however old
it is: they are read when a file is first written to, and kept as runs of ``seq``, a few bytes for each boot.

A file's header decides which rows it takes, never its name alone: it is compared when the file is opened and before
each append. A file with another header, or one that cannot be used, is left as it is and gets a neighbour. Windows with
doubtful visits have two columns more (`collector.store.rows.OPTIONAL`), and so a file of their own beside the others.
"""

import errno
import fcntl
import logging
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from base.logs import line
from collector.errors import StoreFailed, StoreRefused
from collector.store.damage import DamageLog, of_file
from collector.store.rows import columns_of, file_names, folder, header, is_file_of, row
from contract.message import Counts

MAX_FILES = 4096
"""Files whose keys are kept in memory; of more, the longest unused is read again when its turn comes."""
MAX_KEYS = 500_000
"""Runs of numbers of all these files together, some 200 bytes each: a device that never repeats a boot cannot fill the
memory."""
UNUSABLE = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EIO, errno.ELOOP, errno.ENXIO)
"""Errors of one file; all others are of the disk, and nothing can be stored until they are over."""
THREADS = 16
"""Files that are brought to disk at the same time."""

_log = logging.getLogger(__name__)


class Runs:
    """A set of whole numbers, kept as ``[first, past last, first, past last, ...]``: small while they follow on."""

    __slots__ = ("_bounds",)

    def __init__(self) -> None:
        self._bounds: list[int] = []

    def __len__(self) -> int:
        return len(self._bounds) // 2

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """First and last number of each run, in order."""
        return zip(self._bounds[::2], (past - 1 for past in self._bounds[1::2]), strict=True)

    def keep_last(self, runs: int) -> None:
        """Forget all but so many runs, the highest."""
        del self._bounds[: max(0, len(self._bounds) - 2 * runs)]

    def add(self, number: int) -> bool:
        """Put a number in; False if it was there."""
        bounds = self._bounds
        at = bisect_right(bounds, number)
        if at % 2:
            return False
        left = at > 0 and bounds[at - 1] == number
        right = at < len(bounds) and bounds[at] == number + 1
        bounds[at - left : at + right] = [number] * (not left) + [number + 1] * (not right)
        return True


@dataclass(slots=True)
class _File:
    """What is known of one file: where it is, its header, its keys, and the lines that are not in it yet."""

    path: Path
    header: str
    seen: dict[tuple[str, str], Runs] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    keys: int = 0
    """Runs of numbers in ``seen``."""

    def add(self, device: str, boot: str, seq: int) -> bool:
        """Put a key in; False if it was there."""
        runs = self.seen.setdefault((device, boot), Runs())
        before = len(runs)
        new = runs.add(seq)
        self.keys += len(runs) - before
        return new


class StoreWriter:
    """The files of one writer. A context manager: holds the writer's lock, and repairs what a power cut tore.

    ``damages`` is told of files and rows that are left out.
    """

    def __init__(self, root: Path, writer: str, damages: DamageLog | None = None) -> None:
        self._root = root
        self._writer = writer
        self._damages = damages or DamageLog()
        self._files: dict[tuple[str, tuple[str, ...]], _File] = {}
        self._lock: IO[bytes] | None = None
        self._threads = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> "Store":
        try:
            make_folder(self._root)
            self._lock = self._take_lock()
            for path in sorted(self._root.glob(f"date=*/site=*/counts-*-{self._writer}.csv")):
                if is_file_of(path.name, self._writer):
                    self._mend(path)
            os.sync()  # rows that a killed process wrote and did not sync are repeats now, and acknowledged as such
        except OSError as error:
            raise StoreRefused(f"store {self._root}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown()
        if self._lock:
            self._lock.close()

    def add(self, counts: Counts) -> bool:
        """Prepare a row; False if its key is there. BadMessage if it cannot be a row, StoreFailed if it cannot be read.

        `flush` brings it to disk; after StoreFailed the store is opened anew.
        """
        text = row(counts)
        key = (folder(counts), columns_of(counts))
        file = self._files.pop(key, None) or self._opened(*key)
        self._files[key] = file
        if not file.add(counts.device, counts.boot, counts.seq):
            return False
        file.lines.append(text)
        return True

    def flush(self) -> None:
        """Bring the prepared rows to disk, one fsync a file; StoreFailed if that cannot be done.

        Many files at once: a file system brings what is asked for at the same time to disk together.
        """
        due = [file for file in self._files.values() if file.lines]
        work = [self._threads.submit(_append, file.path, file.header, "".join(file.lines)) for file in due]
        wait(work)
        for file, done in zip(due, work, strict=True):
            try:
                done.result()
            except OSError as error:
                raise StoreFailed(f"{file.path}: {error.strerror}") from error
        for file in due:
            file.lines.clear()
        self._forget()

    def _forget(self) -> None:
        """Keep the files in memory that were used last, as many as the bounds allow, and one at least."""
        keys = sum(file.keys for file in self._files.values())
        while len(self._files) > MAX_FILES or (keys > MAX_KEYS and len(self._files) > 1):
            keys -= self._files.pop(next(iter(self._files))).keys

    def _opened(self, within: str, columns: tuple[str, ...]) -> _File:
        """Open the file for rows with these columns after the fixed ones, and read its keys. A file that cannot be used
        is passed over.
        """
        expected = header(columns)
        for name, may_begin in file_names(columns, self._writer):
            path = self._root / within / name
            try:
                with path.open(encoding="latin-1", newline="\n") as lines:
                    first = next(lines, "")
                    if first == expected or (first == "" and may_begin):
                        return self._keys(_File(path, expected), lines)
                    if may_begin:  # under a name of 8 digits another set is no surprise
                        self._damages.note(path, of_file(path, "its header is of other columns than its name"))
            except FileNotFoundError:
                if may_begin:
                    return _File(path, expected)
            except OSError as error:
                if error.errno not in UNUSABLE:
                    raise StoreFailed(f"{path}: {error.strerror}") from error
                self._damages.note(path, of_file(path, error.strerror))
        raise StoreFailed(f"{self._root / within}: too many files that cannot be used; move them away")

    def _keys(self, file: _File, lines: Iterable[str]) -> _File:
        """Read the keys of a file's rows; lines that are no rows have none, and are reported."""
        columns = file.header.count(",")
        bad, first = 0, 0
        for number, text in enumerate(lines, 2):
            cells = text.split(",", 5)
            if text.count(",") < columns or not cells[4].isascii() or not cells[4].isdigit():
                bad, first = bad + 1, first or number
            else:
                file.add(cells[2], cells[3], int(cells[4]))
        self._damages.note(file.path, of_file(file.path, f"line {first} is no row of counts", bad) if bad else None)
        return file

    def _mend(self, path: Path) -> None:
        """Repair a file; one that cannot be opened is left alone."""
        try:
            mend(path)
        except OSError as error:
            if error.errno not in UNUSABLE:
                raise
            self._damages.note(path, of_file(path, error.strerror))

    def _take_lock(self) -> IO[bytes]:
        """Hold ``<root>/<writer>.lock`` until the process ends, however it ends."""
        lock = (self._root / f"{self._writer}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise StoreRefused(
                f"store {self._root}: another collector writes there as {self._writer!r};"
                " give this one its own store.writer"
            ) from None
        return lock


def mend(path: Path) -> None:
    """Cut off what stands after the last line break: a write that the power cut short, and that nobody acknowledged."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        whole, block = 0, b""
        at = size
        while at > 0 and not whole:
            step = min(at, 65_536)
            at -= step
            file.seek(at)
            block = file.read(step)
            whole = at + block.rfind(b"\n") + 1 if b"\n" in block else 0
        if whole < size:
            file.truncate(whole)
            os.fsync(file.fileno())
            _log.warning(line("mended", file=path, bytes_cut=size - whole))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they are there after a power cut."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _append(path: Path, head: str, text: str) -> None:
    """Append to a file, or begin it, and return when both are on disk. StoreFailed if the file has another header."""
    make_folder(path.parent)
    with path.open("ab+") as file:
        new = file.seek(0, os.SEEK_END) == 0
        if not new and os.pread(file.fileno(), len(head), 0) != head.encode():
            raise StoreFailed(f"{path}: its header has changed")
        file.write(((head if new else "") + text).encode())
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(path.parent)
