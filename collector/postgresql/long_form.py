"""Turn rows of a store file into the rows of the PostgreSQL tables, as CSV for COPY.

Rows that PostgreSQL could not hold are left out. Only a file that was changed by hand has any: the collector checks
messages before it stores them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv

from collector.store.columns import DOUBTFUL_COLUMNS, FIXED_COLUMNS, KEY_COLUMNS, TEXT_COLUMNS
from collector.store.rows import MAX_INTEGER
from contract.labels import UNKNOWN, labelset

COLUMNS = {
    "start": "start_time",
    "end": "end_time",
    **{name: name for name in (*FIXED_COLUMNS, *DOUBTFUL_COLUMNS) if name not in ("schema", "start", "end")},
}
"""Column of the table ``windows`` for each column of the store."""
MAX_NAME, MAX_TEXT = 64, 2000
"""Longest site, device and boot, and longest other text, characters. An index of PostgreSQL holds no longer keys."""


@dataclass(frozen=True, slots=True)
class LongForm:
    """Rows of one batch, each window once."""

    windows: bytes
    """CSV of the columns `window_columns`."""
    visits: bytes
    """CSV of the key, label and visits; labels without a visit are left out."""
    label_set: str
    labels: tuple[str, ...]
    """In order, with ``unknown`` last."""
    left_out: int
    """Rows that PostgreSQL could not hold."""
    rows: int
    """Rows of ``windows``."""


def window_columns() -> tuple[str, ...]:
    """Return the columns of ``windows`` in `LongForm.windows`."""
    return (*COLUMNS.values(), "label_set", "visits")


def long_form(table: pa.Table) -> LongForm:
    """Return the rows of one file in long form; ``table`` is of `collector.store.csv_file.schema_of`."""
    labels = [name for name in table.column_names if name not in (*FIXED_COLUMNS, *DOUBTFUL_COLUMNS)]
    labels = [name for name in labels if name != UNKNOWN] + [UNKNOWN] * (UNKNOWN in labels)
    storable = _storable(table, labels)
    kept = _once(table.filter(pa.array(storable)))
    counts = _matrix(kept, labels)
    name = labelset(sorted(label for label in labels if label != UNKNOWN))
    columns = {to: _column(kept, of) for of, to in COLUMNS.items()}
    columns["label_set"] = pa.array([name] * kept.num_rows, pa.string())
    columns["visits"] = pa.array(counts.sum(1).astype(np.int64))
    row, label = np.nonzero(counts)
    visits = {key: kept[key].take(pa.array(row)) for key in KEY_COLUMNS}
    visits["label"] = pa.array(np.array(labels, dtype=object)[label], pa.string())
    visits["visits"] = pa.array(counts[row, label].astype(np.int64))
    left_out = int(len(storable) - np.count_nonzero(storable))
    return LongForm(_csv(columns), _csv(visits), name, tuple(labels), left_out, kept.num_rows)


def _storable(table: pa.Table, labels: list[str]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which rows PostgreSQL can hold: text without NUL and not too long, sums that are exact."""
    good: np.ndarray[tuple[int], np.dtype[np.bool_]] = _matrix(table, labels).sum(1) <= MAX_INTEGER
    for name in TEXT_COLUMNS:
        longest = MAX_NAME if name in KEY_COLUMNS else MAX_TEXT
        text = table[name]
        has_nul = compute.match_substring(text, "\0").to_numpy(zero_copy_only=False)
        good &= ~has_nul & (compute.utf8_length(text).to_numpy() <= longest)
    return good


def _once(table: pa.Table) -> pa.Table:
    """Return the first row of each key."""
    numbered = table.append_column("_row", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(list(KEY_COLUMNS)).aggregate([("_row", "min")])["_row_min"]
    return table.take(first.sort())


def _matrix(table: pa.Table, labels: list[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Return the counts, (rows, labels)."""
    return np.stack([table[name].to_numpy() for name in labels], 1)


def _column(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    """Return a column, zeros where the file lacks it."""
    return table[name] if name in table.column_names else pa.array(np.zeros(table.num_rows, np.int64))


def _csv(columns: Mapping[str, pa.ChunkedArray | pa.Array]) -> bytes:
    buffer = pa.BufferOutputStream()
    csv.write_csv(pa.table(dict(columns)), buffer, csv.WriteOptions(include_header=False))
    return bytes(buffer.getvalue())
