"""Queue of messages that the broker sends to the device, bounded in memory, processor time and log lines.

A device receives its own status and the receipts of its collectors: about a message a minute. Whoever can publish
there, a copied card or a faulty broker, must not fill memory or log, nor keep the daemon from counting.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from base.logs import line

log = logging.getLogger(__name__)
MAX_WAITING = 64
"""Of more messages the oldest are dropped: a lost receipt is sent again, an old status is worthless."""
SLOW_DOWN_S = 0.005
"""Pause of the client's thread per message while the queue is full; TCP then holds the broker back."""
LOG_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """One received message."""

    topic: str
    payload: bytes
    retained: bool
    """Whether the broker had stored it before this device subscribed."""


@dataclass(slots=True)
class IncomingQueue:
    """`put` is called in the client's thread, all else in the daemon's."""

    _waiting: deque[Incoming] = field(default_factory=lambda: deque(maxlen=MAX_WAITING))
    _rejected: int = 0
    _logged: float | None = None

    def put(self, message: Incoming) -> None:
        """Append a message; slowly while the queue is full."""
        if len(self._waiting) >= MAX_WAITING:
            time.sleep(SLOW_DOWN_S)
        self._waiting.append(message)

    def take(self) -> Iterator[Incoming]:
        """Yield and remove at most `MAX_WAITING` messages, oldest first."""
        for _ in range(min(len(self._waiting), MAX_WAITING)):
            yield self._waiting.popleft()

    def reject(self, topic: str, reason: str, now: float) -> None:
        """Count an invalid message; log the count at most once a minute (``now``: monotonic seconds)."""
        self._rejected += 1
        if self._logged is None or now - self._logged >= LOG_EVERY_S:
            log.warning(line("bad_message", topic=topic, reason=reason, messages=self._rejected))
            self._logged, self._rejected = now, 0
