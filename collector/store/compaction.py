"""Compact closed days of the store: the CSV files of a label set become one Parquet file in the same folder.

``date=YYYY-MM-DD/site=SITE/counts-LABELSET-WRITER.parquet`` holds each window once, sorted by device and time. Windows
that come later go into a new CSV file beside it, which the next compaction merges.

A kill at any point loses nothing and stores nothing twice for `collector.store.load.load`. The order is: the keys, the
Parquet file, then the CSV files are deleted. If a kill falls between the last two steps, a window is in both files
until the next compaction; readers other than ours see it twice until then.
"""

import fcntl
import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import groupby
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
from pyarrow import compute

from base.durable_file import sync_folder
from base.logs import line
from collector.errors import StoreFailed, StoreRefused
from collector.store.append_file import locked
from collector.store.columns import FIXED_COLUMNS, KEY_COLUMNS
from collector.store.csv_file import read_csv_file
from collector.store.damage import Damage, DamageCallback, DamageReports, log_damage
from collector.store.file_names import parquet_name
from collector.store.key_file import key_path, write_keys
from collector.store.parquet_file import read_parquet_file, write_parquet_file
from collector.store.sequence_set import SequenceSet
from collector.store.source_files import stored_days
from collector.store.workers import ThisProcess, Workers

