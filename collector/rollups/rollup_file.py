"""Read and write the Parquet file of a month's cells, which a SHA-256 in a file beside it protects.

``2026-03.parquet.sha256`` holds the checksum of the file that is there and of the one before it, so that a power cut
between writing the two leaves nothing that seems damaged. The checksum is compared before anything is decoded.
"""

import fcntl
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pandas as pd
import pyarrow as pa
from pyarrow import compute, parquet

from base.durable_file import replace_file, sync_folder
from collector.language.catalogue import mark
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.store.damage import Damage
from collector.store.source_files import Folder, Source

VERSION = 3
SOURCES_KEYS = {3: b"facetally-cells-3", 2: b"facetally-cells-2", 1: b"facetally-cells-1"}
"""Metadata key of the sources by version of the file. Version 1 has no checksum; 1 and 2 have no doubtful visits."""
DAMAGES_KEY = b"facetally-damages"
CHECKSUM_SUFFIX = ".sha256"
ROW_GROUP = 20_000
"""Rows that are decoded together; they are sorted by site, so that a site's rows are in one or two groups."""
WRONG_CHECKSUM = mark("the checksum does not match")
READ_ATTEMPTS = 3
"""The file may be replaced between reading it and reading its checksum."""


class DamagedRollup(Exception):
    """The content of a file is not what was written."""


class FileIdentity(NamedTuple):
    """Identifies one state of a file: it changes when the file is replaced."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(slots=True)
class MonthCells:
    """The cells of one month and what they were computed from."""

    frame: pd.DataFrame
    """Cells, with the column ``date`` of their folder in front."""
    sources: dict[Folder, Source] = field(default_factory=dict)
    damages: dict[Folder, tuple[Damage, ...]] = field(default_factory=dict)
    """What was left out of a folder's cells."""
    version: int = VERSION
    """Version of the file they were read from. Cells of older versions are out of date where rows are still there."""

    def incomplete(self) -> set[Folder]:
        """Return the folders with a file that could not be read."""
        return {folder for folder, found in self.damages.items() if any(each.is_unreadable for each in found)}

    def only(self, sources: dict[Folder, Source]) -> "MonthCells":
        """Return the cells of these folders, with these sources."""
        folders = pd.MultiIndex.from_frame(self.frame[["date", "site"]])
        damages = {folder: found for folder, found in self.damages.items() if folder in sources}
        return MonthCells(self.frame[folders.isin(list(sources))], sources, damages, self.version)


@dataclass(frozen=True, slots=True)
class SavedSources:
    """What the cells of a file were computed from, as the file has it."""

    texts: dict[Folder, str]
    """`Source.encode` of each folder: decoding is slow for a year of a large fleet."""
    damages: list[tuple[str, str, tuple[Damage, ...]]]
    """What was left out of a folder's cells, with its date and site."""


