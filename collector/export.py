"""Tables -> files and text for other programs: CSV, Parquet, JSON."""

import os
import sys
from pathlib import Path
from typing import Literal

import pandas as pd

from collector.load import labels
from contract.errors import SettingsError

Form = Literal["text", "json", "csv"]


def export(frame: pd.DataFrame, kind: Literal["csv", "parquet"], out: Path | None) -> None:
    """A table of `collector.load.load` -> one file, replaced as a whole; CSV on standard output if ``out`` is None.

    Labels become whole numbers, empty where the window's bundle had no such label. SettingsError if that cannot be
    written, or if Parquet is asked for and pyarrow is not installed.
    """
    table = frame.astype(dict.fromkeys(labels(frame), "Int64"))
    if kind == "csv":
        for name in ("start", "end"):
            table[name] = [moment.isoformat().replace("+00:00", "Z") for moment in table[name]]
        if out is None:
            table.to_csv(sys.stdout, index=False)
            return
    if out is None:
        raise SettingsError("--format parquet: needs --out FILE")
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        if kind == "csv":
            table.to_csv(draft, index=False)
        else:
            table.to_parquet(draft, index=False, engine="pyarrow")
        draft.replace(out)
    except ImportError:
        raise SettingsError("--format parquet: needs pyarrow (pip install pyarrow); --format csv does not") from None
    except OSError as error:
        raise SettingsError(f"--out {out}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def text(table: pd.DataFrame, form: Form) -> str:
    """A table of `collector.summarise` -> lines for a person, CSV, or JSON: a list of objects, null where unknown."""
    flat = table.reset_index()
    for name in flat.columns:
        if isinstance(flat[name].dtype, pd.DatetimeTZDtype):
            flat[name] = [moment.isoformat() for moment in flat[name]]
    if form == "json":
        return str(flat.to_json(orient="records", double_precision=6)) + "\n"
    if form == "csv":
        return str(flat.round(6).to_csv(index=False))
    return str(flat.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.6g}")) + "\n"
