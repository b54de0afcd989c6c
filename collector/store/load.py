"""Load windows from the files of a store into one DataFrame; rows and files that cannot be used are left out.

Compacted days are Parquet files, the others CSV files.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import compute

from collector.store.columns import DOUBTFUL_COLUMNS, FIXED_COLUMNS, KEY_COLUMNS, TEXT_COLUMNS, TIME_COLUMNS
from collector.store.columns import label_columns as labels
from collector.store.csv_file import read_csv_file, schema_of
from collector.store.damage import DamageCallback, DamageReports, log_damage, unreadable_folder
from collector.store.file_names import counts_files
from collector.store.parquet_file import read_parquet_file
from collector.store.workers import ThisProcess, Workers

__all__ = ["TEXT_COLUMNS", "TIME_COLUMNS", "folders", "labels", "load", "overlaps", "read", "read_folders", "sites"]

ORDER = ("start", *KEY_COLUMNS)


def load(
    root: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    site: str | None = None,
    on_damage: DamageCallback = log_damage,
    workers: Workers | None = None,
) -> pd.DataFrame:
    """Load the windows of a store that start in ``[since, until)``, of one site if named.

    One row per window, ordered by start, site and device. Columns:

    - `FIXED_COLUMNS`: ``start`` and ``end`` in UTC, ``coverage`` float64, integers int64, text str.
    - `DOUBTFUL_COLUMNS`: int64, if a file has them; 0 for windows of other files.
    - one float64 column per label. NaN means that the window's bundle has no such label, 0 that it counted nobody.

    Only folders of the days asked for are opened. A line that is being written is ignored. Windows that two writers
    have stored are returned once. ``on_damage`` receives the damage of each file that was read, or None. ``workers``
    read the files; by default this process does.
    """
    tables: list[pa.Table] = []
    for found, reports in (workers or ThisProcess()).map(
        _read_folder, list(folders(root, since, until, site, on_damage))
    ):
        reports.pass_on(on_damage)
        tables += found
    frame = _joined(tables)
    if since is not None:
        frame = frame[frame["start"] >= since]
    if until is not None:
        frame = frame[frame["start"] < until]
    columns = [name for name in (*FIXED_COLUMNS, *DOUBTFUL_COLUMNS) if name in frame]
    # sorted by the key columns alone: a store may have many label columns, which are copied only once
    keys = frame[list(ORDER)].drop_duplicates(list(KEY_COLUMNS)).sort_values(list(ORDER))
    windows: pd.DataFrame = frame.loc[keys.index, [*columns, *labels(frame)]].reset_index(drop=True)
    return windows


def read(paths: Iterable[Path], on_damage: DamageCallback = log_damage) -> pd.DataFrame:
    """Read all rows of some files in the files' order, with the types of `load`; repeats are kept."""
    return _joined(_tables(paths, on_damage))


def read_folders(folders: Iterable[Path], enough: int, on_damage: DamageCallback) -> Iterator[pd.DataFrame]:
    """Read all rows of folders, as `read` does. Yields a table of whole folders whenever it has ``enough`` rows."""
    tables: list[pa.Table] = []
    for folder in folders:
        tables += _tables(files_of(folder, on_damage), on_damage)
        if sum(table.num_rows for table in tables) >= enough:
            yield _joined(tables)
            tables = []
    if tables:
        yield _joined(tables)


def _tables(paths: Iterable[Path], on_damage: DamageCallback) -> list[pa.Table]:
    """Read files that have rows."""
    readers = {".csv": read_csv_file, ".parquet": read_parquet_file}
    return [table for path in paths if (table := readers[path.suffix](path, on_damage)) is not None]


def _read_folder(folder: Path) -> tuple[list[pa.Table], DamageReports]:
    """Read the files of one day and site; also return what was reported of them."""
    reports = DamageReports()
    return _tables(files_of(folder, reports.note), reports.note), reports


def files_of(folder: Path, on_damage: DamageCallback) -> list[Path]:
    """Return the files of a folder of a day and site that hold windows; report the folder if it cannot be read."""
    try:
        return counts_files(folder)
    except OSError as error:
        on_damage(folder, unreadable_folder(folder.parent.parent, folder, error))
        return []


def _joined(tables: list[pa.Table]) -> pd.DataFrame:
    """Join the rows of files to one table."""
    table = pa.concat_tables(tables, promote_options="default") if tables else schema_of(FIXED_COLUMNS).empty_table()
    for name in DOUBTFUL_COLUMNS:
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, compute.fill_null(table[name], 0))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def sites(root: Path) -> list[str]:
    """Return the sites that have rows in a store, in alphabetical order."""
    return sorted({path.name.removeprefix("site=") for path in root.glob("date=*/site=*")})


def folders(
    root: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    site: str | None = None,
    on_damage: DamageCallback = log_damage,
) -> Iterator[Path]:
    """Yield the folders of a day and site that may hold windows of the range, in order.

    A day that cannot be read is left out and reported.
    """
    for folder in sorted(root.glob("date=*")):
        if overlaps(folder.name, since, until):
            try:
                found = _in_day(folder, site)
            except (FileNotFoundError, NotADirectoryError):
                continue  # deleted by retention, or not a folder of the store
            except OSError as error:
                on_damage(folder, unreadable_folder(root, folder, error))
                continue
            yield from found


def _in_day(day: Path, site: str | None) -> list[Path]:
    """Return the folders of the sites of a day, or of one site. Raises OSError."""
    if site is None:
        return sorted(path for path in day.iterdir() if path.name.startswith("site="))
    folder = day / f"site={site}"
    folder.stat()
    return [folder]


def overlaps(folder: str, since: datetime | None, until: datetime | None) -> bool:
    """Whether a folder of this name holds a day of the store that the range touches."""
    if not folder.startswith("date="):
        return False
    try:
        day = date.fromisoformat(folder.removeprefix("date="))
    except ValueError:
        return False  # not a folder of the store
    return _utc_date(since, date.min) <= day <= _utc_date(until, date.max)


def _utc_date(time: datetime | None, otherwise: date) -> date:
    return otherwise if time is None else time.astimezone(timezone.utc).date()
