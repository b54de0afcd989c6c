"""What was chosen on the page -> sites, span, zone and bucket."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from collector.analysis.summarise import HOUR_S, Span
from contract.labels import LABEL_PATTERN
from contract.topics import ID_PATTERN

ALL = "*"
OWN = "own"
RANGES = {"1": "24 hours", "7": "7 days", "30": "30 days", "365": "a year", OWN: "own dates"}
HOURS_UP_TO = timedelta(days=32)
"""Longer ranges are drawn by day: a year has 8,760 hours, and no screen so many points."""
LONGEST = timedelta(days=3 * 366)
EARLIEST = 2000

Site = Annotated[str, Meta(pattern=rf"^\*$(?!\n)|{ID_PATTERN}")]
Label = Annotated[str, Meta(pattern=LABEL_PATTERN)]


class Asked(Struct, frozen=True, kw_only=True):
    """The values of the page's controls, as a browser sends them: checked, because anybody can send anything."""

    site: Site = ALL
    days: Literal["1", "7", "30", "365", "own"] = "7"
    first: date | None = None
    last: date | None = None
    by: Literal["hour", "day"] = "hour"
    zone: str = "UTC"
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """What the page is to show. ``site`` is None for all; ``step_s`` is a bucket's seconds, None for a day."""

    site: str | None
    span: Span
    zone: ZoneInfo
    step_s: int | None
    labels: tuple[str, ...] = ()

    def at(self, site: str | None) -> "Choice":
        """The same of another site."""
        return Choice(site, self.span, self.zone, self.step_s, self.labels)

    def before(self) -> "Choice":
        """The same of the range before this one, of as many local days and hours."""
        since, until = (moment.astimezone(self.zone).replace(tzinfo=None) for moment in self.span)
        earlier = (since - (until - since)).replace(tzinfo=self.zone).astimezone(timezone.utc)
        return Choice(self.site, (earlier, self.span[0]), self.zone, self.step_s, self.labels)

    def __str__(self) -> str:
        since, until = (moment.astimezone(self.zone) for moment in self.span)
        return f"{self.site or 'all sites'}, {since:%-d %B %Y %H:%M} to {until:%-d %B %Y %H:%M} ({self.zone})"


class NotAChoice(ValueError):
    """Values that no control of the page can have."""


def choose(asked: Mapping[str, Any], now: datetime) -> Choice:
    """The controls' values -> a choice; NotAChoice if they cannot be one."""
    known = {key: value for key, value in asked.items() if value is not None}
    try:
        told = msgspec.convert(known, Asked)
        zone = ZoneInfo(told.zone)
        span = _span(told, zone, now)
    except (ValueError, KeyError, OSError, OverflowError) as error:  # ZoneInfo has a tongue of its own
        raise NotAChoice(str(error)) from error
    hourly = told.by == "hour" and span[1] - span[0] <= HOURS_UP_TO
    return Choice(None if told.site == ALL else told.site, span, zone, HOUR_S if hourly else None, told.labels)


def _span(told: Asked, zone: ZoneInfo, now: datetime) -> Span:
    """The last days up to now from a full hour on, or whole local days."""
    if told.days != OWN:
        since = (now - timedelta(days=int(told.days))).astimezone(zone).replace(minute=0, second=0, microsecond=0)
        return since.astimezone(timezone.utc), now
    today = now.astimezone(zone).date()
    last = min(told.last or today, today)
    first = told.first or last - timedelta(days=6)
    if first.year < EARLIEST:
        raise NotAChoice(f"days from {EARLIEST} on")  # a year that is being typed is 2 before it is 2026
    if first > last:
        raise NotAChoice("the first day is after the last")
    if last - first > LONGEST:
        raise NotAChoice(f"at most {LONGEST.days} days at once")
    midnights = (datetime.combine(day, time(), zone) for day in (first, last + timedelta(days=1)))
    since, until = (moment.astimezone(timezone.utc) for moment in midnights)
    return since, min(until, now)
