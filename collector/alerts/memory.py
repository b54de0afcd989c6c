"""What alerts remember over restarts: conditions, hours beyond thresholds, and messages that wait."""

import logging
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from base.durable_file import replace_file
from base.logs import line
from collector.alerts.changes import Change, Held
from collector.alerts.conditions import Subject

MAX_WAITING = 50
"""Messages that wait for one receiver. Beyond it the oldest is dropped."""
MAX_CHANGES = 100
"""Changes in one message."""

_log = logging.getLogger(__name__)


class Destination(Struct, frozen=True, kw_only=True):
    """Where a message goes."""

    kind: Literal["webhook", "mail"]
    address: str
    """URL or mail address."""


class Waiting(Struct, frozen=True, kw_only=True):
    """A message that waits for its receiver."""

    destination: Destination
    id: str
    """The same in each attempt."""
    made: datetime
    """Time of the first of its changes, UTC."""
    changes: tuple[Change, ...]
    is_tried: bool = False
    """Whether the receiver may have it already; nothing is added then."""


class Run(Struct, frozen=True, kw_only=True):
    """Consecutive hours in which a figure was beyond its threshold."""

    subject: Subject
    hours: int


class Memory(Struct, frozen=True, kw_only=True):
    """The content of the file."""

    schema: Literal[1] = 1
    held: tuple[Held, ...] = ()
    runs: tuple[Run, ...] = ()
    last_hour: datetime | None = None
    """Start of the last hour that was compared with the thresholds, UTC."""
    waiting: tuple[Waiting, ...] = ()
    """The oldest first."""
    dropped: int = 0
    """Messages dropped because too many waited."""

    def add(
        self, destination: Destination, changes: Iterable[Change], now: datetime, new_id: Callable[[], str]
    ) -> "Memory":
        """Return the memory with changes for a receiver, the oldest of its messages dropped if too many wait.

        Changes join the newest message, unless that has been tried or is full.
        """
        rest, waiting = tuple(changes), list(self.waiting)
        same = [index for index, each in enumerate(waiting) if each.destination == destination]
        if same and not waiting[same[-1]].is_tried:
            last = waiting[same[-1]]
            room = MAX_CHANGES - len(last.changes)
            waiting[same[-1]] = replace(last, changes=last.changes + rest[:room])
            rest = rest[room:]
        for begin in range(0, len(rest), MAX_CHANGES):
            part = rest[begin : begin + MAX_CHANGES]
            waiting.append(Waiting(destination=destination, id=new_id(), made=now, changes=part))
        return replace(self, waiting=tuple(waiting))._bounded(destination)

    def _bounded(self, destination: Destination) -> "Memory":
        same = [each for each in self.waiting if each.destination == destination]
        excess = same[: max(len(same) - MAX_WAITING, 0)]
        if not excess:
            return self
        dropped = self.dropped + len(excess)
        _log.warning(line("alerts_dropped", to=destination.kind, waiting=MAX_WAITING, dropped=dropped))
        return replace(self, waiting=tuple(each for each in self.waiting if each not in excess), dropped=dropped)

    def next_for(self, destination: Destination) -> Waiting | None:
        """Return the oldest message for a receiver."""
        return next((each for each in self.waiting if each.destination == destination), None)

    def tried(self, message: Waiting) -> "Memory":
        """Return the memory in which a message has been tried."""
        marked = replace(message, is_tried=True)
        return replace(self, waiting=tuple(marked if each is message else each for each in self.waiting))

    def without(self, id: str) -> "Memory":
        """Return the memory without a message."""
        return replace(self, waiting=tuple(each for each in self.waiting if each.id != id))

    def only_for(self, destinations: Collection[Destination]) -> "Memory":
        """Return the memory without messages for receivers that are no longer configured."""
        return replace(self, waiting=tuple(each for each in self.waiting if each.destination in destinations))

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
