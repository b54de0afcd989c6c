"""Values of the page's controls, checked and resolved to a site, a time span, a zone and a bucket length."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from collector.analysis.intervals import Span
from collector.analysis.summarise import HOUR_S
from contract.labels import LABEL_PATTERN
from contract.topics import ID_PATTERN

ALL_SITES = "*"
CUSTOM = "own"
PERIODS = {
    "1": "Last 24 hours",
    "7": "Last 7 days",
    "30": "Last 30 days",
    "365": "Last year",
    CUSTOM: "Custom dates",
}
MAX_HOURLY = timedelta(days=32)
"""Longer spans are drawn by day: a year has 8,760 hours, more than a screen has points."""
MAX_SPAN = timedelta(days=3 * 366)
EARLIEST_YEAR = 2000

Site = Annotated[str, Meta(pattern=rf"^\*$(?!\n)|{ID_PATTERN}")]
Label = Annotated[str, Meta(pattern=LABEL_PATTERN)]


class ControlValues(Struct, frozen=True, kw_only=True):
    """Values of the page's controls as a browser sends them. They are checked, because anyone can send a request."""

    site: Site = ALL_SITES
    days: Literal["1", "7", "30", "365", "own"] = "7"
    first: date | None = None
    last: date | None = None
    by: Literal["hour", "day"] = "hour"
    zone: str = "UTC"
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """What the page is to show."""

    site: str | None
    """None for all sites."""
    span: Span
    zone: ZoneInfo
    step_s: int | None
    """Length of a bucket in seconds, None for a day."""
    labels: tuple[str, ...] = ()
    """Labels to draw over time; empty for the most frequent."""

    def at(self, site: str | None) -> "Selection":
        """Return the same for another site."""
        return replace(self, site=site)

    def previous(self) -> "Selection":
        """Return the same for the period before this one, with as many local days and hours."""
        since, until = (moment.astimezone(self.zone).replace(tzinfo=None) for moment in self.span)
        earlier = (since - (until - since)).replace(tzinfo=self.zone).astimezone(timezone.utc)
        return replace(self, span=(earlier, self.span[0]))

    def __str__(self) -> str:
        since, until = (moment.astimezone(self.zone) for moment in self.span)
        return f"{self.site or 'all sites'}, {since:%-d %B %Y %H:%M} to {until:%-d %B %Y %H:%M} ({self.zone})"


class InvalidSelection(ValueError):
    """Control values that select nothing; the text is shown on the page."""


def resolve(values: Mapping[str, Any], now: datetime) -> Selection:
    """Return the selection that the controls' values stand for. Raises InvalidSelection."""
    given = {key: value for key, value in values.items() if value is not None}
    try:
        controls = msgspec.convert(given, ControlValues)
        zone = ZoneInfo(controls.zone)
        span = _span(controls, zone, now)
    except (ValueError, KeyError, OSError, OverflowError) as error:  # ZoneInfo raises all of them
        raise InvalidSelection(str(error)) from error
    hourly = controls.by == "hour" and span[1] - span[0] <= MAX_HOURLY
    site = None if controls.site == ALL_SITES else controls.site
    return Selection(site, span, zone, HOUR_S if hourly else None, controls.labels)


def _span(controls: ControlValues, zone: ZoneInfo, now: datetime) -> Span:
    """Return the last days, from a full hour up to now, or the whole local days selected."""
    if controls.days != CUSTOM:
        since = (now - timedelta(days=int(controls.days))).astimezone(zone).replace(minute=0, second=0, microsecond=0)
        return since.astimezone(timezone.utc), now
    today = now.astimezone(zone).date()
    last = min(controls.last or today, today)
    first = controls.first or last - timedelta(days=6)
    if first.year < EARLIEST_YEAR:  # while a year is being typed it is 2 before it is 2026
        raise InvalidSelection(f"The first day must be in {EARLIEST_YEAR} or later.")
    if first > last:
        raise InvalidSelection("The first day must not be after the last day.")
    if last - first > MAX_SPAN:
        raise InvalidSelection(f"The period must be at most {MAX_SPAN.days} days long.")
    midnights = (datetime.combine(day, time(), zone) for day in (first, last + timedelta(days=1)))
    since, until = (moment.astimezone(timezone.utc) for moment in midnights)
    return since, min(until, now)
