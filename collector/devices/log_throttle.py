"""Limit the log lines that devices can cause to one a minute per key."""

from collections.abc import Hashable
from datetime import datetime, timedelta

INTERVAL = timedelta(minutes=1)
MAX_KEYS = 10_000


class LogThrottle:
    """The time of the last log line of each key."""

    def __init__(self) -> None:
        self._last: dict[Hashable, datetime] = {}

    def allows(self, key: Hashable, now: datetime) -> bool:
        """Whether a line of this key may be logged now. If so, the next one may be logged after `INTERVAL`."""
        last = self._last.get(key)
        if last is not None and abs(now - last) < INTERVAL:
            return False
        self._last.pop(key, None)
        self._last[key] = now
        if len(self._last) > MAX_KEYS:
            del self._last[next(iter(self._last))]
        return True
