"""The MQTT connection to the broker: keep it open, and turn the client's callbacks into events for the daemon's thread.

MQTT 5 is used if the broker speaks it, else 3.1.1. paho's thread only queues what happened; the daemon's thread acts.
"""

import contextlib
import logging
import random
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from base.backoff import full_jitter
from base.logs import line
from edge.delivery.incoming import Incoming
from edge.delivery.mqtt_client import NAMES, V5, V311, WRONG_VERSION, Client, client, limits
from edge.delivery.rate_limit import IN_FLIGHT
from edge.settings import BrokerSettings

log = logging.getLogger(__name__)
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 20.0
"""Back-off before the next attempt: a broker that is back is noticed within half a minute, however long it was away."""
SHORTEST_WAIT_S = 0.1
MAX_FAILURES = 10
"""Failures are counted up to this; the back-off has reached its longest by then."""
UNACKNOWLEDGED_LIMIT_MS = 15_000
"""A connection on which the peer's TCP acknowledges nothing for this long is closed (tcp(7), TCP_USER_TIMEOUT). TCP
alone would retry ever more rarely for a quarter of an hour, and miss that the network is back."""
SILENCE_S = 5.0
"""A broker that accepts the connection and does not answer CONNECT for this long may not speak this version of MQTT."""
MAX_HANG_UPS = 2
"""After this many connections closed without an answer the other version of MQTT is tried."""
CLOSE_LIMIT_S = 2.0
"""Time limit for the last message before the connection is closed."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted the connection; subscriptions have to be made anew."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is lost."""


@dataclass(frozen=True, slots=True)
class ClientReplaced:
    """A new client speaks the other version of MQTT: message ids start again, and nothing is in flight."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has taken a message of QoS 1."""

    mid: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker has refused a message of QoS 1."""

    mid: int
    reason: str


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The broker has refused a subscription."""


Event = Connected | Disconnected | ClientReplaced | Acknowledged | Refused | SubscriptionRefused


