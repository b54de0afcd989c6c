"""Answer a counts query as JSON, CSV or Parquet."""

from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pandas as pd

from collector.analysis.intervals import Span
from collector.analysis.query import Reader
from collector.analysis.summarise import label_columns, summarise
from collector.api.answers import CountsAnswer, CountsQuery, Row
from collector.api.problems import Refused
from collector.exports.tables import format_table
from collector.store.columns import DOUBTFUL_COLUMNS

DEFAULT_SPAN = timedelta(days=7)
MAX_SPAN_BY_HOUR = timedelta(days=100)
MAX_SPAN = timedelta(days=1100)
BUCKET_FIELDS = {
    "hour": ("start",),
    "day": ("start",),
    "weekday": ("weekday",),
    "site": ("site",),
    "device": ("site", "device"),
}
"""Fields of `Row` that identify a bucket, in the order of the table's index."""
EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2000, 2200))
"""The store has no window outside these years, and datetime ends at the years 1 and 9999."""


def counts(reader: Reader, query: CountsQuery, default_zone: ZoneInfo, now: datetime) -> bytes:
    """Return the body of the response. Raises Refused with 400 for a span or zone that is not allowed."""
    span, zone = _span(query, now), _zone(query, default_zone)
    frame = reader.cells(span, zone, query.site)
    if query.device is not None:
        frame = frame[frame["device"] == query.device].reset_index(drop=True)
    table = summarise(frame, query.bucket, zone, span)
    if query.format == "csv":
        return format_table(table, "csv").encode()
    if query.format == "parquet":
        file = BytesIO()
        table.reset_index().to_parquet(file, index=False, engine="pyarrow")
        return file.getvalue()
    labels = label_columns(table)
    rows = [_row(query.bucket, bucket, figures, labels) for bucket, figures in _buckets(table)]
    body = CountsAnswer(
        since=span[0], until=span[1], zone=str(zone), bucket=query.bucket, labels=labels, rows=rows,
        notices=[str(damage) for damage in reader.damages()],
    )  # fmt: skip
    return msgspec.json.encode(body)


def _span(query: CountsQuery, now: datetime) -> Span:
    until = query.until or now
    if not EARLIEST <= until <= LATEST:
        raise Refused(400, f"until: must be from {EARLIEST.year} to {LATEST.year}, is {until.isoformat()}")
    since = query.since or until - DEFAULT_SPAN
    if not EARLIEST <= since <= LATEST:
        raise Refused(400, f"since: must be from {EARLIEST.year} to {LATEST.year}, is {since.isoformat()}")
    if since >= until:
        raise Refused(400, f"since: must be before until, is {since.isoformat()}; until is {until.isoformat()}")
    longest = MAX_SPAN_BY_HOUR if query.bucket == "hour" else MAX_SPAN
    if until - since > longest:
        raise Refused(
            400,
            f"since, until: must be at most {longest.days} days apart for bucket={query.bucket},"
            f" are {(until - since) / timedelta(days=1):.1f}",
        )
    return since.astimezone(timezone.utc), until.astimezone(timezone.utc)


def _zone(query: CountsQuery, default: ZoneInfo) -> ZoneInfo:
    if query.zone is None:
        return default
    try:
        return ZoneInfo(query.zone)
    except (KeyError, ValueError, OSError):
        raise Refused(
            400, f"zone: must be a name of the IANA time zone database such as Europe/Berlin, is {query.zone!r}"
        ) from None


def _buckets(table: pd.DataFrame) -> list[tuple[Any, dict[str, Any]]]:
    """Return the index entry and the figures of each bucket, None where a figure is unknown."""
    known = table.astype(object).where(table.notna(), None)
    figures = ({str(name): value for name, value in row.items()} for row in known.to_dict("records"))
    return list(zip(table.index, figures, strict=True))


def _row(by: str, bucket: Any, figures: dict[str, Any], labels: list[str]) -> Row:
    values = bucket if isinstance(bucket, tuple) else (bucket,)
    fields = dict(zip(BUCKET_FIELDS[by], values, strict=True))
    if "start" in fields:
        fields["start"] = fields["start"].to_pydatetime()
    doubtful = {name: figures[name] for name in DOUBTFUL_COLUMNS}
    if any(doubtful.values()):
        fields |= doubtful
    return Row(
        **fields,
        visits=figures["visits"],
        counts={label: figures[label] for label in labels},
        windows=int(figures["windows"]),
        coverage=figures["coverage"],
        degraded=figures["degraded"],
        seconds=float(figures["seconds"]),
    )
