"""Name the folder and the file of a row in the store.

A row is in ``date=YYYY-MM-DD/site=SITE/counts-LABELSET-WRITER.csv``. LABELSET is a hash of the columns after the fixed
ones, so that each file has one header. Compacted rows are in ``counts-LABELSET-WRITER.parquet`` beside it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from contract.labels import labelset
from contract.message import Counts

SHORT_DIGITS = 8
"""Digits of the hash in files of version 0.1. Label sets that collide in 32 bits are easy to find, so no new file
gets such a name."""
MAX_FILES_PER_LABELSET = 99

_labelset = lru_cache(1024)(labelset)


class FileName(NamedTuple):
    """A name that a file may have."""

    name: str
    may_create: bool
    """Whether a new file may get this name."""


def folder_name(counts: Counts) -> str:
    """Return the folder of a window's row within the store; the date is that of ``start`` in UTC."""
    return f"date={counts.start.date().isoformat()}/site={counts.site}"


def file_names(columns: tuple[str, ...], writer: str) -> Iterator[FileName]:
    """Yield the possible names of the file with these columns after `FIXED_COLUMNS`, in order of preference.

    The first is the short name of version 0.1. The others have all 32 digits of the hash; a number follows where files
    that cannot be used have the names before.
    """
    digits = _labelset(columns)
    yield FileName(f"counts-{digits[:SHORT_DIGITS]}-{writer}.csv", False)
    yield FileName(f"counts-{digits}-{writer}.csv", True)
    for number in range(2, MAX_FILES_PER_LABELSET + 1):
        yield FileName(f"counts-{digits}_{number}-{writer}.csv", True)


def counts_files(folder: Path) -> list[Path]:
    """Return the files of a folder that hold windows, CSV and Parquet, in order of their names.

    None if there is no such folder. Raises OSError if it cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if is_counts_file(path.name))
    except FileNotFoundError:
        return []


def is_counts_file(name: str) -> bool:
    """Whether a file of this name holds windows. Names with an underscore are ignored."""
    return name.startswith("counts-") and name.endswith((".csv", ".parquet"))


def parquet_name(columns: tuple[str, ...], writer: str) -> str:
    """Return the name of the Parquet file that holds compacted rows with these columns."""
    return f"counts-{_labelset(columns)}-{writer}.parquet"


def is_file_of(name: str, writer: str) -> bool:
    """Whether `file_names` gives this name to any columns of the writer."""
    pattern = rf"counts-[0-9a-f]{{8}}([0-9a-f]{{24}}(_[0-9]{{1,2}})?)?-{re.escape(writer)}\.csv"
    return re.fullmatch(pattern, name) is not None
