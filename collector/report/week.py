"""Weeks and days that a report covers."""

import re
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from base.errors import SettingsError
from collector.page.controls.selection import InvalidSelection, Selection, resolve

WEEK = timedelta(days=7)
DAY = timedelta(days=1)
MAX_DAYS = 92
"""Longest report: more bars would not fit on a page."""
LAST = "last"
PATTERN = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)


def last_week(now: datetime, zone: ZoneInfo) -> date:
    """Return the Monday of the last week that has ended in the zone."""
    today = now.astimezone(zone).date()
    return today - today.weekday() * DAY - WEEK


def parse_week(text: str, now: datetime, zone: ZoneInfo) -> date:
    """Return the Monday of ``2026-W13`` or of ``last``. Raises SettingsError."""
    if text == LAST:
        return last_week(now, zone)
    found = PATTERN.fullmatch(text)
    try:
        if found:
            return date.fromisocalendar(int(found[1]), int(found[2]), 1)
    except ValueError:
        pass
    raise SettingsError(f"--week: must be a week such as 2026-W13, or last, is {text!r}")


def parse_day(option: str, text: str) -> date:
    """Return a day. Raises SettingsError, which names the option."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{option}: must be a day such as 2026-03-29, is {text!r}") from None


def select_days(first: date, last: date, sites: tuple[str, ...], zone: ZoneInfo, now: datetime) -> Selection:
    """Return the selection of some local days, compared with the same weekdays before. Raises SettingsError."""
    controls = {"days": "own", "first": first, "last": last, "sites": sites, "zone": str(zone)}
    if first > now.astimezone(zone).date():
        raise SettingsError(f"the first day of a report must not be after today, is {first}")
    if last - first >= MAX_DAYS * DAY:
        raise SettingsError(f"a report must cover at most {MAX_DAYS} days, covers {(last - first).days + 1}")
    try:
        return resolve(controls, now)
    except InvalidSelection as error:
        raise SettingsError(str(error)) from error


def select_week(monday: date, sites: tuple[str, ...], zone: ZoneInfo, now: datetime) -> Selection:
    """Return the selection of a week. Raises SettingsError."""
    return select_days(monday, monday + 6 * DAY, sites, zone, now)


def week_code(monday: date) -> str:
    """Return the ISO name of a week: ``2026-W13``."""
    year, week, _ = monday.isocalendar()
    return f"{year}-W{week:02}"