LOCK = "compact.lock"
DRAFT_SUFFIX = ".draft"
KEPT_PREFIX = "_"
"""Prefix of CSV files that are kept after compaction. Readers of the store ignore such names."""
MAX_ATTEMPTS = 3
"""Attempts for one file while windows keep coming."""
_CSV = re.compile(r"counts-(?:[0-9a-f]{8}|[0-9a-f]{32}(?:_[0-9]{1,2})?)-(?P<writer>.+)\.csv")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What the compaction of one day or of several has done."""

    files: int = 0
    """CSV files that are in Parquet files now."""
    windows: int = 0
    """Rows of the Parquet files that were written."""
    csv_bytes: int = 0
    parquet_bytes: int = 0
    """Growth of the Parquet files."""
    left: int = 0
    """CSV files that stay, because they are damaged or cannot be read."""

    def __add__(self, other: "Compacted") -> "Compacted":
        return Compacted(
            self.files + other.files,
            self.windows + other.windows,
            self.csv_bytes + other.csv_bytes,
            self.parquet_bytes + other.parquet_bytes,
            self.left + other.left,
        )


@dataclass(frozen=True, slots=True)
class _Csv:
    """A CSV file and its rows, and its length before it was read."""

    path: Path
    size: int
    table: pa.Table


def compact(
    root: Path,
    before: date,
    *,
    keep_csv: bool = False,
    on_damage: DamageCallback = log_damage,
    workers: Workers | None = None,
) -> Iterator[tuple[date, Compacted]]:
    """Compact the days of a store before a date, oldest first; yield each day that had CSV files.

    Rows that cannot be used keep their whole file from being compacted, so nothing is lost. With ``keep_csv`` the CSV
    files get names with an underscore instead of being deleted. ``workers`` do the work; by default this process does.
    Raises StoreRefused if another compaction runs, and StoreFailed if the disk fails.
    """
    with _only_one(root):
        days = [day for each in stored_days(root) if (day := date.fromisoformat(each)) < before]
        folders = [folder for day in sorted(days) for folder in sorted((root / f"date={day}").glob("site=*"))]
        results = (workers or ThisProcess()).map(partial(_compact_folder, keep_csv=keep_csv), folders)
        for day, group in groupby(zip(folders, results, strict=True), lambda each: _date_of(each[0])):
            done = Compacted()
            for _, (of_folder, reports) in group:
                reports.pass_on(on_damage)
                done += of_folder
            if done.files or done.left:
                yield day, done


def _date_of(folder: Path) -> date:
    """Return the date of the folder of a day and site."""
    return date.fromisoformat(folder.parent.name.removeprefix("date="))


@contextmanager
def _only_one(root: Path) -> Iterator[None]:
    """Hold the lock of the store's compaction."""
    try:
        lock = (root / LOCK).open("ab")
    except OSError as error:
        raise StoreRefused(f"store {root}: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreRefused(f"store {root}: another compaction runs; wait until it ends") from None
        yield


def _compact_folder(folder: Path, *, keep_csv: bool) -> tuple[Compacted, DamageReports]:
    """Compact the CSV files of one day and site; also return what was reported of its files."""
    reports = DamageReports()
    for draft in folder.glob(f"counts-*{DRAFT_SUFFIX}"):
        draft.unlink(missing_ok=True)
    done, groups = Compacted(), defaultdict[Path, list[Path]](list)
    for path in sorted(folder.glob("counts-*.csv")):
        named, columns = _CSV.fullmatch(path.name), _columns(path)
        if named is None or columns is None:
            done += Compacted(left=1)
        else:
            groups[folder / parquet_name(columns[len(FIXED_COLUMNS) :], named["writer"])].append(path)
    for parquet, paths in groups.items():
        try:
            done += _compact_files(paths, parquet, keep_csv, reports.note)
        except OSError as error:
            raise StoreFailed(f"{parquet}: {error.strerror or error}") from error
    return done, reports


def _columns(path: Path) -> tuple[str, ...] | None:
    """Return the column names of a file; None if it cannot be read."""
    try:
        with path.open(encoding="latin-1", newline="\n") as lines:
            first = next(lines, "")
    except OSError:
        return None
    names = tuple(first.rstrip("\n").split(","))
    return names if names[: len(FIXED_COLUMNS)] == FIXED_COLUMNS else None


def _compact_files(paths: Sequence[Path], parquet: Path, keep_csv: bool, on_damage: DamageCallback) -> Compacted:
    """Merge CSV files of one label set and writer into their Parquet file."""
    for _ in range(MAX_ATTEMPTS):
        files, damaged = _read(paths, on_damage)
        merged = _merged(parquet, files, on_damage) if files else None
        if merged is None:
            return Compacted(left=len(paths))
        before = parquet.stat().st_size if parquet.exists() else 0
        draft = parquet.with_name(f"{parquet.name}.{uuid4().hex}{DRAFT_SUFFIX}")  # a cluster may try a folder twice
        write_parquet_file(merged, draft)
        _verify(draft, merged)
        if _commit(draft, parquet, merged, files, keep_csv):
            return Compacted(
                len(files), merged.num_rows, sum(file.size for file in files), parquet.stat().st_size - before, damaged
            )
        draft.unlink()
    return Compacted(left=len(paths))


def _read(paths: Sequence[Path], on_damage: DamageCallback) -> tuple[list[_Csv], int]:
    """Read the files of which every row can be used. Returns them, and the number of the others."""
    files: list[_Csv] = []
    for path in paths:
        found: list[Damage] = []

        def note(at: Path, damage: Damage | None, found: list[Damage] = found) -> None:
            found.extend([damage] if damage is not None else [])
            on_damage(at, damage)

        size = path.stat().st_size
        table = read_csv_file(path, note)
        if table is not None and not found:
            files.append(_Csv(path, size, table))
    return files, len(paths) - len(files)


def _merged(parquet: Path, files: Sequence[_Csv], on_damage: DamageCallback) -> pa.Table | None:
    """Return the windows of the Parquet file, if there is one, and of CSV files: each once, by device and time.

    None if there is a Parquet file that cannot be read.
    """
    tables = [file.table for file in files]
    if parquet.exists():
        before = read_parquet_file(parquet, on_damage)
        if before is None:
            return None
        tables = [before, *tables]
    table = pa.concat_tables(tables)
    table = table.append_column("_row", pa.array(range(table.num_rows), pa.int64()))
    first = table.group_by(list(KEY_COLUMNS)).aggregate([("_row", "min")])["_row_min"]
    windows = table.take(first).drop_columns("_row")
    return windows.sort_by([(name, "ascending") for name in ("device", "start", "boot", "seq")]).combine_chunks()


def _verify(draft: Path, windows: pa.Table) -> None:
    """Raise StoreFailed unless a Parquet file holds exactly these windows."""
    found: list[Damage] = []
    table = read_parquet_file(draft, lambda _, damage: found.extend([damage] if damage else []))
    if table is None or not table.combine_chunks().equals(windows):
        reason = found[0].reason if found else "other windows than were written"
        raise StoreFailed(f"{draft}: must hold the windows of the CSV files, has {reason}")


def _commit(draft: Path, parquet: Path, windows: pa.Table, files: Sequence[_Csv], keep_csv: bool) -> bool:
    """Put the Parquet file in the place of the CSV files; False if windows have come since these were read."""
    with ExitStack() as locks:
        for file in files:
            opened = locks.enter_context(locked(file.path))
            if os.fstat(opened.fileno()).st_size != file.size:
                return False
        write_keys(key_path(parquet), _sequences(windows))
        draft.replace(parquet)
        sync_folder(parquet.parent)
        for file in files:
            if keep_csv:
                file.path.rename(_free_name(file.path))
            else:
                file.path.unlink()
        sync_folder(parquet.parent)
    return True


def _sequences(windows: pa.Table) -> dict[tuple[str, str], SequenceSet]:
    """Return the sequence numbers of windows by device and boot.

    Windows that follow each other are added together: that takes a fifteenth of the time of adding each.
    """
    seq, before, after = windows["seq"].to_numpy(), windows.slice(0, len(windows) - 1), windows.slice(1)
    follows = np.diff(seq) == 1
    for name in ("device", "boot"):
        follows &= compute.equal(before[name], after[name]).to_numpy()
    first = np.flatnonzero(np.append(True, ~follows))
    last = np.append(first[1:], len(seq)) - 1
    senders = (windows[name].take(first).to_pylist() for name in ("device", "boot"))
    sequences = defaultdict[tuple[str, str], SequenceSet](SequenceSet)
    for device, boot, low, high in zip(*senders, seq[first].tolist(), seq[last].tolist(), strict=True):
        sequences[device, boot].add_run(low, high)
    return sequences


def _free_name(path: Path) -> Path:
    """Return the name under which a CSV file is kept."""
    kept, number = path.with_name(KEPT_PREFIX + path.name), 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{KEPT_PREFIX}{path.stem}-{number}{path.suffix}")
    return kept


def log_compacted(day: date, done: Compacted) -> None:
    """Log what was done for a day."""
    _log.info(
        line(
            "compacted",
            date=day,
            files=done.files,
            windows=done.windows,
            csv_bytes=done.csv_bytes,
            parquet_bytes=done.parquet_bytes,
            left=done.left,
        )
    )
