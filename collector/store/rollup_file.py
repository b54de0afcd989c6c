"""A month's cells and what they were made of <-> one Parquet file, whose SHA-256 stands in a file beside it.

``2026-03.parquet.sha256`` names the file that is there and the one before it, so that a power cut between writing the
two leaves nothing that seems damaged. The checksum is compared before anything is decoded.
"""

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from collector.store.damage import Damage
from collector.store.rows import OPTIONAL
from collector.store.writer import sync_folder

PRINTS, SECOND_PRINTS, FIRST_PRINTS = b"facetally-cells-3", b"facetally-cells-2", b"facetally-cells-1"
"""Where a file says what its cells were made of, newest version first. Version 1 has no checksum, versions 1 and 2 have
no doubtful visits."""
DAMAGES = b"facetally-damages"
SEAL = ".sha256"
TRIES = 3
"""A file may be replaced between reading it and reading its checksum."""
Part = tuple[str, str]
"""Date and site of a folder."""


class DamagedRollup(Exception):
    """A file that is not what was written."""


@dataclass(slots=True)
class Content:
    """The cells of one month, with the column ``date`` in front."""

    frame: pd.DataFrame
    prints: dict[Part, str] = field(default_factory=dict)
    """What each folder's cells were made of."""
    damages: dict[Part, tuple[Damage, ...]] = field(default_factory=dict)
    """What was left out of a folder's cells."""
    current: bool = True
    """Whether the file is of the newest version. In an older one, cells of days that still have rows are out of
    date."""

    def only(self, prints: dict[Part, str]) -> "Content":
        """Keep the cells of these folders, as made of these files."""
        parts = pd.MultiIndex.from_frame(self.frame[["date", "site"]])
        damages = {part: found for part, found in self.damages.items() if part in prints}
        return Content(self.frame[parts.isin(list(prints))], prints, damages, self.current)


def identity(path: Path) -> str:
    """What changes when a file is replaced; empty if there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    return f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns}"


def read(path: Path) -> Content:
    """A file -> what it holds; FileNotFoundError, other OSError, or DamagedRollup."""
    for _ in range(TRIES):
        before = identity(path)
        data, known = path.read_bytes(), _seal(path)
        if known is None or hashlib.sha256(data).hexdigest() in known:
            return _decode(data, known is not None)
        if identity(path) == before:
            break
    raise DamagedRollup("its checksum does not fit")


def write(path: Path, content: Content, expected: str) -> bool:
    """Replace a file, on disk when this returns; False if it is another than ``expected``, an `identity`. OSError."""
    table = pa.Table.from_pandas(content.frame, preserve_index=False)
    text = {
        PRINTS: json.dumps([[*part, made_of] for part, made_of in content.prints.items()]),
        DAMAGES: msgspec.json.encode([(*part, found) for part, found in content.damages.items()]),
    }
    buffer = pa.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata(text), buffer, compression="zstd")
    data = buffer.getvalue().to_pybytes()
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if identity(path) != expected:
            return False
        seals = [hashlib.sha256(data).hexdigest(), *_before(path)]
        seal = "".join(f"{digest}  {path.name}\n" for digest in seals)
        _replace(path.with_name(path.name + SEAL), seal.encode())
        _replace(path, data)
    for each in (folder.parent, folder.parent.parent):
        sync_folder(each)
    return True


def _replace(path: Path, data: bytes) -> None:
    """Replace a file, on disk when this returns."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def _seal(path: Path) -> list[str] | None:
    """The digests that a file may have, its own first; None if there is no checksum."""
    try:
        text = path.with_name(path.name + SEAL).read_bytes().decode("latin-1")
    except FileNotFoundError:
        return None
    return [entry.partition(" ")[0] for entry in text.splitlines()]


def _before(path: Path) -> list[str]:
    """The digest of the file that is there now: as its checksum says, for the file may be damaged."""
    known = _seal(path)
    if known is not None:
        return known[:1]
    return [hashlib.sha256(path.read_bytes()).hexdigest()] if path.exists() else []


def _decode(data: bytes, sealed: bool) -> Content:
    """The bytes of a file -> what it holds; DamagedRollup."""
    try:
        table = parquet.read_table(pa.BufferReader(data))
        metadata = table.schema.metadata or {}
        version = next((each for each in (PRINTS, SECOND_PRINTS) if each in metadata), FIRST_PRINTS)
        if not sealed and version != FIRST_PRINTS:
            raise DamagedRollup(f"its checksum, the file ending in {SEAL}, is missing")
        prints = json.loads(metadata[version])
        found = msgspec.json.decode(metadata.get(DAMAGES, b"[]"), type=list[tuple[str, str, tuple[Damage, ...]]])
        frame = table.replace_schema_metadata(None).to_pandas()
        return Content(
            frame.assign(**{name: 0.0 for name in OPTIONAL if name not in frame}),
            {(day, site): text for day, site, text in prints},
            {(day, site): damages for day, site, damages in found},
            version == PRINTS,
        )
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise DamagedRollup(str(error)) from error
