"""Spooled messages -> the broker; what a collector has confirmed leaves the spool."""

import contextlib
import logging
import math
import random
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from base.logs import line
from contract.errors import BadMessage
from contract.message import Health, Model, Status, decode, encode
from contract.receipt import decode_receipt, stored_filter
from contract.topics import topic
from edge.delivery.broker_check import authenticate
from edge.delivery.duplicate_device import DuplicateDeviceDetector
from edge.delivery.incoming import Incoming, IncomingQueue
from edge.delivery.mqtt_client import Client, bounded
from edge.delivery.outbox import AGAIN_S, Outbox
from edge.delivery.printer import Printer
from edge.delivery.rate_limit import IN_FLIGHT, RateLimit
from edge.delivery.spool import Spool
from edge.settings import BrokerSettings

log = logging.getLogger("edge.delivery.publish")
LONGEST_WAIT_S = 20.0
"""A broker that is back has to be noticed within half a minute, however long it was away."""
BACKOFF_S = 1.0
GIVEN_UP_MS = 15_000
"""Where nothing comes back, not even that bytes arrived (tcp(7), TCP_USER_TIMEOUT), the connection is given up; TCP by
itself would try again ever more rarely for a quarter of an hour, and so miss when the network is back."""
SILENCE_S = 5.0
REFUSALS = 2
"""So many connections closed without a word, and the other version of MQTT is tried."""
ANSWER_S = 1.0
"""An ``offline`` of another boot is answered at most so often."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who publishes: site, device, and the random id of this start."""

    site: str
    device: str
    boot: str