def identity(path: Path) -> FileIdentity | None:
    """Return the identity of a file; None if there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return FileIdentity(stat.st_ino, stat.st_size, stat.st_mtime_ns)


def read(path: Path) -> MonthCells:
    """Read a file. Raises FileNotFoundError, other OSError, or DamagedRollup."""
    for _ in range(READ_ATTEMPTS):
        before = identity(path)
        data, checksums = path.read_bytes(), _read_checksums(path)
        if checksums is None or hashlib.sha256(data).hexdigest() in checksums:
            return _decode(data, has_checksum=checksums is not None)
        if identity(path) == before:
            break
    raise DamagedRollup(WRONG_CHECKSUM)


def read_site(path: Path, site: str, is_verified: bool) -> MonthCells:
    """Read the cells of one site. Raises as `read` does. The checksum is not compared if it ``is_verified``."""
    if not is_verified:
        verify(path)
    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            metadata = file.schema_arrow.metadata or {}
            groups = [at for at in range(file.num_row_groups) if _may_hold(file.metadata.row_group(at), site)]
            table = file.read_row_groups(groups)
            table = table.filter(compute.equal(table["site"], site)).replace_schema_metadata(metadata)
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise DamagedRollup(str(error)) from error
    return _content(table, has_checksum=True, site=site)


def read_sources(path: Path) -> SavedSources:
    """Read what the cells of a file were computed from. Raises FileNotFoundError, other OSError, or DamagedRollup."""
    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            return saved_sources(file.schema_arrow.metadata or {})
    except (pa.ArrowException, ValueError) as error:
        raise DamagedRollup(str(error)) from error


def saved_sources(metadata: dict[bytes, bytes]) -> SavedSources:
    """Return what the cells of a file with this metadata were computed from.

    Raises DamagedRollup for a file of an older version.
    """
    try:
        entries = msgspec.json.decode(metadata[SOURCES_KEYS[VERSION]], type=list[tuple[str, str, str]])
        damages = msgspec.json.decode(metadata[DAMAGES_KEY], type=list[tuple[str, str, tuple[Damage, ...]]])
    except (KeyError, msgspec.DecodeError) as error:
        raise DamagedRollup(str(error)) from error
    return SavedSources({Folder(date, site): text for date, site, text in entries}, damages)


def verify(path: Path) -> None:
    """Raise DamagedRollup unless a file has its checksum; FileNotFoundError if there is none."""
    for _ in range(READ_ATTEMPTS):
        before = identity(path)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        checksums = _read_checksums(path)
        if checksums is None:
            raise DamagedRollup(f"the checksum file, which ends in {CHECKSUM_SUFFIX}, is missing")
        if found in checksums:
            return
        if identity(path) == before:
            break
    raise DamagedRollup(WRONG_CHECKSUM)


def write(path: Path, month: MonthCells, expected: FileIdentity | None) -> bool:
    """Replace a file, on disk when this returns; False if it is no longer the ``expected`` one. Raises OSError."""
    data = _encode(month)
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if identity(path) != expected:
            return False
        checksums = [hashlib.sha256(data).hexdigest(), *_present_checksum(path)]
        text = "".join(f"{checksum}  {path.name}\n" for checksum in checksums)
        replace_file(_checksum_path(path), text.encode())
        replace_file(path, data)
    for each in (folder.parent, folder.parent.parent):
        sync_folder(each)
    return True


def _checksum_path(path: Path) -> Path:
    return path.with_name(path.name + CHECKSUM_SUFFIX)


def _read_checksums(path: Path) -> list[str] | None:
    """Return the checksums that a file may have, its own first; None if there is no checksum file."""
    try:
        text = _checksum_path(path).read_bytes().decode("latin-1")
    except FileNotFoundError:
        return None
    return [entry.partition(" ")[0] for entry in text.splitlines()]


def _present_checksum(path: Path) -> list[str]:
    """Return the checksum of the present file, if any: as its checksum file says, for the file may be damaged."""
    checksums = _read_checksums(path)
    if checksums is not None:
        return checksums[:1]
    return [hashlib.sha256(path.read_bytes()).hexdigest()] if path.exists() else []


def _encode(month: MonthCells) -> bytes:
    """Return the bytes of a file of the newest version."""
    metadata = {
        SOURCES_KEYS[VERSION]: json.dumps([[*folder, source.encode()] for folder, source in month.sources.items()]),
        DAMAGES_KEY: msgspec.json.encode([(*folder, found) for folder, found in month.damages.items()]),
    }
    ordered = month.frame.sort_values(["site", "date"], kind="stable", ignore_index=True)
    table = pa.Table.from_pandas(ordered, preserve_index=False).replace_schema_metadata(metadata)
    buffer = pa.BufferOutputStream()
    parquet.write_table(table, buffer, compression="zstd", row_group_size=ROW_GROUP)
    data: bytes = buffer.getvalue().to_pybytes()
    return data


def _may_hold(group: Any, site: str) -> bool:
    """Whether a row group may hold rows of a site, by its statistics."""
    column = next(each for at in range(group.num_columns) if (each := group.column(at)).path_in_schema == "site")
    statistics = column.statistics
    return statistics is None or not statistics.has_min_max or statistics.min <= site <= statistics.max


def _decode(data: bytes, has_checksum: bool) -> MonthCells:
    """Return the content of a file of any version. Raises DamagedRollup."""
    try:
        table = parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedRollup(str(error)) from error
    return _content(table, has_checksum, None)


def _content(table: pa.Table, has_checksum: bool, site: str | None) -> MonthCells:
    """Return the content of a table with its metadata, of one site if named. Raises DamagedRollup."""
    try:
        metadata = table.schema.metadata or {}
        version = next((version for version, key in SOURCES_KEYS.items() if key in metadata), 1)
        if not has_checksum and version > 1:
            raise DamagedRollup(f"the checksum file, which ends in {CHECKSUM_SUFFIX}, is missing")
        sources = msgspec.json.decode(metadata[SOURCES_KEYS[version]], type=list[tuple[str, str, str]])
        damages = msgspec.json.decode(metadata.get(DAMAGES_KEY, b"[]"), type=list[tuple[str, str, tuple[Damage, ...]]])
        frame = table.replace_schema_metadata(None).to_pandas()
        return MonthCells(
            frame.assign(**{name: 0.0 for name in DOUBTFUL_COLUMNS if name not in frame}),
            {Folder(date, name): Source.decode(text) for date, name, text in sources if site in (None, name)},
            {Folder(date, name): found for date, name, found in damages if site in (None, name)},
            version,
        )
    except (
        pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError, msgspec.DecodeError,
    ) as error:  # fmt: skip
        raise DamagedRollup(str(error)) from error
