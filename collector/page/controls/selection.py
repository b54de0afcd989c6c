"""Values of the page's controls, checked and resolved to sites, a time span, what to compare with, and bucket lengths.

The address of the page holds the same values under the names of `PARAMETERS`, so that a view can be kept and shared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from collector.analysis.intervals import Span
from collector.analysis.summarise import HOUR_S
from collector.language.catalogue import mark
from collector.language.language import Language, chosen_language
from contract.labels import LABEL_PATTERN
from contract.topics import ID_PATTERN

CUSTOM = "own"
PERIODS = {
    "today": mark("Today"),
    "yesterday": mark("Yesterday"),
    "week": mark("This week"),
    "lastweek": mark("Last week"),
    "7": mark("Last 7 days"),
    "30": mark("Last 30 days"),
    "month": mark("This month"),
    "lastmonth": mark("Last month"),
    "365": mark("Last year"),
    "1": mark("Last 24 hours"),
    CUSTOM: mark("Custom dates"),
}
COMPARISONS = {
    "weekdays": mark("the same weekdays before"),
    "before": mark("the period just before"),
    "site": mark("another site"),
}
PARAMETERS = {
    "site": "sites",
    "period": "days",
    "first": "first",
    "last": "last",
    "compare": "against",
    "with": "other",
    "label": "label",
    "per": "by",
    "zone": "zone",
    "set": "set",
    "labels": "labels",
    "sort": "sort",
    "lang": "lang",
    "receipt": "receipt",
}
"""Parameter of the address: field of `ControlValues`."""
MAX_HOURLY = timedelta(days=32)
"""Longer spans are drawn by day: a year has 8,760 hours, more than a screen has points."""
MAX_SPAN = timedelta(days=3 * 366)
EARLIEST_YEAR = 2000
WEEK = timedelta(days=7)
CLOCK_CHANGE = timedelta(hours=1)
"""Seven days are an hour longer by the clock when clocks go forward."""
SHORTEST = timedelta(minutes=1)
"""At midnight, today is so long."""

Site = Annotated[str, Meta(pattern=ID_PATTERN)]
SiteOrNone = Annotated[str, Meta(pattern=rf"^$(?!\n)|{ID_PATTERN}")]
Label = Annotated[str, Meta(pattern=LABEL_PATTERN)]
LabelOrNone = Annotated[str, Meta(pattern=rf"^$(?!\n)|{LABEL_PATTERN}")]
Period = Literal["today", "yesterday", "week", "lastweek", "7", "30", "month", "lastmonth", "365", "1", "own"]
Sort = Annotated[str, Meta(pattern=r"^(site|visits|change|share|unknown|coverage)(-down)?$(?!\n)")]
Receipt = Literal["", "visits", "share", "unknown", "coverage"]


class ControlValues(Struct, frozen=True, kw_only=True):
    """Values of the page's controls as a browser sends them. They are checked, because anyone can send a request."""

    sites: tuple[Site, ...] = ()
    """Empty for all sites."""
    days: Period = "7"
    first: date | None = None
    last: date | None = None
    against: Literal["weekdays", "before", "site"] = "weekdays"
    other: SiteOrNone = ""
    """The site to compare with."""
    label: LabelOrNone = ""
    """Label of the share on the first screen; empty for the default."""
    by: Literal["hour", "day"] = "hour"
    zone: str = "UTC"
    set: Annotated[str, Meta(pattern=r"^([0-9a-f]{8})?$(?!\n)")] = ""
    """Label set; empty for the one with the most visits."""
    labels: tuple[Label, ...] = ()
    sort: Sort = "visits-down"
    receipt: Receipt = ""
    lang: Annotated[str, Meta(pattern=r"^([a-z]{2,3})?$(?!\n)")] = ""
    """Code of the language; empty for the page's own."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the page is to show."""

    sites: tuple[str, ...]
    """Empty for all sites."""
    span: Span
    zone: ZoneInfo
    step_s: int | None
    """Length of a bucket in seconds, None for a day."""
    controls: ControlValues
    """The values that it was resolved from."""

    def reference(self) -> "Selection":
        """Return the same for what it is compared with: an earlier period, or another site."""
        if self.controls.against == "site":
            return replace(self, sites=(self.controls.other,) if self.controls.other else ())
        since, until = (moment.astimezone(self.zone).replace(tzinfo=None) for moment in self.span)
        shift = until - since
        if self.controls.against == "weekdays":
            shift = max(-(-(shift - CLOCK_CHANGE) // WEEK), 1) * WEEK
        first, last = ((moment - shift).replace(tzinfo=self.zone) for moment in (since, until))
        return replace(self, span=(first.astimezone(timezone.utc), min(last.astimezone(timezone.utc), self.span[0])))

    @property
    def language(self) -> Language:
        """The language that the reader has chosen."""
        return chosen_language(self.controls.lang)


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
    return Selection(tuple(sorted(set(controls.sites))), span, zone, HOUR_S if hourly else None, controls)


def address(controls: ControlValues, **changed: Any) -> str:
    """Return the address of the page with these values and some changed; values that are the default are left out."""
    values = msgspec.structs.asdict(controls) | changed
    parts = {}
    for parameter, field in PARAMETERS.items():
        value = values[field]
        if value != _DEFAULTS[field] or field == "zone":
            parts[parameter] = ",".join(value) if isinstance(value, tuple) else str(value)
    return "?" + urlencode(parts, safe=",/")


_DEFAULTS = msgspec.structs.asdict(ControlValues())


def file_stem(sites: tuple[str, ...], period: str) -> str:
    """Return the name of a file without its ending; ``+``, which no site has, joins sites, and all have no name."""
    return "-".join(["facetally", *(["+".join(sites)] if sites else []), period])


def _span(controls: ControlValues, zone: ZoneInfo, now: datetime) -> Span:
    """Return the span of a period; it never ends after now."""
    if controls.days.isdecimal():
        since = now - timedelta(days=int(controls.days))
        whole = since.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(timezone.utc)
        return whole if whole == since else whole + timedelta(hours=1), now
    first, past = _days(controls, now.astimezone(zone).date())
    since, until = (datetime.combine(day, time(), zone).astimezone(timezone.utc) for day in (first, past))
    return since, max(min(until, now), since + SHORTEST)


def _days(controls: ControlValues, today: date) -> tuple[date, date]:
    """Return the first local day of a period and the day after its last."""
    day = timedelta(days=1)
    monday, first_of_month = today - today.weekday() * day, today.replace(day=1)
    named = {
        "today": (today, today + day),
        "yesterday": (today - day, today),
        "week": (monday, today + day),
        "lastweek": (monday - WEEK, monday),
        "month": (first_of_month, today + day),
        "lastmonth": ((first_of_month - day).replace(day=1), first_of_month),
    }
    if controls.days in named:
        return named[controls.days]
    gettext = chosen_language(controls.lang).gettext
    last = min(controls.last or today, today)
    first = controls.first or last - timedelta(days=6)
    if first.year < EARLIEST_YEAR:  # while a year is being typed it is 2 before it is 2026
        raise InvalidSelection(gettext("The first day must be in {year} or later.", year=EARLIEST_YEAR))
    if first > last:
        raise InvalidSelection(gettext("The first day must not be after the last day."))
    if last - first > MAX_SPAN:
        raise InvalidSelection(gettext("The period must be at most {days} days long.", days=MAX_SPAN.days))
    return first, last + day
