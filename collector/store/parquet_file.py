"""Read and write the Parquet files of compacted days."""

import os
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from collector.language.catalogue import mark
from collector.store.columns import TEXT_COLUMNS, TIME_COLUMNS
from collector.store.csv_file import is_valid, schema_of
from collector.store.damage import DamageCallback, Fault, file_damage, unreadable
from collector.store.rows import header_error

COMPRESSION_LEVEL = 12
"""Of zstd. Higher levels take several times as long for one percent."""


def read_parquet_file(path: Path, on_damage: DamageCallback) -> pa.Table | None:
    """Read the rows of a file with the types of `schema_of`; None if that is not possible.

    Checksums of all pages are verified. ``on_damage`` receives what is wrong with the file, or None.
    """
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        fault = header_error(table.column_names)
        if fault is None:
            table = table.cast(schema_of(table.column_names))
            fault = None if is_valid(table) else Fault(mark("has values that no window can have"))
    except FileNotFoundError:
        return None  # deleted by retention
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # Arrow's own have no number
            on_damage(path, unreadable(path, error))
            return None
        fault = Fault.of("{reason}", reason=str(error).partition("\n")[0])
    on_damage(path, None if fault is None else file_damage(path, fault))
    return table if fault is None else None


def write_parquet_file(table: pa.Table, path: Path) -> None:
    """Write rows to a new file, on disk when this returns. Labels are stored as integers. Raises OSError."""
    stored = pa.schema(
        [
            (field.name, pa.int64() if pa.types.is_floating(field.type) and field.name != "coverage" else field.type)
            for field in table.schema
        ]
    )
    counted = [name for name in stored.names if name not in (*TEXT_COLUMNS, *TIME_COLUMNS, "seq")]
    with path.open("wb") as file:
        parquet.write_table(
            table.cast(stored),
            file,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=[*TEXT_COLUMNS, *counted],
            column_encoding=dict.fromkeys((*TIME_COLUMNS, "seq"), "DELTA_BINARY_PACKED"),
            write_page_checksum=True,
            write_statistics=[*TIME_COLUMNS, "device"],
            store_schema=False,
        )
        file.flush()
        os.fsync(file.fileno())