class Publisher:
    """One MQTT client: 5 if the broker speaks it, else 3.1.1. paho's thread only notes what happened; `pump` acts."""

    def __init__(
        self,
        settings: BrokerSettings,
        identity: Identity,
        model: Model,
        jitter: random.Random,
        again_s: float = AGAIN_S,
    ) -> None:
        self._settings, self._identity, self._model, self._jitter = settings, identity, model, jitter
        self._happened: deque[Callable[[Spool], None]] = deque()
        self._outbox = Outbox(settings.confirm, RateLimit(settings.drain_per_s), again_s)
        self._inbox = IncomingQueue()
        self._failures = 0
        self._silent = 0
        self._connections = 0
        self._namesakes = DuplicateDeviceDetector()
        self._answered, self._answer_due = -math.inf, False
        self._shared_with: str | None = None
        self._said: str | None = None
        self.connected = False
        self._opened: float | None = None
        self._protocol = MQTTProtocolVersion.MQTTv5
        self._client = self._make()

    def pump(self, spool: Spool) -> None:
        """Act on what happened since the last call, and send what waits. Never blocks on the network."""
        while self._happened:
            self._happened.popleft()(spool)
        if not self.connected:
            self._doubt_silence()
            return
        now = time.monotonic()
        for note in self._inbox.take():
            self._heard(note, spool, now)
        self._answer(now)
        self._outbox.let_go(spool, now)
        for number, payload in self._outbox.next(spool, now):
            sent = self._client.publish(self._topic("counts"), payload, qos=1)
            if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            self._outbox.sent(sent.mid, number, payload, now)

    def health(self, health: Health) -> None:
        """Publish how the device fares, and whether another has its name; lost if there is no broker, the next one
        comes in a minute.
        """
        if self.connected:
            told = msgspec.structs.replace(health, shared_with=self._shared_with) if self._shared_with else health
            self._client.publish(self._topic("health"), encode(told), qos=0, retain=True)

    def close(self) -> None:
        """Say that the device stops, and hang up."""
        if self.connected:
            with contextlib.suppress(RuntimeError):  # the broker went a moment ago
                self._status("stopping").wait_for_publish(2.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _make(self) -> mqtt.Client:
        """A client that connects in its own thread, and again with full jitter whenever it must."""
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"facetally:{self._identity.site}:{self._identity.device}",  # no id holds a colon
            protocol=self._protocol,
        )
        authenticate(client, settings)
        client.will_set(self._topic("status"), encode(self._state("offline")), qos=1, retain=True)
        client.max_inflight_messages_set(IN_FLIGHT)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_publish = self._on_publish
        client.on_socket_open = self._on_socket_open
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        self._back_off(client)
        said = bounded() if self._protocol == MQTTProtocolVersion.MQTTv5 else None
        client.connect_async(settings.host, settings.port, settings.keepalive_s, properties=said)
        client.loop_start()
        return client

    def _back_off(self, client: mqtt.Client) -> None:
        """Wait a random time up to twice as long as before (full jitter, Brooker 2015) before the next attempt."""
        longest = min(LONGEST_WAIT_S, BACKOFF_S * 2**self._failures)
        wait = max(0.1, self._jitter.uniform(0, longest))
        client.reconnect_delay_set(wait, wait)  # type: ignore[arg-type]  # paho only adds and compares it

    # paho's thread: note and return.

    def _on_connect(self, client: Any, _u: object, _f: object, reason: ReasonCode, _p: Properties | None) -> None:
        self._happened.append(lambda spool: self._connected(spool, client, reason))

    def _on_disconnect(self, client: Any, _u: object, _f: object, reason: ReasonCode, _p: Properties | None) -> None:
        self._back_off(client)
        self._happened.append(lambda spool: self._disconnected(client, str(reason)))

    def _on_socket_open(self, client: Any, _u: object, opened: Any) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GIVEN_UP_MS)
        self._opened = time.monotonic()

    def _on_connect_fail(self, client: Any, _u: object) -> None:
        """Within paho's own ``except``: what is wrong with a certificate, or with the way there, stands there only."""
        reason = str(sys.exc_info()[1] or "no connection")
        self._failures = min(self._failures + 1, 10)
        self._back_off(client)
        self._happened.append(lambda spool: self._say("broker_unreachable", reason))

    def _on_publish(self, client: Any, _u: object, mid: int, reason: ReasonCode, _p: Properties | None) -> None:
        self._happened.append(lambda spool: self._acknowledged(client, mid, reason))

    def _on_message(self, client: Any, _u: object, message: mqtt.MQTTMessage) -> None:
        self._inbox.put(Incoming(message.topic, bytes(message.payload), message.retain))

    def _on_subscribe(self, _c: Any, _u: object, _mid: int, reasons: list[ReasonCode], _p: Properties | None) -> None:
        if any(reason.is_failure for reason in reasons):
            self._happened.append(lambda spool: self._deaf())

    # The daemon's thread.

    def _connected(self, spool: Spool, client: mqtt.Client, reason: ReasonCode) -> None:
        """The broker answered: announce the device, or say why not."""
        if client is not self._client:
            return
        self._silent = 0
        if reason.is_failure:
            self._failures = min(self._failures + 1, 10)
            self._say("broker_refused", str(reason))
            if str(reason) == "Unsupported protocol version":
                self._other_protocol()
            return
        self.connected, self._failures, self._opened = True, 0, None
        self._connections += 1
        self._outbox.connected(spool, time.monotonic())
        version = "5" if self._protocol == MQTTProtocolVersion.MQTTv5 else "3.1.1"
        self._say("broker_connected", f"MQTT {version}", logging.INFO)
        client.subscribe(self._filters())
        self._status("online")
        client.publish(self._topic("model"), encode(self._model), qos=1, retain=True)

    def _disconnected(self, client: mqtt.Client, reason: str) -> None:
        """The connection is gone. One that ends before it was one may mean that the broker does not speak MQTT 5."""
        if client is not self._client:
            return
        self._opened = None
        if self.connected:
            self.connected = False
            self._outbox.disconnected()
            self._say("broker_lost", reason)
            return
        self._failures = min(self._failures + 1, 10)
        self._silent += 1
        if self._silent >= REFUSALS:
            self._say("broker_hangs_up", "without a word" + self._no_certificate())
            self._other_protocol()

    def _no_certificate(self) -> str:
        """In TLS 1.3 a client learns by being hung up on that its certificate is missed."""
        tls = self._settings.tls
        return ", as a broker does that wants a client certificate" if tls and tls.certificate is None else ""

    def _doubt_silence(self) -> None:
        """A broker that takes the connection and then says nothing may not speak this version of MQTT."""
        if self._opened is not None and time.monotonic() - self._opened > SILENCE_S:
            self._say("broker_silent", f"no answer within {SILENCE_S:g} s")
            self._other_protocol()

    def _other_protocol(self) -> None:
        """Start over with the other version; what was in flight is sent again, the collector drops repeats."""
        five = self._protocol == MQTTProtocolVersion.MQTTv5
        self._protocol = MQTTProtocolVersion.MQTTv311 if five else MQTTProtocolVersion.MQTTv5
        self._opened = None
        self._client.disconnect()
        self._client.loop_stop()
        self._outbox.restarted()
        self._silent = 0
        self._client = self._make()

    def _acknowledged(self, client: mqtt.Client, mid: int, reason: ReasonCode) -> None:
        """The broker has a message, or refused it, which it is offered again on the next connection."""
        if client is not self._client:
            return
        if not reason.is_failure:
            self._outbox.acknowledged(mid, time.monotonic())
        elif self._outbox.refuse(mid):
            self._say("message_refused", str(reason))

    def _filters(self) -> list[tuple[str, int]]:
        """What a device hears: its own status, and the receipts for it."""
        me = self._identity
        receipts = [(stored_filter(me.site, me.device), 0)] if self._settings.confirm == "collector" else []
        return [(self._topic("status"), 1), *receipts]

    def _deaf(self) -> None:
        """Without receipts no window would ever leave the spool."""
        filters = ", ".join(name for name, _ in self._filters())
        self._say("subscription_refused", f"the broker's rules must let this device read {filters}", logging.ERROR)

    def _heard(self, note: Incoming, spool: Spool, now: float) -> None:
        """A receipt, or a status under our own name."""
        try:
            if note.topic == self._topic("status"):
                self._heard_status(decode(note.payload, Status))
            elif note.payload:  # an empty one is a receipt that somebody has deleted from the broker
                writer = note.topic.rpartition("/")[2]
                self._outbox.stored(writer, decode_receipt(note.payload), spool, now, live=not note.retained)
        except BadMessage as error:
            self._inbox.bad(note.topic, str(error), now)

    def _answer(self, now: float) -> None:
        """Say that we are here, if somebody has said that we are not."""
        if self._answer_due and now - self._answered >= ANSWER_S:
            self._answered, self._answer_due = now, False
            self._status("online")

    def _heard_status(self, status: Status) -> None:
        """An ``offline`` of another boot is an old will that comes late: it is answered."""
        if status.boot == self._identity.boot:
            return
        self._answer_due |= status.state == "offline"
        if self._namesakes.heard(status.boot, self._connections):
            me, self._shared_with = self._identity, status.boot
            log.error(line("device_id_shared", site=me.site, device=me.device, by=status.boot))

    def _status(self, state: str) -> mqtt.MQTTMessageInfo:
        return self._client.publish(self._topic("status"), encode(self._state(state)), qos=1, retain=True)

    def _state(self, state: Any) -> Status:
        return Status(schema=1, state=state, boot=self._identity.boot)

    def _topic(self, kind: Any) -> str:
        return topic(self._identity.site, self._identity.device, kind)

    def _say(self, event: str, reason: str, level: int = logging.WARNING) -> None:
        """Log a change of state once, not each attempt."""
        if self._said != event + reason:
            self._said = event + reason
            log.log(level, line(event, host=self._settings.host, port=self._settings.port, reason=reason))


@contextmanager
def published(
    settings: BrokerSettings, identity: Identity, model: Model, stream: TextIO | None
) -> Iterator[Publisher | Printer]:
    """A publisher to the broker, or, where a stream is given, a printer to it; closed at the end."""
    publisher = Printer(stream) if stream else Publisher(settings, identity, model, random.Random())  # noqa: S311
    try:
        yield publisher
    finally:
        publisher.close()
