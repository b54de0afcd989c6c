"""Publish a device's messages: spooled windows, status, model, health, shadow; receive receipts and its own status."""

import logging
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TextIO

from msgspec.structs import replace

from base.logs import line
from contract.errors import BadMessage
from contract.health import Health
from contract.message import Model, Shadow, Status, decode, encode
from contract.receipt import decode_receipt, stored_filter
from contract.topics import Kind, topic
from edge.delivery.broker_link import (
    Acknowledged,
    BrokerLink,
    ClientReplaced,
    Connected,
    Disconnected,
    Event,
    Refused,
    SubscriptionRefused,
)
from edge.delivery.duplicate_device import DuplicateDeviceDetector
from edge.delivery.incoming import Incoming, IncomingQueue
from edge.delivery.outbox import RESEND_S, Outbox
from edge.delivery.printer import Printer
from edge.delivery.rate_limit import RateLimit
from edge.delivery.spool import Spool
from edge.settings import BrokerSettings

log = logging.getLogger(__name__)
ANSWER_S = 1.0
"""Shortest interval between two answers to an ``offline`` of another boot, seconds."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who publishes."""

    site: str
    device: str
    boot: str
    """Random id of this start of the daemon."""


class Publisher:
    """Decides what is sent when. A window leaves the spool once it is confirmed (`edge.delivery.outbox`).

    ``rng`` draws the back-off. ``resend_s`` is the time after which an unconfirmed window is first sent again, seconds.
    Raise SettingsError if the password or a certificate cannot be read.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        identity: Identity,
        model: Model,
        rng: random.Random,
        resend_s: float = RESEND_S,
    ) -> None:
        self._identity, self._model = identity, model
        self._outbox = Outbox(settings.confirm, RateLimit(settings.drain_per_s), resend_s)
        self._incoming = IncomingQueue()
        self._duplicates = DuplicateDeviceDetector()
        self._shared_with: str | None = None
        self._shadow: bytes | None = None
        self._answer_due, self._answered = False, -math.inf
        self.acknowledged = 0
        """Number of messages that the broker has acknowledged."""
        receipts = [(stored_filter(identity.site, identity.device), 0)] if settings.confirm == "collector" else []
        self._filters = [(self._topic("status"), 1), *receipts]
        client_id = f"facetally:{identity.site}:{identity.device}"  # no id holds a colon
        will = (self._topic("status"), encode(self._state("offline")))
        self.link = BrokerLink(settings, client_id, will, self._incoming.put, rng)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self.link.connected

    @property
    def unconfirmed(self) -> int:
        """Number of windows that the broker acknowledged and that are still in the spool."""
        return self._outbox.unconfirmed

    def pump(self, spool: Spool) -> None:
        """Act on what happened since the last call, and send what waits. Never blocks on the network."""
        for event in self.link.events():
            self._act(event, spool)
        if not self.link.connected:
            return
        now = time.monotonic()
        for message in self._incoming.take():
            self._receive(message, spool, now)
        self._answer(now)
        self._outbox.delete_confirmed(spool, now)
        for number, payload in self._outbox.next_messages(spool, now):
            mid = self.link.publish(self._topic("counts"), payload)
            if mid is None:
                return
            self._outbox.sent(mid, number, payload, now)

    def health(self, health: Health) -> None:
        """Publish the state of the device; dropped while there is no broker, as the next one follows in a minute."""
        if self.link.connected:
            known = replace(health, shared_with=self._shared_with) if self._shared_with else health
            self.link.publish(self._topic("health"), encode(known), qos=0, retain=True)

    def shadow(self, shadow: Shadow | None) -> None:
        """Publish an agreement table if it has changed: now, and at each connection. None deletes the broker's."""
        payload = b"" if shadow is None else encode(shadow)
        changed, self._shadow = payload != self._shadow, payload
        if changed and self.link.connected:
            self._publish_shadow()

    def _publish_shadow(self) -> None:
        if self._shadow is not None:
            self.link.publish(self._topic("shadow"), self._shadow, retain=True)

    def close(self) -> None:
        """Publish that the device stops, and disconnect."""
        self.link.close(self._topic("status"), encode(self._state("stopping")))

    def _act(self, event: Event, spool: Spool) -> None:
        match event:
            case Connected():
                self._outbox.connected(spool, time.monotonic())
                self.link.subscribe(self._filters)
                self._publish_online()
                self.link.publish(self._topic("model"), encode(self._model), retain=True)
                self._publish_shadow()
            case Disconnected():
                self._outbox.disconnected()
            case ClientReplaced():
                self._outbox.client_replaced()
            case Acknowledged(mid):
                self.acknowledged += 1
                self._outbox.acknowledged(mid, time.monotonic())
            case Refused(mid, reason):
                if self._outbox.refuse(mid):
                    self.link.log_change("message_refused", reason)
            case SubscriptionRefused():  # without receipts no window would ever leave the spool
                filters = ", ".join(name for name, _ in self._filters)
                reason = f"the broker's rules must let this device read {filters}"
                self.link.log_change("subscription_refused", reason, logging.ERROR)

    def _receive(self, message: Incoming, spool: Spool, now: float) -> None:
        """Handle a receipt or a status of this device's ids."""
        try:
            if message.topic == self._topic("status"):
                self._receive_status(decode(message.payload, Status))
            elif message.payload:  # empty: a receipt that was deleted from the broker
                writer = message.topic.rpartition("/")[2]
                receipt = decode_receipt(message.payload)
                self._outbox.add_receipt(writer, receipt, spool, now, live=not message.retained)
        except BadMessage as error:
            self._incoming.reject(message.topic, str(error), now)

    def _receive_status(self, status: Status) -> None:
        """Answer an ``offline`` of another boot, which is a late will, and report a device with the same ids."""
        if status.boot == self._identity.boot:
            return
        self._answer_due |= status.state == "offline"
        if self._duplicates.observe(status.boot, self.link.connections):
            me, self._shared_with = self._identity, status.boot
            log.error(line("device_id_shared", site=me.site, device=me.device, by=status.boot))

    def _answer(self, now: float) -> None:
        """Publish ``online`` if an ``offline`` has to be answered."""
        if self._answer_due and now - self._answered >= ANSWER_S:
            self._answered, self._answer_due = now, False
            self._publish_online()

    def _publish_online(self) -> None:
        self.link.publish(self._topic("status"), encode(self._state("online")), retain=True)

    def _state(self, state: Literal["online", "stopping", "offline"]) -> Status:
        return Status(schema=1, state=state, boot=self._identity.boot)

    def _topic(self, kind: Kind) -> str:
        return topic(self._identity.site, self._identity.device, kind)


@contextmanager
def published(
    settings: BrokerSettings, identity: Identity, model: Model, stream: TextIO | None
) -> Iterator[Publisher | Printer]:
    """Open a publisher, or a printer if a stream is given; closed at the end."""
    publisher = Printer(stream) if stream else Publisher(settings, identity, model, random.Random())  # noqa: S311
    try:
        yield publisher
    finally:
        publisher.close()
