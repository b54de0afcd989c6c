"""Rows of CSV in folders -> one DataFrame, each window once; what cannot be used is left out and reported."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import compute, csv

from collector.store.damage import Noted, log_damage, of_file
from collector.store.rows import (
    BEGIN_OF_TIME,
    CLOCKS,
    END_OF_TIME,
    FIXED,
    LARGEST,
    OPTIONAL,
    fault_of_header,
    fault_of_row,
)
from contract.labels import UNKNOWN
from contract.message import LONGEST_WINDOW

KEY = ["site", "device", "boot", "seq"]
WHOLE = ("schema", "seq", "merged", "privacy_k")
TIMES = ("start", "end")
TEXT = tuple(name for name in FIXED if name not in (*WHOLE, *TIMES, "coverage"))
OF_CELLS = ("begin", "windows", "seconds")
"""Columns that a table of `collector.store.cells.cells` has besides, and that are no labels."""
KINDS = (
    dict.fromkeys(WHOLE, pa.int64())
    | dict.fromkeys(TIMES, pa.timestamp("us", "UTC"))
    | dict.fromkeys(TEXT, pa.string())
    | dict.fromkeys(OPTIONAL, pa.int64())
    | {"coverage": pa.float64()}
)


NO_LABELS = frozenset((*FIXED, *OPTIONAL, *OF_CELLS, UNKNOWN))
FIRST, LAST = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (BEGIN_OF_TIME, END_OF_TIME))


def load(
    root: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    site: str | None = None,
    noted: Noted = log_damage,
) -> pd.DataFrame:
    """The windows of a store that start in ``[since, until)``, all if None; of one site if named.

    One row a window, ordered by start, site and device. ``start`` and ``end`` are datetimes in UTC, ``coverage`` is
    float64, `WHOLE` int64, `TEXT` str. `OPTIONAL` follow as int64 if a file has them, 0 for windows of files without
    them; then one float64 column a label, NaN where the window's bundle had no such
    label, which is not 0. Only folders of the days asked for are opened; a line that is being written is left out;
    repeats, such as two writers may have stored, are dropped by `KEY`. Rows and files that hold something else are left
    out, and ``noted`` is told of each file; by itself it logs them.
    """
    frame = read(_files(root, since, until, site), noted)
    if since is not None:
        frame = frame[frame["start"] >= since]
    if until is not None:
        frame = frame[frame["start"] < until]
    order = ["start", "site", "device", "boot", "seq"]
    columns = [name for name in (*FIXED, *OPTIONAL) if name in frame]
    keys = frame[order].drop_duplicates(KEY).sort_values(order)  # a store may have many labels: they are moved once
    once: pd.DataFrame = frame.loc[keys.index, [*columns, *labels(frame)]].reset_index(drop=True)
    return once


def read(paths: Iterable[Path], noted: Noted = log_damage) -> pd.DataFrame:
    """All rows of some files, typed as `load` says, in the files' order, repeats and all."""
    tables = [table for path in paths if (table := _read(path, noted)) is not None]
    whole = pa.concat_tables(tables, promote_options="default") if tables else _types(FIXED).empty_table()
    for name in OPTIONAL:
        if name in whole.column_names:
            whole = whole.set_column(whole.column_names.index(name), name, compute.fill_null(whole[name], 0))
    frame: pd.DataFrame = whole.to_pandas()
    return frame


def labels(frame: pd.DataFrame) -> list[str]:
    """The columns of a table of windows or cells that are labels: the bundles' in their order, ``unknown`` last."""
    names = [str(name) for name in frame.columns if name not in NO_LABELS]
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


def _read(path: Path, noted: Noted) -> pa.Table | None:
    """One file up to its last line break, without what cannot be used; None if nothing is left."""
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
    except FileNotFoundError:
        return None  # retention was faster
    except OSError as error:
        noted(path, of_file(path, error.strerror))
        return None
    if b"\n" not in whole:
        noted(path, None)
        return None
    head, _, body = whole.partition(b"\n")
    names = head.decode("latin-1").split(",")
    fault = fault_of_header(names)
    if fault is not None:
        noted(path, of_file(path, fault))
        return None
    try:
        table = _parse(head, body, names)
        if table.num_rows == body.count(b"\n") + 1 and _sound(table):
            noted(path, None)
            return table
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        pass  # some row is not what it must be: look at each
    return _without_faults(path, head, body, noted)


def _parse(head: bytes, body: bytes, names: list[str]) -> pa.Table:
    """A file's first line and its rows -> a table; ArrowInvalid if a cell is not of its column's type."""
    types = csv.ConvertOptions(column_types=_types(names), null_values=[])
    return csv.read_csv(pa.py_buffer(head + b"\n" + body + b"\n"), convert_options=types)


def _sound(table: pa.Table) -> bool:
    """Whether all values are such as `collector.store.rows` writes: what `collector.store.rows.fault_of_row` asks of each row."""
    start, end = table["start"].cast(pa.int64()), table["end"].cast(pa.int64())
    seconds = compute.min_max(compute.subtract(end, start)).as_py()
    coverage = table["coverage"]
    whole = [table[name] for name in table.column_names if name not in (*TEXT, *TIMES, "coverage")]
    return bool(
        0 < seconds["min"] <= seconds["max"] <= LONGEST_WINDOW.total_seconds() * 1e6
        and compute.min(table["start"]).as_py() >= FIRST
        and compute.max(table["end"]).as_py() < LAST
        and compute.all(compute.is_finite(coverage)).as_py()
        and _within(coverage, 1)
        and all(_within(values, LARGEST) for values in whole)
        and set(compute.unique(table["clock"]).to_pylist()) <= CLOCKS
    )


def _within(values: pa.ChunkedArray, most: int) -> bool:
    """Whether all are from 0 to the most, and none is missing."""
    if pa.types.is_floating(values.type) and not compute.all(compute.is_finite(values)).as_py():
        return False
    ends = compute.min_max(values).as_py()
    return bool(values.null_count == 0 and ends["min"] >= 0 and ends["max"] <= most)


def _without_faults(path: Path, head: bytes, body: bytes, noted: Noted) -> pa.Table | None:
    """The rows of a file that are rows; the others are counted, and the first is said."""
    names = head.decode("latin-1").split(",")
    kept, bad, first = [], 0, ""
    for number, row in enumerate(body.split(b"\n"), 2):
        try:
            fault = fault_of_row(row.decode(), len(names))
        except UnicodeDecodeError:
            fault = "not UTF-8"
        if fault is None:
            kept.append(row)
            continue
        bad, first = bad + 1, first or f"line {number}: {fault}"
    try:
        table = _parse(head, b"\n".join(kept), names) if kept else None
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        noted(path, of_file(path, error))
        return None
    noted(path, of_file(path, first, bad) if bad else None)
    return table


def _types(names: Iterable[str]) -> pa.Schema:
    """What each column of a file holds; counts are float64, for they may be missing beside other label sets."""
    return pa.schema([(name, KINDS.get(name, pa.float64())) for name in names])
