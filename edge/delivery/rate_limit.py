"""Time -> how many of the messages that wait may be sent now."""

from dataclasses import dataclass

IN_FLIGHT = 20
"""Messages sent and not yet acknowledged: enough to drain a spool, few enough not to flood a broker."""


@dataclass(slots=True)
class RateLimit:
    """So many messages a second on the average, at most `IN_FLIGHT` at once (a token bucket)."""

    per_s: float
    _left: float = IN_FLIGHT
    _last: float | None = None

    def most(self, room: int, now: float) -> int:
        """How many of ``room`` messages may go at ``now``, seconds."""
        if self._last is not None:
            self._left = min(IN_FLIGHT, self._left + (now - self._last) * self.per_s)
        self._last = now
        return min(room, int(self._left))

    def spend(self, messages: int) -> None:
        """They go."""
        self._left -= messages
