"""Messages that the broker sends to a device -> a few at a time, whatever comes.

A device hears its own status and the receipts of its collectors: a message a minute. Who can write there, a copied card
or a broker gone wrong, must fill neither memory nor log, nor keep the daemon from counting.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from base.logs import line

log = logging.getLogger("edge.delivery.incoming")
MOST = 64
"""Messages that wait; of more the oldest are dropped. A lost receipt comes again, an old status is worth nothing."""
HELD_BACK_S = 0.005
"""How long the client's thread waits with each message while so many wait: TCP then holds the broker back."""
SAID_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message: its topic, its payload, and whether the broker had kept it from earlier."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(slots=True)
class IncomingQueue:
    """`put` is for the client's thread, the rest for the daemon's."""

    _notes: deque[Incoming] = field(default_factory=lambda: deque(maxlen=MOST))
    _bad: int = 0
    _said: float | None = None

    def put(self, note: Incoming) -> None:
        """Take one in; slowly, while there are too many."""
        if len(self._notes) >= MOST:
            time.sleep(HELD_BACK_S)
        self._notes.append(note)

    def take(self) -> Iterator[Incoming]:
        """At most `MOST` messages, oldest first."""
        for _ in range(min(len(self._notes), MOST)):
            yield self._notes.popleft()

    def bad(self, topic: str, reason: str, now: float) -> None:
        """One of them is no message: said at most once a minute (``now``: monotonic seconds), with how many came."""
        self._bad += 1
        if self._said is None or now - self._said >= SAID_EVERY_S:
            log.warning(line("bad_message", topic=topic, reason=reason, messages=self._bad))
            self._said, self._bad = now, 0
