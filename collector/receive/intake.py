"""Process groups of received messages: store rows, update devices, and set aside what is refused."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from base.logs import line
from collector.devices.clock_check import ClockAgreement, DeviceClocks
from collector.devices.device import Device
from collector.devices.log_throttle import LogThrottle
from collector.devices.registry import DeviceRegistry
from collector.errors import OverLimit
from collector.receive.admission import Admission
from collector.receive.dead_letters import DeadLetters
from collector.receive.receipts import Receipts
from collector.settings import WRITER, Limits
from collector.store.writer import StoreWriter
from contract.errors import BadMessage, TopicError
from contract.health import Health
from contract.message import MESSAGES, Counts, Message, Status, decode
from contract.topics import Address, address

MALFORMED = "malformed"
"""Reason of a dead letter that is no valid message. The other reasons are those of `collector.errors.OverLimit`."""
MAX_LOGGED_TOPIC, MAX_LOGGED_REASON = 200, 500
"""Characters."""

_log = logging.getLogger(__name__)


class ReceivedMessage(Struct, frozen=True, gc=False):  # the garbage collector need not follow a group of these
    """A message as the broker has delivered it."""

    topic: str
    payload: bytes
    retained: bool = False
    """Whether the broker had kept it from earlier."""
    packet_id: int = 0
    """MQTT packet identifier, which acknowledges it."""
    qos: int = 1


@dataclass(slots=True)
class IntakeTotals:
    """Messages since the start."""

    rows: int = 0
    """Windows that were stored."""
    repeats: int = 0
    """Windows that had been stored before."""
    set_aside: int = 0
    """Messages that were refused."""


class Intake:
    """Processes received messages, independent of the broker. What `process` has returned from is on disk."""

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
        self.totals = IntakeTotals()
        self.on_stored: Callable[[Counts], None] = lambda _counts: None
        """Called for each new window, which is on disk when `process` returns."""
        self._receipts = receipts or Receipts(WRITER)
        self._store = store
        self._devices = devices
        self._dead_letters = dead_letters
        self._admission = Admission(limits or Limits())
        self._device_clocks = DeviceClocks()
        self._monotonic = monotonic
        self._throttle = LogThrottle()
        self._unlogged = 0

    def process(self, messages: Iterable[ReceivedMessage], now: datetime) -> None:
        """Store a group of messages, on disk when this returns; StoreFailed if that is not possible.

        A message that is malformed or over a limit becomes a dead letter and does not affect the others.
        """
        monotonic_s = self._monotonic()
        for message in messages:
            sender = None
            try:
                sender = address(message.topic)
                self._process_one(sender, message, now, monotonic_s)
            except (BadMessage, TopicError) as error:
                self._set_aside(sender, message, error, now)
        self._dead_letters.flush()
        self._store.flush()

    def save_devices(self) -> None:
        """Save the device registry."""
        self._devices.save()

    def clock_agreement(self, now: datetime) -> ClockAgreement:
        """Compare the devices' clocks with ``now``, the time of this machine."""
        return self._device_clocks.agreement(now, self._monotonic(), len(self._devices))

    def _process_one(self, sender: Address, received: ReceivedMessage, now: datetime, monotonic_s: float) -> None:
        if not received.payload:
            return  # a deleted retained message, or `facetally-edge check`
        site, name = sender.site, sender.device
        self._admission.charge(site, name, len(received.payload), monotonic_s)
        device = self._devices.get(site, name)
        if device is None:
            self._admission.check_new_device(self._devices.site_size(site))
            device = self._devices.add(sender)
        message = decode(received.payload, MESSAGES[sender.kind])
        if not received.retained:
            self._read_clock(sender, message, monotonic_s)
        if isinstance(message, Counts):
            device = self._store_counts(sender, device, message, now)
        elif isinstance(message, Status) and message.state == "online":
            self._receipts.schedule(site, name)
        self._devices.record(sender, message, received.retained, now, device)

    def _store_counts(self, sender: Address, device: Device, counts: Counts, now: datetime) -> Device:
        """Store a window; return its device after admission."""
        if (counts.site, counts.device) != (sender.site, sender.device):
            raise BadMessage(
                f"counts: `site` and `device` must be those of the topic, {sender.site}/{sender.device},"
                f" are {counts.site}/{counts.device}"
            )
        try:
            admitted = self._admission.admit(device, counts, now, lambda: self.clock_agreement(now) == "contradicted")
        except OverLimit as error:
            # a window outside the limits is confirmed only if the clock is known to be right, so that it is not lost
            if error.limit != "dates" or self.clock_agreement(now) == "agreed":
                self._receipts.add(counts)
            raise
        self._receipts.add(counts)  # published after `process` has returned
        if self._store.add(counts):
            self.totals.rows += 1
            self.on_stored(counts)
            return replace(admitted, stored=admitted.stored.plus(counts))
        self.totals.repeats += 1
        return admitted

    def _read_clock(self, sender: Address, message: Message, monotonic_s: float) -> None:
        """Take the time of a live message whose device has a synchronised clock."""
        if isinstance(message, Counts) and message.clock == "synced":
            self._device_clocks.add((sender.site, sender.device), message.end, monotonic_s)
        elif isinstance(message, Health) and message.clock == "synced":
            self._device_clocks.add((sender.site, sender.device), message.time, monotonic_s)

    def _set_aside(self, sender: Address | None, message: ReceivedMessage, error: Exception, now: datetime) -> None:
        """Keep a refused message as a dead letter and count it; log at most one line a minute."""
        self.totals.set_aside += 1
        self._unlogged += 1
        self._devices.count_refused(sender, error.limit if isinstance(error, OverLimit) else MALFORMED)
        self._dead_letters.add(message.topic, message.payload, str(error), now)
        if self._throttle.allows("set_aside", now):
            _log.warning(
                line(
                    "set_aside",
                    topic=message.topic[:MAX_LOGGED_TOPIC],
                    reason=str(error)[:MAX_LOGGED_REASON],
                    bytes=len(message.payload),
                    messages=self._unlogged,
                )
            )
            self._unlogged = 0
