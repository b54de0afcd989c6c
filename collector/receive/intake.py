"""A group of arrivals -> rows, device facts or dead letters, all on disk when it returns."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from base.logs import line
from collector.devices.clock_check import Opinion, Witnesses
from collector.devices.device import Device
from collector.devices.registry import DeviceRegistry
from collector.errors import OverLimit
from collector.receive.admission import Admission
from collector.receive.dead_letters import DeadLetters
from collector.receive.log_throttle import Throttle
from collector.receive.receipts import Receipts
from collector.settings import WRITER, Limits
from collector.store.writer import StoreWriter
from contract.errors import BadMessage, TopicError
from contract.message import MESSAGES, Counts, Health, Message, Status, decode
from contract.topics import Address, address

MALFORMED = "malformed"
"""Why a message was set aside that is none; the other reasons are those of `collector.errors.OverLimit`."""

_log = logging.getLogger(__name__)


class ReceivedMessage(NamedTuple):
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
        self,
        store: StoreWriter,
        devices: DeviceRegistry,
        dead_letters: DeadLetters,
        limits: Limits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        receipts: Receipts | None = None,
    ) -> None:
        self.taken = Taken()
        self._receipts = receipts or Receipts(WRITER)
        self._store = store
        self._devices = devices
        self._dead_letters = dead_letters
        self._admission = Admission(limits or Limits())
        self._witnesses = Witnesses()
        self._monotonic = monotonic
        self._said = Throttle()
        self._unsaid = 0

    def take(self, arrivals: Iterable[ReceivedMessage], now: datetime) -> None:
        """Store a group; StoreFailed if it is not on disk. What is no message, or beyond a bound of its device, is set
        aside and disturbs nothing.
        """
        for arrival in arrivals:
            sender = None
            try:
                sender = address(arrival.topic)
                self._take_one(sender, arrival, now)
            except (BadMessage, TopicError) as error:
                self._set_aside(sender, arrival, error, now)
        self._dead_letters.flush()
        self._store.flush()

    def save_devices(self) -> None:
        """Bring what is known of the devices to disk."""
        self._devices.save()

    def clock(self, now: datetime) -> Opinion:
        """What the devices say of this machine's clock, which says ``now``."""
        return self._witnesses.opinion(now, self._monotonic(), len(self._devices))

    def _take_one(self, sender: Address, arrival: ReceivedMessage, now: datetime) -> None:
        if not arrival.payload:
            return  # a retained message that somebody has deleted, or `facetally-edge check`
        site, name, moment = sender.site, sender.device, self._monotonic()
        self._admission.charge(site, name, len(arrival.payload), moment)
        device = self._devices.known(site, name)
        if device is None:
            self._admission.newcomer(self._devices.of_site(site))
            device = self._devices.meet(sender)
        message = decode(arrival.payload, MESSAGES[sender.kind])
        if not arrival.retained:
            self._ask_time(sender, message, moment)
        if isinstance(message, Counts):
            device = self._store_one(sender, device, message, now)
        elif isinstance(message, Status) and message.state == "online":
            self._receipts.greet(site, name)
        self._devices.note(sender, message, arrival.retained, now, device)

    def _store_one(self, sender: Address, device: Device, counts: Counts, now: datetime) -> Device:
        """Put a window into the store -> its device, with what the window used of its bounds."""
        if (counts.site, counts.device) != (sender.site, sender.device):
            raise BadMessage(f"counts: says {counts.site}/{counts.device}, came as {sender.site}/{sender.device}")
        try:
            admitted = self._admission.counts(device, counts, now, lambda: self.clock(now) == "contradicted")
        except OverLimit as error:
            if error.limit != "dates" or self.clock(now) == "agreed":  # for good: it need not come again
                self._receipts.note(counts)
            raise
        self._receipts.note(counts)  # stored below or set aside: told after `take` has returned
        if self._store.add(counts):
            self.taken.rows += 1
        else:
            self.taken.repeats += 1
        return admitted

    def _ask_time(self, sender: Address, message: Message, moment: float) -> None:
        """Note what a live message says of the time, if its device believes its own clock."""
        if isinstance(message, Counts) and message.clock == "synced":
            self._witnesses.note((sender.site, sender.device), message.end, moment)
        elif isinstance(message, Health) and message.clock == "synced":
            self._witnesses.note((sender.site, sender.device), message.time, moment)

    def _set_aside(self, sender: Address | None, arrival: ReceivedMessage, error: Exception, now: datetime) -> None:
        """Keep a message as a dead letter and count it; the log has at most a line a minute."""
        self.taken.set_aside += 1
        self._unsaid += 1
        why = error.limit if isinstance(error, OverLimit) else MALFORMED
        self._devices.refuse(sender, why)
        self._dead_letters.add(arrival.topic, arrival.payload, str(error), now)
        if self._said.may("set_aside", now):
            size = len(arrival.payload)
            _log.warning(
                line("set_aside", topic=arrival.topic[:200], reason=str(error)[:500], bytes=size, messages=self._unsaid)
            )
            self._unsaid = 0
