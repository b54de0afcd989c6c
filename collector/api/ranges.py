"""The range and the zone of a query."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from collector.analysis.intervals import Span
from collector.api.problems import Refused

DEFAULT_SPAN = timedelta(days=7)
MAX_SPAN_BY_HOUR = timedelta(days=100)
MAX_SPAN = timedelta(days=1100)
EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2000, 2200))
"""The store has no window outside these years, and datetime ends at the years 1 and 9999."""


def span_of(since: str | None, until: str | None, by: Sequence[str], zone: ZoneInfo, now: datetime) -> Span:
    """Return the range of a query in UTC. Raises Refused with 400 if it is not allowed.

    Without ``until`` it ends with the last full minute, so that equal queries within a minute have one answer.
    """
    end = now.replace(second=0, microsecond=0) if until is None else _moment("until", until, zone)
    start = end - DEFAULT_SPAN if since is None else _moment("since", since, zone)
    if start >= end:
        raise Refused(400, f"since: must be before until, is {start.isoformat()}; until is {end.isoformat()}")
    hourly = "hour" in by and "weekday" not in by
    longest = MAX_SPAN_BY_HOUR if hourly else MAX_SPAN
    if end - start > longest:
        raise Refused(
            400,
            f"since, until: must be at most {longest.days} days apart for bucket={','.join(by)},"
            f" are {(end - start) / timedelta(days=1):.1f}",
        )
    return start.astimezone(timezone.utc), end.astimezone(timezone.utc)


def zone_of(name: str | None, default: ZoneInfo) -> ZoneInfo:
    """Return the zone of a query. Raises Refused with 400 if there is no such zone."""
    if name is None:
        return default
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Refused(
            400, f"zone: must be a name of the IANA time zone database such as Europe/Berlin, is {name!r}"
        ) from None


def _moment(name: str, text: str, zone: ZoneInfo) -> datetime:
    """Return the time of ``2026-03-29``, which begins at midnight of the zone, or ``2026-03-29T08:00Z``."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        moment = moment.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise Refused(400, f"{name}: must be a date or a time, is {text}: {error}") from error
    if not EARLIEST <= moment <= LATEST:
        raise Refused(400, f"{name}: must be from {EARLIEST.year} to {LATEST.year}, is {text}")
    return moment
