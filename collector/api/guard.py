"""A request -> let through, or refused: too many, or without the token."""

import hmac
import time
from dataclasses import dataclass, field

from flask import Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from collector.api.problems import Refused


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may ask, and how often; ``token`` is None where anybody on this machine may."""

    token: str | None
    per_minute: int
    _seen: FixedWindowRateLimiter = field(default_factory=lambda: FixedWindowRateLimiter(MemoryStorage()))

    def check(self, request: Request) -> None:
        """Refused with 429 or 401. The rate comes first, so that a token cannot be guessed quickly."""
        rate, who = RateLimitItemPerMinute(self.per_minute), request.remote_addr or "?"
        if not self._seen.hit(rate, who):
            wait_s = max(1, round(self._seen.get_window_stats(rate, who).reset_time - time.time()))
            raise Refused(429, f"at most {self.per_minute} requests a minute", {"Retry-After": str(wait_s)})
        if self.token is not None and not self._knows(request.headers.get("Authorization", "")):
            raise Refused(401, "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})

    def _knows(self, header: str) -> bool:
        """Compared in a time that does not say how much of it was right."""
        kind, _, told = header.partition(" ")
        right = hmac.compare_digest(told.strip().encode(), (self.token or "").encode())
        return kind.lower() == "bearer" and right
