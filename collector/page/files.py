"""Tables of what is shown -> the bytes of a file to download: CSV, Excel or Parquet."""

from io import BytesIO

import pandas as pd

from collector.exports.tables import text

KINDS = {"csv": "CSV", "xlsx": "Excel", "parquet": "Parquet"}


def as_file(table: pd.DataFrame, over: pd.DataFrame, kind: str) -> bytes:
    """Visits of `collector.analysis.summarise.by_time` and shares of `collector.analysis.correction.shares_over` -> a file.

    Excel has a sheet of each, times as those of the wall clock, for it knows no zones. CSV and Parquet have the visits.
    """
    if kind == "csv":
        return text(table, "csv").encode()
    file = BytesIO()
    if kind == "parquet":
        table.reset_index().to_parquet(file, index=False, engine="pyarrow")
        return file.getvalue()
    with pd.ExcelWriter(file, engine="openpyxl") as book:
        for name, sheet in (("visits", table), ("shares", over)):
            flat = sheet.reset_index()
            flat["start"] = flat["start"].dt.tz_localize(None)
            flat.to_excel(book, sheet_name=name, index=False)
    return file.getvalue()
