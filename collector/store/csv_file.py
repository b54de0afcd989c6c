"""Read one CSV file of the store into an Arrow table, without lines that are no rows.

A file is first parsed as a whole and checked by column. Only if that fails is each line checked.
"""

from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from msgspec.structs import replace
from pyarrow import compute, csv

from collector.language.catalogue import mark
from collector.store.columns import DOUBTFUL_COLUMNS, INTEGER_COLUMNS, TEXT_COLUMNS, TIME_COLUMNS
from collector.store.damage import DamageCallback, Fault, file_damage, unreadable
from collector.store.rows import CLOCKS, END_YEAR, FIRST_YEAR, MAX_INTEGER, header_error, row_error
from contract.fields import LONGEST_WINDOW

FIRST_TIME, END_TIME = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (FIRST_YEAR, END_YEAR))
COLUMN_TYPES = (
    dict.fromkeys(INTEGER_COLUMNS, pa.int64())
    | dict.fromkeys(TIME_COLUMNS, pa.timestamp("us", "UTC"))
    | dict.fromkeys(TEXT_COLUMNS, pa.string())
    | dict.fromkeys(DOUBTFUL_COLUMNS, pa.int64())
    | {"coverage": pa.float64()}
)


class _Content(NamedTuple):
    """A file up to its last line break."""

    header: bytes
    rows: bytes

    @property
    def column_names(self) -> list[str]:
        return self.header.decode("latin-1").split(",")


def schema_of(names: Iterable[str]) -> pa.Schema:
    """Return the Arrow types of the columns of a file.

    Labels are float64, because a table of several files has missing counts where a file lacks a label.
    """
    return pa.schema([(name, COLUMN_TYPES.get(name, pa.float64())) for name in names])


def read_csv_file(path: Path, on_damage: DamageCallback) -> pa.Table | None:
    """Read the rows of a file; None if it has none. ``on_damage`` receives what is wrong with the file, or None."""
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
    except FileNotFoundError:
        return None  # deleted by retention
    except OSError as error:
        on_damage(path, unreadable(path, error))
        return None
    header, line_break, rows = whole.partition(b"\n")
    if not line_break:
        on_damage(path, None)
        return None
    return read_rows(path, header, rows, on_damage)


def read_rows(
    path: Path, header: bytes, rows: bytes, on_damage: DamageCallback, first_line: int = 2
) -> pa.Table | None:
    """Read some rows of a file, without their last line break; None if none can be used.

    ``first_line`` is the number of the first of them in the file. ``on_damage`` is as for `read_csv_file`.
    """
    content = _Content(header, rows)
    fault = header_error(content.column_names)
    if fault is not None:
        on_damage(path, file_damage(path, fault))
        return None
    try:
        table = _parse(content)
        if table.num_rows == rows.count(b"\n") + 1 and is_valid(table):
            on_damage(path, None)
            return table
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        pass  # some line is no row
    return _read_valid_rows(path, content, on_damage, first_line)


def _parse(content: _Content) -> pa.Table:
    """Parse a file; ArrowInvalid if a cell does not have the type of its column."""
    types = csv.ConvertOptions(column_types=schema_of(content.column_names), null_values=[])
    return csv.read_csv(pa.py_buffer(content.header + b"\n" + content.rows + b"\n"), convert_options=types)


def is_valid(table: pa.Table) -> bool:
    """Whether all values are within the bounds of `collector.store.rows.row_error`, checked by column."""
    start, end = table["start"].cast(pa.int64()), table["end"].cast(pa.int64())
    length_us = compute.min_max(compute.subtract(end, start)).as_py()
    integers = [name for name in table.column_names if name not in (*TEXT_COLUMNS, *TIME_COLUMNS, "coverage")]
    return bool(
        0 < length_us["min"] <= length_us["max"] <= LONGEST_WINDOW.total_seconds() * 1e6
        and compute.min(table["start"]).as_py() >= FIRST_TIME
        and compute.max(table["end"]).as_py() < END_TIME
        and _is_within(table["coverage"], 1)
        and all(_is_within(table[name], MAX_INTEGER) for name in integers)
        and set(compute.unique(table["clock"]).to_pylist()) <= CLOCKS
    )


def _is_within(values: pa.ChunkedArray, largest: int) -> bool:
    """Whether all values are from 0 to ``largest``, and none is missing or NaN."""
    if pa.types.is_floating(values.type) and not compute.all(compute.is_finite(values)).as_py():
        return False
    bounds = compute.min_max(values).as_py()
    return bool(values.null_count == 0 and bounds["min"] >= 0 and bounds["max"] <= largest)


def _read_valid_rows(path: Path, content: _Content, on_damage: DamageCallback, first_line: int) -> pa.Table | None:
    """Parse the lines of a file that are rows; report the number of the others and the first fault."""
    columns = len(content.column_names)
    rows, damaged, first_fault = [], 0, None
    for number, text in enumerate(content.rows.split(b"\n"), first_line):
        try:
            fault = row_error(text.decode(), columns)
        except UnicodeDecodeError:
            fault = Fault(mark("must be UTF-8"))
        if fault is None:
            rows.append(text)
            continue
        damaged, first_fault = damaged + 1, first_fault or replace(fault, line=number)
    try:
        table = _parse(_Content(content.header, b"\n".join(rows))) if rows else None
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        on_damage(path, file_damage(path, error))
        return None
    on_damage(path, file_damage(path, first_fault, damaged) if damaged else None)
    return table
