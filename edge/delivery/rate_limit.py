"""Rate limit for the backlog of an outage: a token bucket."""

from dataclasses import dataclass

IN_FLIGHT = 20
"""Maximum number of messages sent and not yet acknowledged: enough to drain a spool, too few to flood a broker."""


@dataclass(slots=True)
class RateLimit:
    """At most ``per_s`` messages a second on average, and `IN_FLIGHT` at once."""

    per_s: float
    _tokens: float = IN_FLIGHT
    _last: float | None = None

    def allowed(self, room: int, now: float) -> int:
        """How many of ``room`` messages may be sent at ``now``, seconds."""
        if self._last is not None:
            self._tokens = min(IN_FLIGHT, self._tokens + (now - self._last) * self.per_s)
        self._last = now
        return min(room, int(self._tokens))

    def spend(self, messages: int) -> None:
        """Note that this many messages are sent."""
        self._tokens -= messages
