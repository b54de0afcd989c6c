"""waitress, with a limit on the time that one request or one answer may take.

waitress closes connections that are silent; one that sends a byte now and then it would keep for ever. It reads
requests and writes answers in one thread without blocking, so a slow client costs its connection, not a worker.
"""

import time
from typing import Any

from waitress.channel import HTTPChannel

ANSWER_FACTOR = 10
"""An answer may take so many times longer than a request: the page's scripts are some megabytes."""


class TimedChannel(HTTPChannel):  # type: ignore[misc]
    """A connection that is closed when a request or an answer is not through in time."""

    began_s = 0.0
    """When the first byte of the request came that is not complete."""
    answering_since_s = 0.0

    def received(self, data: bytes) -> bool:
        """As waitress; notes when a request begins."""
        if self.request is None:
            self.began_s = time.monotonic()
        return bool(super().received(data))

    def readable(self) -> bool:
        """As waitress, which asks each connection at least once a second."""
        now, limit_s = time.monotonic(), self.adj.channel_timeout
        if self.total_outbufs_len == 0:
            self.answering_since_s = now
        slow = self.request is not None and now - self.began_s > limit_s
        if slow or now - self.answering_since_s > ANSWER_FACTOR * limit_s:
            self.will_close = True
        return bool(super().readable())


def limits(connections: int, timeout_s: float) -> dict[str, Any]:
    """Settings of waitress: how many connections, how long one may be silent, how large a request may be."""
    return {
        "connection_limit": connections,
        "channel_timeout": timeout_s,
        "cleanup_interval": max(1, int(timeout_s / 4)),
        "max_request_body_size": 2**20,
        "max_request_header_size": 2**15,
        "inbuf_overflow": 2**16,
        "asyncore_use_poll": True,  # select() ends at file number 1024
        "ident": None,
    }
