"""Log lines that a device can cause -> at most one a minute of each kind."""

from collections.abc import Hashable
from datetime import datetime, timedelta

EVERY = timedelta(minutes=1)
MOST = 10_000


class Throttle:
    """Which keys have had their line in this minute."""

    def __init__(self) -> None:
        self._last: dict[Hashable, datetime] = {}

    def may(self, key: Hashable, now: datetime) -> bool:
        """Whether a line of this key may be written now; if so, the next may be in a minute."""
        last = self._last.get(key)
        if last is not None and abs(now - last) < EVERY:
            return False
        self._last.pop(key, None)
        self._last[key] = now
        if len(self._last) > MOST:
            del self._last[next(iter(self._last))]
        return True
