"""The cells of a saved month by day, and their sums, in files that are derived from the month's roll-up file.

``<root>/_rollup/<seconds>/by-day/YYYY-MM-<version>-<identity>/`` belongs to one state of the roll-up file of the month:

- ``YYYY-MM-DD.parquet``: the cells of a day's folders, for parts of a day and of an hour.
- ``hours-<groups>.parquet``, ``sites-<groups>.parquet``, ``senders-<split>.arrays``: the sums of each day
  (`collector.rollups.fleet_sums`, `collector.rollups.sender_file`), made when they are first needed.
- ``totals-<groups>.parquet``: the sums of sites over all days.
- ``YYYY-MM-DD.arrays``: the sums of devices by cell of a day, made when they are first needed.
- ``contents.json``: what the files hold, after its SHA-256.

A folder appears under its name when it is complete, so a kill leaves nothing that is used. All of it may be deleted at
any time. Each file has a SHA-256: files of sums begin with it, and ``contents.json`` has those of the days' cells. A
folder with a damaged file is made again.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from msgspec import Struct
from pyarrow import compute, parquet

from base.durable_file import make_folder, replace_file
from collector.rollups import rollup_file
from collector.rollups.fleet_sums import GROUP, LABEL_SET, Measured, Sender
from collector.rollups.rollup_file import DamagedRollup, FileIdentity
from collector.store.damage import Damage
from collector.store.source_files import Source

FOLDER = "by-day"
CONTENTS = "contents.json"
VERSION = 2
"""Grows when files or the meaning of sums change, so that those of former software are not read."""
BATCH_ROWS = 400_000
"""Cells that are in memory together while a month is divided into days."""
TEXTS = ("date", "site", "device", "model_expression", "clock")
DIGITS = 64
"""Length of a SHA-256 in hexadecimal digits."""
MAX_FILES = 4
"""Files of one kind of sums that stay: programs may see different groups of devices, and days begin at another time of
the UTC day in summer than in winter."""
STALE_S = 3600.0
"""Age above which a draft is taken for one that a killed process has left, seconds."""


@dataclass(frozen=True, slots=True)
class Maker:
    """How the sums in a file are made."""

    make: Callable[[Measured], pd.DataFrame]
    """Returns the sums of some cells."""
    encode: Callable[[pd.DataFrame], bytes]
    """Returns the content of the file for the sums of all cells, joined."""


class Day(Struct, frozen=True):
    """What the file of a day holds."""

    rows: int
    reach_us: int
    """Longest time from the cell in which a window began to the last cell that it reaches into, microseconds."""
    sha256: str = ""
    """Checksum of the file."""


class Contents(Struct, frozen=True):
    """What the files of a month hold."""

    days: dict[str, Day]
    """By date, ``YYYY-MM-DD``."""
    senders: list[Sender]
    """The devices and classifiers of all cells."""
    live: list[str]
    """Dates with folders whose cells follow their files, in order."""
    damages: list[tuple[str, str, tuple[Damage, ...]]]
    """What was left out of the cells of a folder, by date and site."""


class DayFiles:
    """The files of one state of a month. Reading raises FileNotFoundError if they were replaced, and DamagedRollup."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        checksum, _, data = (folder / CONTENTS).read_bytes().partition(b"\n")
        if checksum != _checksum(data):
            raise DamagedRollup(f"{folder / CONTENTS}: the checksum does not match")
        try:
            self.contents = msgspec.json.decode(data, type=Contents)
        except msgspec.DecodeError as error:
            raise DamagedRollup(f"{folder / CONTENTS}: {error}") from error

    def cells(self, date: str) -> pd.DataFrame:
        """Return the cells of a day; texts are categorical."""
        return self._cells([date])

    def sums(self, makers: Mapping[str, Maker], wanted: Iterable[str]) -> dict[str, memoryview]:
        """Return the content of wanted files. If one is missing, all that are missing are made together."""
        paths = {name: self.folder / name for name in makers}
        if not all(paths[name].exists() for name in wanted):
            self._make({name: maker for name, maker in makers.items() if not paths[name].exists()})
        return {name: _verified(paths[name]) for name in wanted}

    def day_sums(self, date: str, maker: Maker) -> memoryview:
        """Return the content of the file with the sums of devices by cell of a day; it is made if it is missing."""
        path = self.folder / f"{date}.arrays"
        if not path.exists():
            data = maker.encode(maker.make(Measured.of(self._cells([date]))))
            replace_file(path, _checksum(data) + data)
        return _verified(path)

    def _cells(self, dates: Sequence[str]) -> pd.DataFrame:
        tables = [
            _table(path, path.read_bytes(), self.contents.days[date].sha256.encode(), TEXTS)
            for date in dates
            for path in [self._path(date)]
        ]
        frame: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
        return frame

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def _make(self, makers: Mapping[str, Maker]) -> None:
        """Write files of sums. Cells of some days at a time are in memory."""
        tables: dict[str, list[pd.DataFrame]] = {name: [] for name in makers}
        for dates in self._some_days():
            cells = Measured.of(self._cells(dates))
            for name, maker in makers.items():
                tables[name].append(maker.make(cells))
        for name, parts in tables.items():
            data = makers[name].encode(pd.concat(parts, ignore_index=True))
            replace_file(self.folder / name, _checksum(data) + data)
            self._delete_oldest(name.partition("-")[0])

    def _delete_oldest(self, kind: str) -> None:
        """Delete sums of former groups of devices, and of zones that nobody has asked for of late."""
        paths = sorted(self.folder.glob(f"{kind}-*.*"), key=lambda path: path.stat().st_mtime_ns)
        for path in paths[:-MAX_FILES]:
            path.unlink(missing_ok=True)

    def _some_days(self) -> Iterator[list[str]]:
        """Yield all dates in groups of at most `BATCH_ROWS` cells, or of one day that has more."""
        dates: list[str] = []
        rows = 0
        for date, day in self.contents.days.items():
            if dates and rows + day.rows > BATCH_ROWS:
                yield dates
                dates, rows = [], 0
            dates.append(date)
            rows += day.rows
        if dates:
            yield dates