class BrokerLink:
    """One MQTT client that reconnects by itself.

    ``will`` is topic and payload of the last will. ``received`` is called in paho's thread for every message. Raise
    SettingsError if the password or a certificate cannot be read.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        will: tuple[str, bytes],
        received: Callable[[Incoming], None],
        rng: random.Random,
    ) -> None:
        self._settings, self._client_id, self._will = settings, client_id, will
        self._received, self._rng = received, rng
        self._happened: deque[Callable[[], Event | None]] = deque()
        self._hang_ups = 0
        self._opened: float | None = None
        self._logged: str | None = None
        self._protocol = V5
        self.connected = False
        self.connections = 0
        """Number of connections that the broker has accepted so far."""
        self.failures = 0
        """Number of failed attempts since the last connection, at most `MAX_FAILURES`."""
        self.client = self._start()

    def events(self) -> Iterator[Event]:
        """Yield what happened since the last call, oldest first. Never blocks on the network."""
        while self._happened:
            if (event := self._happened.popleft()()) is not None:
                yield event
        if not self.connected and (replaced := self._check_silence()) is not None:
            yield replaced

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int | None:
        """Queue a message; return its id for `Acknowledged` and `Refused`, or None if the client cannot send now."""
        sent = self.client.publish(topic, payload, qos=qos, retain=retain)
        return sent.mid if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def subscribe(self, filters: Sequence[tuple[str, int]]) -> None:
        """Subscribe to topic filters, each with its QoS."""
        self.client.subscribe(list(filters))

    def close(self, topic: str, payload: bytes) -> None:
        """Publish a last message, retained, if connected; then disconnect."""
        if self.connected:
            with contextlib.suppress(RuntimeError):  # the connection was lost a moment ago
                self.client.publish(topic, payload, qos=1, retain=True).wait_for_publish(CLOSE_LIMIT_S)
        self.client.disconnect()
        self.client.loop_stop()

    def log_change(self, event: str, reason: str, level: int = logging.WARNING) -> None:
        """Log a change of state with the broker's address; a repetition of the last one is not logged."""
        if self._logged != event + reason:
            self._logged = event + reason
            log.log(level, line(event, host=self._settings.host, port=self._settings.port, reason=reason))

    def _start(self) -> Client:
        """Create a client that connects in its own thread, and reconnects with back-off."""
        settings = self._settings
        started = client(settings, self._client_id, self._protocol)
        topic, payload = self._will
        started.will_set(topic, payload, qos=1, retain=True)
        started.max_inflight_messages_set(IN_FLIGHT)
        started.on_connect = self._on_connect
        started.on_disconnect = self._on_disconnect
        started.on_connect_fail = self._on_connect_fail
        started.on_publish = self._on_publish
        started.on_socket_open = self._on_socket_open
        started.on_message = self._on_message
        started.on_subscribe = self._on_subscribe
        self._back_off(started)
        properties = limits() if self._protocol == V5 else None
        started.connect_async(settings.host, settings.port, settings.keepalive_s, properties=properties)
        started.loop_start()
        return started

    def _back_off(self, of: mqtt.Client) -> None:
        """Set the pause before the client's next attempt."""
        wait_s = max(SHORTEST_WAIT_S, full_jitter(self._rng, self.failures, FIRST_WAIT_S, LONGEST_WAIT_S))
        of.reconnect_delay_set(wait_s, wait_s)  # type: ignore[arg-type]  # paho only adds and compares it

    # Called in paho's thread.

    def _on_connect(self, of: Any, _u: object, _f: object, reason: ReasonCode, _p: Properties | None) -> None:
        self._happened.append(lambda: self._answered(of, reason.is_failure, str(reason)))

    def _on_disconnect(self, of: Any, _u: object, _f: object, reason: ReasonCode, _p: Properties | None) -> None:
        self._back_off(of)
        self._happened.append(lambda: self._disconnected(of, str(reason)))

    def _on_socket_open(self, _of: Any, _u: object, opened: Any) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_LIMIT_MS)
        self._opened = time.monotonic()

    def _on_connect_fail(self, of: Any, _u: object) -> None:
        """Called within paho's ``except``: only that exception says what is wrong with certificate or network."""
        reason = str(sys.exc_info()[1] or "no connection")
        self._count_failure()
        self._back_off(of)
        self._happened.append(lambda: self.log_change("broker_unreachable", reason))

    def _on_publish(self, of: Any, _u: object, mid: int, reason: ReasonCode, _p: Properties | None) -> None:
        event = Refused(mid, str(reason)) if reason.is_failure else Acknowledged(mid)
        self._happened.append(lambda: event if of is self.client else None)

    def _on_message(self, _of: Any, _u: object, message: mqtt.MQTTMessage) -> None:
        self._received(Incoming(message.topic, bytes(message.payload), message.retain))

    def _on_subscribe(self, _of: Any, _u: object, _mid: int, reasons: list[ReasonCode], _p: Properties | None) -> None:
        if any(reason.is_failure for reason in reasons):
            self._happened.append(SubscriptionRefused)

    # Called in the daemon's thread.

    def _answered(self, of: mqtt.Client, refused: bool, reason: str) -> Event | None:
        """The broker answered CONNECT."""
        if of is not self.client:
            return None
        self._hang_ups = 0
        if refused:
            self._count_failure()
            self.log_change("broker_refused", reason)
            return self._change_protocol() if reason == WRONG_VERSION else None
        self.connected, self.failures, self._opened = True, 0, None
        self.connections += 1
        self.log_change("broker_connected", f"MQTT {NAMES[self._protocol]}", logging.INFO)
        return Connected()

    def _disconnected(self, of: mqtt.Client, reason: str) -> Event | None:
        """The connection is closed. One that the broker never answered may mean that it does not speak this version."""
        if of is not self.client:
            return None
        self._opened = None
        if self.connected:
            self.connected = False
            self.log_change("broker_lost", reason)
            return Disconnected()
        self._count_failure()
        self._hang_ups += 1
        if self._hang_ups < MAX_HANG_UPS:
            return None
        self.log_change("broker_hangs_up", "without a word" + self._missing_certificate())
        return self._change_protocol()

    def _missing_certificate(self) -> str:
        """In TLS 1.3 a broker that requires a client certificate just hangs up on a client without one."""
        tls = self._settings.tls
        return ", as a broker does that wants a client certificate" if tls and tls.certificate is None else ""

    def _check_silence(self) -> Event | None:
        """Try the other version if the broker accepts the connection and does not answer CONNECT."""
        if self._opened is None or time.monotonic() - self._opened <= SILENCE_S:
            return None
        self.log_change("broker_silent", f"no answer within {SILENCE_S:g} s")
        return self._change_protocol()

    def _change_protocol(self) -> Event:
        """Replace the client by one that speaks the other version of MQTT."""
        self._protocol = V311 if self._protocol == V5 else V5
        self._opened = None
        self.client.disconnect()
        self.client.loop_stop()
        self._hang_ups = 0
        self.client = self._start()
        return ClientReplaced()

    def _count_failure(self) -> None:
        self.failures = min(self.failures + 1, MAX_FAILURES)
