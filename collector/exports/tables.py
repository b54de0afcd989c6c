"""Tables -> files and text for other programs: CSV, Parquet, Excel, JSON.

Names in the tables come from devices, and a spreadsheet may run a cell that begins like a formula. In CSV such a cell
gets an apostrophe before it, in Excel it is stored as text. Parquet and JSON are not changed.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import pandas as pd

from base.errors import SettingsError
from base.logs import discard_output
from collector.store.load import TEXT, TIMES, labels
from collector.store.rows import OPTIONAL

Form = Literal["text", "json", "csv"]
Kind = Literal["csv", "parquet", "excel"]
EXCEL_ROWS = 1_048_575
"""Rows of a sheet, but for the header."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that spreadsheets may take for a formula (OWASP, CSV injection)."""


def export(frame: pd.DataFrame, kind: Kind, out: Path | None) -> None:
    """A table of `collector.store.load.load` -> one file, replaced as a whole; CSV on standard output if ``out`` is None.

    Labels become whole numbers, empty where the window's bundle had no such label. SettingsError if that cannot be
    written, or if a package that it needs is not installed. Who reads standard output may stop before its end.
    """
    table = frame.astype(dict.fromkeys(labels(frame), "Int64"))
    if kind == "csv":
        for name in TIMES:
            table[name] = [moment.isoformat().replace("+00:00", "Z") for moment in table[name]]
        table = without_formulas(table)
    if out is None:
        if kind != "csv":
            raise SettingsError(f"--format {kind}: needs --out FILE")
        show(lambda stream: table.to_csv(stream, index=False))
        return
    if kind == "excel" and len(table) > EXCEL_ROWS:
        raise SettingsError(
            f"--format excel: {len(table)} windows, a sheet holds {EXCEL_ROWS}; csv and parquet hold all"
        )
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        WRITERS[kind](table, draft)
        draft.replace(out)
    except ImportError as error:
        raise SettingsError(f"--format {kind}: {error}; --format csv needs nothing") from error
    except OSError as error:
        raise SettingsError(f"--out {out}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """A table for CSV: text that begins like a formula begins with an apostrophe, in cells and in names of columns."""
    safe = table.copy(deep=False)
    for at, column in enumerate(table.dtypes):
        if pd.api.types.is_string_dtype(column):
            cells = table.iloc[:, at].astype("string")
            formulas = cells.str.startswith(FORMULA).fillna(False)
            if formulas.any():
                safe.isetitem(at, cells.where(~formulas, "'" + cells).to_numpy(object))
    return safe.rename(columns=lambda name: f"'{name}" if str(name).startswith(FORMULA) else name)


def show(write: Callable[[TextIO], object]) -> None:
    """Write to standard output; who reads it may stop before its end."""
    try:
        write(sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()


def _csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)


def _parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False, engine="pyarrow")


def _excel(table: pd.DataFrame, path: Path) -> None:
    """One sheet; times lose their zone, which Excel has not, and text that begins like a formula stays text."""
    plain = table.assign(**{name: table[name].dt.tz_localize(None) for name in TIMES})
    with path.open("wb") as file, pd.ExcelWriter(file, engine="openpyxl") as book:
        plain.to_excel(book, sheet_name="windows", index=False)
        sheet = book.sheets["windows"]
        for name in TEXT:
            for row in np.flatnonzero(plain[name].str.startswith(FORMULA)):
                sheet.cell(int(row) + 2, list(plain.columns).index(name) + 1).data_type = "s"


WRITERS: dict[Kind, Callable[[pd.DataFrame, Path], None]] = {"csv": _csv, "parquet": _parquet, "excel": _excel}


def text(table: pd.DataFrame, form: Form) -> str:
    """Write a table of `collector.analysis.summarise` as lines for a person, as CSV, or as JSON: a list of objects, null where
    unknown. Lines for a person have doubtful visits as a range, such as ``41 (38 to 45)``, in place of two columns.
    """
    flat = table.reset_index()
    for name in flat.columns:
        if isinstance(flat[name].dtype, pd.DatetimeTZDtype):
            flat[name] = [moment.isoformat() for moment in flat[name]]
    if form == "json":
        return str(flat.to_json(orient="records", double_precision=6)) + "\n"
    if form == "csv":
        return str(without_formulas(flat.round(6)).to_csv(index=False))
    if flat[list(OPTIONAL)].gt(0).any(axis=None):
        figures = flat[["visits", *OPTIONAL]].itertuples(index=False)
        flat["visits"] = [
            "-" if pd.isna(visits) else _brief(visits) + visits_range(visits, low, high, _brief)
            for visits, low, high in figures
        ]
    flat = flat.drop(columns=list(OPTIONAL))
    return str(flat.to_string(index=False, na_rep="-", float_format=_brief)) + "\n"


def visits_range(visits: float, low: float, high: float, form: Callable[[float], str]) -> str:
    """Return the range of visits of which ``low`` may be none and ``high`` may be two, such as ``" (38 to 45)"``; empty
    where ``form``, which writes a number, writes both ends alike.
    """
    first, last = form(visits - low), form(visits + high)
    return "" if first == last else f" ({first} to {last})"


def _brief(value: float) -> str:
    """``41.0`` -> ``"41"``: six digits at most."""
    return f"{value:.6g}"
