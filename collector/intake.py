"""A group of arrivals -> rows, device facts or dead letters, all on disk when it returns."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from collector.dead_letters import DeadLetters
from collector.devices import Devices
from collector.receipts import Receipts
from collector.settings import WRITER
from collector.store import Store
from contract.errors import BadMessage, TopicError
from contract.logs import line
from contract.message import MESSAGES, Counts, Status, decode
from contract.topics import address

_log = logging.getLogger(__name__)


class Arrival(NamedTuple):
    """What came on a topic; ``retained`` if the broker had kept it from earlier; ``mid`` and ``qos`` acknowledge it."""

    topic: str
    payload: bytes
    retained: bool = False
    mid: int = 0
    qos: int = 1


@dataclass(slots=True)
class Taken:
    """How many counts were stored, had been stored before, and how many messages were set aside."""

    rows: int = 0
    repeats: int = 0
    set_aside: int = 0


class Intake:
    """Where messages become rows. Knows no broker: arrivals go in, and what it has returned from is kept."""

    def __init__(
        self, store: Store, devices: Devices, dead_letters: DeadLetters, *, receipts: Receipts | None = None
    ) -> None:
        self.taken = Taken()
        self._receipts = receipts or Receipts(WRITER)
        self._store = store
        self._devices = devices
        self._dead_letters = dead_letters

    def take(self, arrivals: Iterable[Arrival], now: datetime) -> None:
        """Store a group; StoreFailed if it is not on disk. What is no message is set aside and disturbs nothing."""
        for arrival in arrivals:
            try:
                self._take_one(arrival, now)
            except (BadMessage, TopicError) as error:
                self.taken.set_aside += 1
                self._dead_letters.add(arrival.topic, arrival.payload, str(error), now)
                _log.warning(line("set_aside", topic=arrival.topic, reason=error, bytes=len(arrival.payload)))
        self._dead_letters.flush()
        self._store.flush()

    def save_devices(self) -> None:
        """Bring what is known of the devices to disk."""
        self._devices.save()

    def _take_one(self, arrival: Arrival, now: datetime) -> None:
        sender = address(arrival.topic)
        if not arrival.payload:
            return  # a retained message that somebody has deleted, or `facetally-edge check`
        message = decode(arrival.payload, MESSAGES[sender.kind])
        if isinstance(message, Counts):
            if (message.site, message.device) != (sender.site, sender.device):
                raise BadMessage(f"counts: says {message.site}/{message.device}, came as {sender.site}/{sender.device}")
            self._receipts.note(message)  # stored below or set aside: told after `take` has returned
            if self._store.add(message):
                self.taken.rows += 1
            else:
                self.taken.repeats += 1
        elif isinstance(message, Status) and message.state == "online":
            self._receipts.greet(sender.site, sender.device)
        self._devices.note(sender, message, arrival.retained, now)
