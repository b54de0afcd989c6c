"""Answer a counts query as JSON, CSV, Parquet or Arrow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pandas as pd
import pyarrow as pa

from collector.analysis.breakdown import break_down, check_dimensions
from collector.analysis.by_label import LABEL, per_label, with_shares
from collector.analysis.correction import SHARE_COLUMNS
from collector.analysis.intervals import Span
from collector.analysis.label_sets import LabelSet, with_label_set
from collector.analysis.summarise import device_count, label_columns
from collector.api.answers import CountsAnswer, CountsQuery, LabelSetAnswer, Row
from collector.api.paging import next_address
from collector.api.problems import Refused
from collector.api.ranges import span_of, zone_of
from collector.exports.tables import format_table
from collector.reading.reader import Reader
from collector.store.columns import DOUBTFUL_COLUMNS

MAX_ROWS = 1_000_000
"""Rows that a query may compute."""
MAX_CORRECTED = 400
"""Buckets whose shares a query may correct: each costs some milliseconds."""
HOUR = timedelta(hours=1)
BUCKET_LENGTHS = {"hour": HOUR, "day": 24 * HOUR, "week": 168 * HOUR, "month": 28 * 24 * HOUR}


@dataclass(frozen=True, slots=True)
class Answer:
    """Body of a response, and what its headers say."""

    body: bytes
    notices: int
    next: str | None
    """Address of the following rows."""
    total_rows: int


def counts(reader: Reader, query: CountsQuery, default_zone: ZoneInfo, now: datetime) -> Answer:
    """Return the answer. Raises Refused with 400 for parameters that do not fit, 404 for names that do not exist."""
    zone = zone_of(query.zone, default_zone)
    by, is_per_label = _dimensions(query)
    span = span_of(query.since, query.until, by, zone, now)
    frame, sets = _frame(reader, query, span, zone)
    _check_size(frame, by, span, corrected=query.corrected == "1")
    table = break_down(frame, by, zone, span)
    labels = label_columns(table)
    if is_per_label:
        table = per_label(table)
        if query.corrected == "1":
            table = with_shares(table, frame, lambda cells: break_down(cells, by, zone, span), reader.matrices())
    part = table.iloc[query.offset : query.offset + query.limit]
    following = next_address(query, len(table))
    notices = [str(damage) for damage in reader.damages()]
    if query.format != "json":
        return Answer(_as_file(part, query.format), len(notices), following, len(table))
    body = CountsAnswer(
        since=span[0], until=span[1], zone=str(zone), bucket=by[0], by=(*by, *([LABEL] if is_per_label else [])),
        labels=labels, label_sets=[LabelSetAnswer(label_set=s.name, labels=s.labels, visits=s.visits) for s in sets],
        rows=_rows(part, labels), total_rows=len(table), next=following, notices=notices,
    )  # fmt: skip
    return Answer(msgspec.json.encode(body), len(notices), following, len(table))


def _dimensions(query: CountsQuery) -> tuple[list[Any], bool]:
    """Return what a row stands for without ``label``, and whether there is a row per label."""
    asked = [*([query.bucket] if query.bucket else []), *(query.by or ())]
    is_per_label = LABEL in asked or query.corrected == "1"
    by = [name for name in asked if name != LABEL]
    if len(asked) - len(by) > 1:
        raise Refused(400, f"by: each name must be given once, is {','.join(asked)}")
    if not by:
        by = ["total" if is_per_label else "day"]
    try:
        check_dimensions(by)
    except ValueError as error:
        raise Refused(400, str(error)) from error
    return by, is_per_label


def _frame(reader: Reader, query: CountsQuery, span: Span, zone: ZoneInfo) -> tuple[pd.DataFrame, list[LabelSet]]:
    """Return the cells that the query asks for, and their label sets."""
    known = set(reader.sites())
    missing = [name for name in query.site or () if name not in known]
    if missing:
        raise Refused(404, f"site: there is no site {', '.join(missing)}; /api/v1/sites lists all")
    frame = reader.cells(span, zone, query.site or ())
    if query.device is not None:
        found = {*frame["device"].unique(), *(device.device for device in reader.devices())}
        missing = [name for name in query.device if name not in found]
        if missing:
            raise Refused(404, f"device: there is no device {', '.join(missing)}; /api/v1/devices lists all")
        frame = frame[frame["device"].isin(query.device)].reset_index(drop=True)
    chosen, sets = with_label_set(frame, query.label_set)
    names = ", ".join(f"{each.name} ({each})" for each in sets)
    if query.label_set is not None:
        if not sets or not sets[0].labels:
            raise Refused(
                404, f"label_set: must be one of this range, is {query.label_set}; there are: {names or 'none'}"
            )
        return chosen, sets[:1]
    if query.corrected == "1" and len(sets) > 1:
        raise Refused(400, f"label_set: must be given with corrected=1, because the range has {len(sets)}: {names}")
    return frame, sets


def _check_size(frame: pd.DataFrame, by: Sequence[str], span: Span, *, corrected: bool) -> None:
    """Raise Refused with 400 if the answer would be too long to compute."""
    lengths = [BUCKET_LENGTHS[name] for name in by if name in BUCKET_LENGTHS]
    buckets = 168 if "weekday" in by else int((span[1] - span[0]) / min(lengths)) + 1 if lengths else 1
    senders = device_count(frame) if "device" in by else frame["site"].nunique() if "site" in by else 1
    most = MAX_CORRECTED if corrected else MAX_ROWS
    if buckets * senders > most:
        raise Refused(
            400,
            f"since, until: must give at most {most:,} rows{' with corrected=1' * corrected}, before label, give"
            f" {buckets * senders:,} by {','.join(by)}",
        )


def _as_file(table: pd.DataFrame, kind: str) -> bytes:
    """Return a table as CSV, Parquet or an Arrow stream."""
    if "total" in table.index.names:
        table = table.droplevel("total") if table.index.nlevels > 1 else table.reset_index(drop=True)
    if kind == "csv":
        return format_table(table, "csv").encode()
    flat = table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
    file = BytesIO()
    if kind == "parquet":
        flat.to_parquet(file, index=False, engine="pyarrow")
        return file.getvalue()
    arrow = pa.Table.from_pandas(flat, preserve_index=False)
    with pa.ipc.new_stream(file, arrow.schema) as writer:
        writer.write_table(arrow)
    return file.getvalue()


def _rows(table: pd.DataFrame, labels: list[str]) -> list[Row]:
    """Return the rows of a table; None where a figure is unknown."""
    known = table.astype(object).where(table.notna(), None)
    names = [str(name) for name in table.index.names]
    keys = [table.index.get_level_values(at) for at in range(len(names))]
    return [
        _row(dict(zip(names, values, strict=True)), figures, labels)
        for *values, figures in zip(*keys, known.to_dict("records"), strict=True)
    ]


def _row(key: dict[str, Any], figures: dict[Any, Any], labels: list[str]) -> Row:
    fields = {name: value for name, value in key.items() if name in ("weekday", "site", "device", LABEL)}
    for name in BUCKET_LENGTHS:
        if name in key:
            fields |= {"hour": int(key[name])} if "weekday" in key else {"start": key[name].to_pydatetime()}
    if LABEL in key:
        fields |= {name: figures[name] for name in SHARE_COLUMNS[1:] if name in figures}
    else:
        fields["counts"] = {label: figures[label] for label in labels}
        doubtful = {name: figures[name] for name in DOUBTFUL_COLUMNS}
        fields |= doubtful if any(doubtful.values()) else {}
    return Row(
        **fields,
        visits=figures["visits"],
        windows=int(figures["windows"]),
        coverage=figures["coverage"],
        degraded=figures["degraded"],
        seconds=float(figures["seconds"]),
    )
