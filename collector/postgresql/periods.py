"""Days, weeks and months of a time zone, for which shares are kept."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Literal, get_args
from zoneinfo import ZoneInfo

Kind = Literal["day", "week", "month"]
KINDS: tuple[Kind, ...] = get_args(Kind)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One day, week or month."""

    kind: Kind
    first: date
    """First day."""

    def span(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return start and end in UTC; the end is not part of the period."""
        return _midnight(self.first, zone), _midnight(_following(self.kind, self.first), zone)

    def has_whole_hours(self, zone: ZoneInfo) -> bool:
        """Whether start and end are hours of UTC, which zones such as Asia/Kolkata do not have."""
        return all(moment.minute == 0 for moment in self.span(zone))


def periods_of(hour: datetime, zone: ZoneInfo) -> set[Period]:
    """Return the periods that an hour touches."""
    days = {moment.astimezone(zone).date() for moment in (hour, hour + HOUR - timedelta(microseconds=1))}
    return {Period(kind, _first_day(kind, day)) for day in days for kind in KINDS}


def _first_day(kind: Kind, day: date) -> date:
    if kind == "month":
        return day.replace(day=1)
    return day if kind == "day" else day - timedelta(days=day.weekday())


def _following(kind: Kind, first: date) -> date:
    if kind == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=1 if kind == "day" else 7)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the start of a day in UTC. A midnight that clocks skip is the moment after the gap."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(timezone.utc)
