"""What alerts remember over restarts: conditions, hours beyond thresholds, and messages that wait."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from base.durable_file import replace_file
from base.logs import line
from collector.alerts.changes import Held

MAX_WAITING = 200
"""Messages that wait for one webhook. Beyond it the oldest is dropped."""

_log = logging.getLogger(__name__)


class Waiting(Struct, frozen=True, kw_only=True):
    """A message that waits for a webhook."""

    url: str
    delivery: str
    """Id of the message, the same in each attempt."""
    body: str
    """JSON."""


class Memory(Struct, kw_only=True):
    """The content of the file."""

    schema: Literal[1] = 1
    held: dict[str, Held] = {}
    hours: dict[str, int] = {}
    """Consecutive hours beyond a threshold, by key of the condition."""
    last_hour: datetime | None = None
    """Start of the last hour that was compared with the thresholds, UTC."""
    waiting: list[Waiting] = []
    dropped: int = 0
    """Messages dropped because too many waited."""

    def add(self, waiting: Waiting) -> None:
        """Add a message; drop the oldest of its webhook if too many wait."""
        self.waiting.append(waiting)
        same = [each for each in self.waiting if each.url == waiting.url]
        if len(same) > MAX_WAITING:
            self.waiting.remove(same[0])
            self.dropped += 1
            _log.warning(
                line("alert_dropped", host=urlsplit(waiting.url).hostname, waiting=MAX_WAITING, dropped=self.dropped)
            )

    def save(self, path: Path) -> None:
        """Replace the file, on disk when this returns. Raises OSError."""
        replace_file(path, msgspec.json.encode(self), mode=0o600)


def read_memory(path: Path) -> Memory:
    """Read the file. A missing or damaged one remembers nothing; a damaged one is logged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except FileNotFoundError:
        return Memory()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.warning(line("alerts_forgotten", file=path, reason=error))
        return Memory()
