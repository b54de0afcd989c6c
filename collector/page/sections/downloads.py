"""Files to download from the page: CSV, Excel or Parquet."""

from io import BytesIO

import pandas as pd

from collector.exports.tables import format_table

FORMATS = {"csv": "CSV", "xlsx": "Excel", "parquet": "Parquet"}


def file_content(counts: pd.DataFrame, shares: pd.DataFrame, kind: str) -> bytes:
    """Return a file with `collector.analysis.summarise.by_time` and `collector.analysis.correction.shares_over`.

    Excel has one sheet of each, with local times without a zone, because Excel has no zones. CSV and Parquet have the
    counts only.
    """
    if kind == "csv":
        return format_table(counts, "csv").encode()
    file = BytesIO()
    if kind == "parquet":
        counts.reset_index().to_parquet(file, index=False, engine="pyarrow")
        return file.getvalue()
    with pd.ExcelWriter(file, engine="openpyxl") as book:
        for name, table in (("visits", counts), ("shares", shares)):
            flat = table.reset_index()
            flat["start"] = flat["start"].dt.tz_localize(None)
            flat.to_excel(book, sheet_name=name, index=False)
    return file.getvalue()
