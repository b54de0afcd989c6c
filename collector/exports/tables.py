"""Export tables for other programs: CSV, Parquet, Excel, JSON, text.

Names in the tables come from devices, and a spreadsheet may run a cell that begins like a formula. In CSV such a cell
gets a leading apostrophe, in Excel it is stored as text. Parquet and JSON are not changed.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa

from base.errors import SettingsError
from base.logs import discard_output
from collector.store.columns import DOUBTFUL_COLUMNS
from collector.store.load import TEXT_COLUMNS, TIME_COLUMNS, labels

TextFormat = Literal["text", "json", "csv"]
FileFormat = Literal["csv", "parquet", "arrow", "excel"]
EXCEL_ROWS = 1_048_575
"""Rows of a sheet without the header."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make spreadsheets treat a cell as a formula (OWASP, CSV injection)."""


def export(frame: pd.DataFrame, kind: FileFormat, out: Path | None) -> None:
    """Write a table of `collector.store.load.load` to a file, replaced atomically, or to standard output.

    Label columns become whole numbers, empty where the window's bundle has no such label. Raises SettingsError if the
    file cannot be written, or if a package that the format needs is not installed. A closed standard output is no
    error.
    """
    table = frame.astype(dict.fromkeys(labels(frame), "Int64"))
    if kind == "csv":
        for name in TIME_COLUMNS:
            table[name] = [moment.isoformat().replace("+00:00", "Z") for moment in table[name]]
        table = without_formulas(table)
    if out is None:
        if kind != "csv":
            raise SettingsError(f"--format {kind}: --out FILE is required; only csv can go to standard output")
        write_stdout(lambda stream: table.to_csv(stream, index=False))
        return
    if kind == "excel" and len(table) > EXCEL_ROWS:
        raise SettingsError(
            f"--format excel: a sheet must have at most {EXCEL_ROWS:,} windows, the range has {len(table):,};"
            " use csv or parquet, or choose a shorter range with --since and --until"
        )
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        WRITERS[kind](table, draft)
        draft.replace(out)
    except ImportError as error:
        raise SettingsError(f"--format {kind}: {error}; --format csv needs no further package") from error
    except OSError as error:
        raise SettingsError(f"--out {out}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before text that begins like a formula, in cells and in column names."""
    safe = table.copy(deep=False)
    for at, column in enumerate(table.dtypes):
        if pd.api.types.is_string_dtype(column):
            cells = table.iloc[:, at].astype("string")
            formulas = cells.str.startswith(FORMULA_STARTS).fillna(False)
            if formulas.any():
                safe.isetitem(at, cells.where(~formulas, "'" + cells).to_numpy(object))
    return safe.rename(columns=lambda name: f"'{name}" if str(name).startswith(FORMULA_STARTS) else name)


def write_stdout(write: Callable[[TextIO], object]) -> None:
    """Write to standard output; a reader may close it early, as ``head`` does."""
    try:
        write(sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()


def format_table(table: pd.DataFrame, form: TextFormat) -> str:
    """Format a table of `collector.analysis.summarise` as text for a terminal, as CSV, or as a JSON list of objects.

    Unknown values are ``-`` in text, empty in CSV and null in JSON. Text shows doubtful visits as a range such as
    ``41 (38 to 45)`` instead of two columns.
    """
    flat = table.reset_index()
    for name in flat.columns:
        if isinstance(flat[name].dtype, pd.DatetimeTZDtype):
            flat[name] = [moment.isoformat() for moment in flat[name]]
    if form == "json":
        return str(flat.to_json(orient="records", double_precision=6)) + "\n"
    if form == "csv":
        return str(without_formulas(flat.round(6)).to_csv(index=False))
    doubtful = [name for name in DOUBTFUL_COLUMNS if name in flat]
    if doubtful and flat[doubtful].gt(0).any(axis=None):
        figures = flat[["visits", *DOUBTFUL_COLUMNS]].itertuples(index=False)
        flat["visits"] = [
            "-" if pd.isna(visits) else _six_digits(visits) + doubt_range(visits, low, high, _six_digits)
            for visits, low, high in figures
        ]
    flat = flat.drop(columns=doubtful)
    return str(flat.to_string(index=False, na_rep="-", float_format=_six_digits)) + "\n"


def doubt_range(visits: float, low: float, high: float, form: Callable[[float], str]) -> str:
    """Return the doubt range of visits with a leading space, such as ``" (38 to 45)"``.

    ``low`` visits may be part of another visit or nobody's, ``high`` may be two people's. Empty where ``form``, which
    formats a number, gives the same text for both ends.
    """
    first, last = form(visits - low), form(visits + high)
    return "" if first == last else f" ({first} to {last})"


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False, engine="pyarrow")


def _write_arrow(table: pd.DataFrame, path: Path) -> None:
    """Write an Arrow stream, as pyarrow, Polars and DuckDB read it."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    with path.open("wb") as file, pa.ipc.new_stream(file, arrow.schema) as writer:
        writer.write_table(arrow)


def _write_excel(table: pd.DataFrame, path: Path) -> None:
    """Write one sheet. Excel has no time zones, so times are UTC without one; formula-like text is typed as text."""
    plain = table.assign(**{name: table[name].dt.tz_localize(None) for name in TIME_COLUMNS})
    with path.open("wb") as file, pd.ExcelWriter(file, engine="openpyxl") as book:
        plain.to_excel(book, sheet_name="windows", index=False)
        sheet = book.sheets["windows"]
        for name in TEXT_COLUMNS:
            for row in np.flatnonzero(plain[name].str.startswith(FORMULA_STARTS)):
                sheet.cell(int(row) + 2, list(plain.columns).index(name) + 1).data_type = "s"


WRITERS: dict[FileFormat, Callable[[pd.DataFrame, Path], None]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "arrow": _write_arrow,
    "excel": _write_excel,
}


def _six_digits(value: float) -> str:
    """Format with at most six significant digits: ``41.0`` is ``"41"``."""
    return f"{value:.6g}"
