"""Rows of CSV in folders -> one DataFrame, each window once."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from collector.errors import StoreRefused
from collector.rows import FIXED
from contract.labels import UNKNOWN

KEY = ["site", "device", "boot", "seq"]
WHOLE = ("schema", "seq", "merged", "privacy_k")
TIMES = ("start", "end")
TEXT = tuple(name for name in FIXED if name not in (*WHOLE, *TIMES, "coverage"))
OF_CELLS = ("begin", "windows", "seconds")
"""Columns that a table of `collector.cells.cells` has besides, and that are no labels."""
KINDS = (
    dict.fromkeys(WHOLE, pa.int64())
    | dict.fromkeys(TIMES, pa.timestamp("us", "UTC"))
    | dict.fromkeys(TEXT, pa.string())
    | {"coverage": pa.float64()}
)


def load(
    root: Path, since: datetime | None = None, until: datetime | None = None, site: str | None = None
) -> pd.DataFrame:
    """The windows of a store that start in ``[since, until)``, all if None; of one site if named.

    One row a window, ordered by start, site and device. ``start`` and ``end`` are datetimes in UTC, ``coverage`` is
    float64, `WHOLE` int64, `TEXT` str; then one float64 column a label, NaN where the window's bundle had no such
    label, which is not 0. Only folders of the days asked for are opened; a line that is being written is left out;
    repeats, such as two writers may have stored, are dropped by `KEY`. StoreRefused if a file holds something else.
    """
    frame = read(_files(root, since, until, site))
    if since is not None:
        frame = frame[frame["start"] >= since]
    if until is not None:
        frame = frame[frame["start"] < until]
    order = ["start", "site", "device", "boot", "seq"]
    once: pd.DataFrame = frame.drop_duplicates(KEY).sort_values(order, ignore_index=True)[[*FIXED, *labels(frame)]]
    return once


def read(paths: Iterable[Path]) -> pd.DataFrame:
    """All rows of some files, typed as `load` says, in the files' order, repeats and all."""
    tables = [table for path in paths if (table := _read(path)) is not None]
    whole = pa.concat_tables(tables, promote_options="default") if tables else _types(FIXED).empty_table()
    frame: pd.DataFrame = whole.to_pandas()
    return frame


def labels(frame: pd.DataFrame) -> list[str]:
    """The columns of a table of windows or cells that are labels: the bundles' in their order, ``unknown`` last."""
    names = [str(name) for name in frame.columns if name not in (*FIXED, *OF_CELLS, UNKNOWN)]
    return names + [UNKNOWN] * (UNKNOWN in frame.columns)


def sites(root: Path) -> list[str]:
    """The sites that have rows in a store, in alphabetical order."""
    return sorted({path.name.removeprefix("site=") for path in root.glob("date=*/site=*")})


def _files(root: Path, since: datetime | None, until: datetime | None, site: str | None) -> Iterator[Path]:
    """The files that may hold windows of these days."""
    first, last = _utc_date(since, date.min), _utc_date(until, date.max)
    for folder in sorted(root.glob("date=*")):
        try:
            day = date.fromisoformat(folder.name.removeprefix("date="))
        except ValueError:
            continue  # not one of ours
        if first <= day <= last:
            yield from sorted(folder.glob(f"site={site or '*'}/counts-*.csv"))


def _utc_date(moment: datetime | None, otherwise: date) -> date:
    return otherwise if moment is None else moment.astimezone(timezone.utc).date()


def _read(path: Path) -> pa.Table | None:
    """One file up to its last line break; None while it has no row."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    if b"\n" not in whole:
        return None
    names = whole[: whole.index(b"\n")].decode(errors="replace").split(",")
    if tuple(names[: len(FIXED)]) != FIXED:
        raise StoreRefused(f"{path}: its first columns are not {', '.join(FIXED)}")
    try:
        types = csv.ConvertOptions(column_types=_types(names), null_values=[])
        return csv.read_csv(pa.py_buffer(whole), convert_options=types)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise StoreRefused(f"{path}: {error}") from error


def _types(names: Iterable[str]) -> pa.Schema:
    """What each column of a file holds; counts are float64, for they may be missing beside other label sets."""
    return pa.schema([(name, KINDS.get(name, pa.float64())) for name in names])
