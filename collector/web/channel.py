"""waitress connections with a time limit for one request and one response.

waitress closes silent connections but keeps one that sends a byte now and then. It reads requests and writes responses
in one thread without blocking, so a slow client occupies a connection, not a worker thread.
"""

import time
from typing import Any

from waitress.channel import HTTPChannel

RESPONSE_FACTOR = 10
"""A response may take this many times longer than a request: the page's scripts are some megabytes."""


class TimedChannel(HTTPChannel):  # type: ignore[misc]
    """A connection that is closed when a request or a response takes too long."""

    request_began_s = 0.0
    """When the first byte of the incomplete request arrived."""
    response_began_s = 0.0

    def received(self, data: bytes) -> bool:
        """Note when a request begins, and pass the data on."""
        if self.request is None:
            self.request_began_s = time.monotonic()
        return bool(super().received(data))

    def readable(self) -> bool:
        """Close the connection if it is too slow; waitress calls this at least once a second."""
        now, limit_s = time.monotonic(), self.adj.channel_timeout
        if self.total_outbufs_len == 0:
            self.response_began_s = now
        slow = self.request is not None and now - self.request_began_s > limit_s
        if slow or now - self.response_began_s > RESPONSE_FACTOR * limit_s:
            self.will_close = True
        return bool(super().readable())


def waitress_limits(connections: int, timeout_s: float) -> dict[str, Any]:
    """Return waitress settings: number of connections, how long one may be silent, size of a request."""
    return {
        "connection_limit": connections,
        "channel_timeout": timeout_s,
        "cleanup_interval": max(1, int(timeout_s / 4)),
        "max_request_body_size": 2**20,
        "max_request_header_size": 2**15,
        "inbuf_overflow": 2**16,
        "asyncore_use_poll": True,  # select() supports file descriptors below 1024 only
        "ident": None,
    }
