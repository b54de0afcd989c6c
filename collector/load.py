"""Rows of CSV in folders -> one DataFrame, each window once."""

from collections.abc import Iterator
from datetime import date, datetime, timezone
from io import BytesIO
from pathlib import Path

import pandas as pd

from collector.errors import StoreRefused
from collector.rows import FIXED
from contract.labels import UNKNOWN

KEY = ["site", "device", "boot", "seq"]
WHOLE = ("schema", "seq", "merged", "privacy_k")
TIMES = ("start", "end")
TEXT = tuple(name for name in FIXED if name not in (*WHOLE, *TIMES, "coverage"))


def load(
    root: Path, since: datetime | None = None, until: datetime | None = None, site: str | None = None
) -> pd.DataFrame:
    """The windows of a store that start in ``[since, until)``, all if None; of one site if named.

    One row a window, ordered by start, site and device. ``start`` and ``end`` are datetimes in UTC, ``coverage`` is
    float64, `WHOLE` int64, `TEXT` str; then one float64 column a label, NaN where the window's bundle had no such
    label, which is not 0. Only folders of the days asked for are opened; a line that is being written is left out;
    repeats, such as two writers may have stored, are dropped by `KEY`. StoreRefused if a file holds something else.
    """
    tables = [table for path in _files(root, since, until, site) if (table := _read(path)) is not None]
    if not tables:
        return _typed(pd.DataFrame(columns=list(FIXED)))
    frame = _typed(pd.concat(tables, ignore_index=True))
    if since is not None:
        frame = frame[frame["start"] >= since]
    if until is not None:
        frame = frame[frame["start"] < until]
    order = ["start", "site", "device", "boot", "seq"]
    once: pd.DataFrame = frame.drop_duplicates(KEY).sort_values(order, ignore_index=True)[[*FIXED, *labels(frame)]]
    return once


def labels(frame: pd.DataFrame) -> list[str]:
    """The columns of a table of windows that are labels: the bundles' in their order, ``unknown`` last."""
    names = [str(name) for name in frame.columns if name not in FIXED and name != UNKNOWN]
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


def _read(path: Path) -> pd.DataFrame | None:
    """One file up to its last line break; None while it has no row."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    if b"\n" not in whole:
        return None
    try:
        table = pd.read_csv(BytesIO(whole), dtype=dict.fromkeys((*TEXT, *TIMES), str), na_filter=False)
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise StoreRefused(f"{path}: {error}") from error
    if tuple(table.columns[: len(FIXED)]) != FIXED:
        raise StoreRefused(f"{path}: its first columns are not {', '.join(FIXED)}")
    return table


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    try:
        for name in TIMES:
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
        kinds = dict.fromkeys(WHOLE, "int64") | dict.fromkeys(["coverage", *labels(frame)], "float64")
        typed: pd.DataFrame = frame.astype(kinds)
    except (ValueError, TypeError) as error:
        raise StoreRefused(f"a value in the store: {error}") from error
    return typed
