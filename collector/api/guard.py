"""Check rate limit and token of each API request."""

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
    """Who may ask, and how often."""

    token: str | None
    """None where every program on this machine may ask."""
    per_minute: int
    """Requests allowed of one user, or from one address."""
    _limiter: FixedWindowRateLimiter = field(default_factory=lambda: FixedWindowRateLimiter(MemoryStorage()))

    def check(self, request: Request) -> None:
        """Raise Refused with 429 or 401. The rate is checked first, so that a token cannot be guessed quickly."""
        rate = RateLimitItemPerMinute(self.per_minute)
        address = request.remote_user or request.remote_addr or "?"  # the user comes from `collector.access`
        if not self._limiter.hit(rate, address):
            wait_s = max(1, round(self._limiter.get_window_stats(rate, address).reset_time - time.time()))
            raise Refused(429, f"at most {self.per_minute} requests a minute", {"Retry-After": str(wait_s)})
        if self.token is not None and not self._has_token(request.headers.get("Authorization", "")):
            raise Refused(401, "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})

    def _has_token(self, header: str) -> bool:
        """Compare in constant time."""
        scheme, _, given = header.partition(" ")
        equal = hmac.compare_digest(given.strip().encode(), (self.token or "").encode())
        return scheme.lower() == "bearer" and equal