def find(path: Path) -> DayFiles | None:
    """Return the files for the present state of a month's roll-up file, made if they are missing; None without one.

    Raises OSError, and DamagedRollup if the roll-up file is damaged or of an older version.
    """
    identity = rollup_file.identity(path)
    if identity is None:
        return None
    parent = path.parent / FOLDER
    folder = parent / _name(path, identity)
    if not (folder / CONTENTS).exists():
        _divide(path, folder)
        _delete_others(parent, path.stem, folder)
    return DayFiles(folder)


def _checksum(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def forget(path: Path) -> None:
    """Delete the files of a month, because one of them is damaged."""
    _delete_others(path.parent / FOLDER, path.stem, None)


def _name(path: Path, identity: FileIdentity) -> str:
    return f"{path.stem}-{VERSION}-{identity.inode:x}-{identity.size:x}-{identity.mtime_ns:x}"


def _divide(path: Path, folder: Path) -> None:
    """Write the files of the days of a roll-up file."""
    rollup_file.verify(path)
    make_folder(folder.parent)
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        with parquet.ParquetFile(path, read_dictionary=list(TEXTS), memory_map=True) as file:
            sources = rollup_file.saved_sources(file.schema_arrow.metadata or {})
            contents = _write_days(file, draft)
        live = {date for (date, _), text in sources.texts.items() if not Source.is_final_text(text)}
        contents = Contents(contents.days, contents.senders, sorted(live), sources.damages)
        data = msgspec.json.encode(contents)
        (draft / CONTENTS).write_bytes(_checksum(data) + b"\n" + data)
        try:
            draft.rename(folder)
        except OSError:
            if not (folder / CONTENTS).exists():  # else another thread or process was faster
                shutil.rmtree(folder, ignore_errors=True)  # a kill or a power cut has left a part of it
                draft.rename(folder)
    except pa.ArrowException as error:
        raise DamagedRollup(str(error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_days(file: parquet.ParquetFile, draft: Path) -> Contents:
    writers: dict[str, parquet.ParquetWriter] = {}
    days: dict[str, Day] = {}
    senders: set[Sender] = set()
    try:
        for table in _tables(file):
            senders |= _senders(table)
            for date, part in _by_date(table):
                if date not in writers:
                    writers[date] = parquet.ParquetWriter(draft / f"{date}.parquet", table.schema, **_OPTIONS)
                writers[date].write_table(part)
                days[date] = _joined(days.get(date), _day(part))
    finally:
        for writer in writers.values():
            writer.close()
    checksums = {date: _checksum((draft / f"{date}.parquet").read_bytes()).decode() for date in days}
    found = {date: Day(day.rows, day.reach_us, checksums[date]) for date, day in sorted(days.items())}
    return Contents(found, sorted(senders), [], [])


def _tables(file: parquet.ParquetFile) -> Iterator[pa.Table]:
    """Yield a file as tables of some row groups."""
    batches: list[pa.RecordBatch] = []
    for batch in file.iter_batches(BATCH_ROWS):
        if batches and sum(map(len, batches)) + len(batch) > BATCH_ROWS:
            yield pa.Table.from_batches(batches).replace_schema_metadata(None).unify_dictionaries()
            batches = []
        batches.append(batch)
    if batches:
        yield pa.Table.from_batches(batches).replace_schema_metadata(None).unify_dictionaries()


def _by_date(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    column = table["date"].combine_chunks()
    codes = column.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    firsts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for rows in np.split(order, firsts[1:]) if len(order) else []:
        yield column.dictionary[int(codes[rows[0]])].as_py(), table.take(pa.array(rows))


def _senders(table: pa.Table) -> set[Sender]:
    found = table.select(["site", "device", "model_expression"])
    plain = pa.table({name: found[name].cast(pa.string()) for name in found.column_names})
    return {tuple(row.values()) for row in plain.group_by(plain.column_names).aggregate([]).to_pylist()}


def _day(part: pa.Table) -> Day:
    begin, start = (part[name].cast(pa.timestamp("us", "UTC")).cast(pa.int64()) for name in ("begin", "start"))
    return Day(part.num_rows, compute.max(compute.subtract(start, begin)).as_py())


def _joined(one: Day | None, other: Day) -> Day:
    return other if one is None else Day(one.rows + other.rows, max(one.reach_us, other.reach_us))


def _delete_others(parent: Path, month: str, kept: Path | None) -> None:
    """Delete the files of other states of a month."""
    for folder in parent.glob(f"{month}-*"):
        is_draft = folder.suffix == ".tmp"
        try:
            age_s = pd.Timestamp.now().timestamp() - folder.stat().st_mtime
        except FileNotFoundError:
            continue
        if folder != kept and (not is_draft or age_s > STALE_S):
            shutil.rmtree(folder, ignore_errors=True)


def encode_table(sums: pd.DataFrame) -> bytes:
    """Return the content of a file of sums."""
    buffer = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pandas(sums, preserve_index=False), buffer, **_OPTIONS)
    data: bytes = buffer.getvalue().to_pybytes()
    return data


def decode_table(data: memoryview) -> pd.DataFrame:
    """Return the sums of `encode_table`; texts are categorical."""
    names = [*TEXTS, LABEL_SET, GROUP]
    frame: pd.DataFrame = parquet.read_table(pa.BufferReader(data), read_dictionary=names).to_pandas()
    return frame


def _verified(path: Path) -> memoryview:
    """Return the content of a file of sums. Raises DamagedRollup."""
    data = memoryview(path.read_bytes())
    if _checksum(data[DIGITS:]) != bytes(data[:DIGITS]):
        raise DamagedRollup(f"{path}: the checksum does not match")
    return data[DIGITS:]


def _table(path: Path, data: bytes, checksum: bytes, texts: tuple[str, ...]) -> pa.Table:
    """Return the table of a file with this content. Raises DamagedRollup."""
    if _checksum(data) != checksum:
        raise DamagedRollup(f"{path}: the checksum does not match")
    return parquet.read_table(pa.BufferReader(data), read_dictionary=list(texts))


_OPTIONS: dict[str, Any] = {"compression": "zstd"}
