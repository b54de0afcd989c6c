"""A question about counts -> the bytes that answer it: JSON, CSV or Parquet."""

from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pandas as pd

from collector.analysis.query import Reader, counted
from collector.analysis.summarise import Span, summarise
from collector.api.answers import CountsAnswer, CountsQuery, Row
from collector.api.problems import Refused
from collector.exports.tables import text
from collector.store.columns import DOUBTFUL_COLUMNS

WEEK = timedelta(days=7)
LONGEST = {"hour": timedelta(days=100)}
LONGEST_OTHERWISE = timedelta(days=1100)
NAMES = {
    "hour": ("start",),
    "day": ("start",),
    "weekday": ("weekday",),
    "site": ("site",),
    "device": ("site", "device"),
}
"""What a row is of, in the order of the table's index."""
EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2000, 2200))
"""The store has no window outside these years, and calendars end at 1 and 9999."""


def counts(reader: Reader, asked: CountsQuery, zone: ZoneInfo, now: datetime) -> bytes:
    """The table asked for; ``zone`` is the one of hours and days if none is named.

    Refused with 400 for what cannot be.
    """
    span, zone = _span(asked, now), _zone(asked, zone)
    frame = reader.cells(span, zone, asked.site)
    if asked.device is not None:
        frame = frame[frame["device"] == asked.device].reset_index(drop=True)
    table = summarise(frame, asked.bucket, zone, span)
    if asked.format == "csv":
        return text(table, "csv").encode()
    if asked.format == "parquet":
        file = BytesIO()
        table.reset_index().to_parquet(file, index=False, engine="pyarrow")
        return file.getvalue()
    labels = counted(table)
    rows = [_row(asked.bucket, bucket, values, labels) for bucket, values in _rows(table)]
    told = CountsAnswer(
        since=span[0], until=span[1], zone=str(zone), bucket=asked.bucket, labels=labels, rows=rows,
        notices=[str(damage) for damage in reader.damages()],
    )  # fmt: skip
    return msgspec.json.encode(told)


def _span(asked: CountsQuery, now: datetime) -> Span:
    until = asked.until or now
    if not EARLIEST <= until <= LATEST:
        raise Refused(400, f"until: from {EARLIEST.year} to {LATEST.year}")
    since = asked.since or until - WEEK
    longest = LONGEST.get(asked.bucket, LONGEST_OTHERWISE)
    if not EARLIEST <= since < until <= LATEST:
        raise Refused(400, f"since, until: since is before until, both from {EARLIEST.year} to {LATEST.year}")
    if until - since > longest:
        raise Refused(400, f"since, until: at most {longest.days} days by {asked.bucket}")
    return since.astimezone(timezone.utc), until.astimezone(timezone.utc)


def _zone(asked: CountsQuery, otherwise: ZoneInfo) -> ZoneInfo:
    if asked.zone is None:
        return otherwise
    try:
        return ZoneInfo(asked.zone)
    except (KeyError, ValueError, OSError):
        raise Refused(400, f"zone {asked.zone!r}: a name of the IANA database, such as Europe/Berlin") from None


def _rows(table: pd.DataFrame) -> list[tuple[Any, dict[str, Any]]]:
    """Each bucket with its figures, None where nobody knows."""
    known = table.astype(object).where(table.notna(), None)
    figures = ({str(name): value for name, value in row.items()} for row in known.to_dict("records"))
    return list(zip(table.index, figures, strict=True))


def _row(by: str, bucket: Any, figures: dict[str, Any], labels: list[str]) -> Row:
    parts = bucket if isinstance(bucket, tuple) else (bucket,)
    named = dict(zip(NAMES[by], parts, strict=True))
    if "start" in named:
        named["start"] = named["start"].to_pydatetime()
    doubtful = {name: figures[name] for name in DOUBTFUL_COLUMNS}
    if any(doubtful.values()):
        named |= doubtful
    return Row(
        **named,
        visits=figures["visits"],
        counts={label: figures[label] for label in labels},
        windows=int(figures["windows"]),
        coverage=figures["coverage"],
        degraded=figures["degraded"],
        seconds=float(figures["seconds"]),
    )
