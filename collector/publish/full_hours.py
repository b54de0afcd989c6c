"""Full hours of UTC."""

from datetime import datetime, timedelta, timezone

HOUR = timedelta(hours=1)


def hour_before(now: datetime) -> datetime:
    """Return the start of the last full hour of UTC."""
    return now.astimezone(timezone.utc).replace(minute=0, second=0, microsecond=0) - HOUR
