"""The broker as operators see it: subscribe to all devices, and collect what they send."""

import logging
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from base.broker_settings import BrokerOptions
from base.logs import line
from contract.errors import BadMessage, TopicError
from contract.message import MAX_BYTES, MESSAGES, Message, decode
from contract.topics import Address, Kind, address, subscription
from fleet.errors import ToolFailed

MAX_WAITING = 100_000
CONNECT_LIMIT_S = 10.0
SLOWEST_RECONNECT_S = 20

Heard = tuple[Address, Message, bool]
"""Sender, message, and whether the broker had kept it from earlier."""

_log = logging.getLogger(__name__)


class Listener:
    """A connection to the broker that stays; it connects again by itself. Made by `listening`."""

    def __init__(self, options: BrokerOptions, kinds: tuple[Kind, ...]) -> None:
        self._kinds = kinds
        self._received: queue.Queue[tuple[str, bytes, bool]] = queue.Queue(MAX_WAITING)
        self._connected_since: float | None = None
        self._refused: str | None = None
        self.client = Client(CallbackAPIVersion.VERSION2)
        if options.username is not None:
            self.client.username_pw_set(options.username, options.password())
        if (context := options.tls_context()) is not None:
            self.client.tls_set_context(context)
        self.client.reconnect_delay_set(1, SLOWEST_RECONNECT_S)
        self.client.on_connect, self.client.on_disconnect = self._on_connect, self._on_disconnect
        self.client.on_message = self._on_message

    @property
    def connected_s(self) -> float:
        """Seconds since this connection stands; 0 while there is none."""
        since = self._connected_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def refused(self) -> str | None:
        """Why the broker refuses the login; None if it does not."""
        return self._refused

    def messages(self, limit_s: float) -> Iterator[Heard]:
        """Yield valid messages as they arrive, for so many seconds."""
        until = time.monotonic() + limit_s
        while (left := until - time.monotonic()) > 0:
            try:
                topic, payload, retained = self._received.get(timeout=left)
            except queue.Empty:
                return
            try:
                sender = address(topic)
                yield sender, decode(payload, MESSAGES[sender.kind]), retained
            except (BadMessage, TopicError):
                continue  # the collector sets it aside and counts it

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            return
        self._refused, self._connected_since = None, time.monotonic()
        client.subscribe([(subscription(kind), 1) for kind in self._kinds])

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._connected_since is not None and reason.is_failure:
            _log.warning(line("broker_lost", reason=reason))
        self._connected_since = None

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        if len(message.payload) <= MAX_BYTES and not self._received.full():
            self._received.put((message.topic, message.payload, message.retain))


@contextmanager
def listening(options: BrokerOptions, *kinds: Kind) -> Iterator[Listener]:
    """Connect, subscribe to kinds of messages of all devices, and disconnect at the end.

    Raise ToolFailed if the broker cannot be reached or refuses the login.
    """
    listener = Listener(options, kinds)
    where = f"broker {options.host}:{options.port}"
    client = listener.client
    client.connect_timeout = CONNECT_LIMIT_S
    try:
        client.connect(options.host, options.port, options.keepalive_s)
    except OSError as error:
        raise ToolFailed(f"{where}: {error}") from error
    client.loop_start()
    try:
        until = time.monotonic() + CONNECT_LIMIT_S
        while not listener.connected_s:
            if listener.refused or time.monotonic() > until:
                raise ToolFailed(f"{where}: {listener.refused or 'no answer'}")
            time.sleep(0.02)
        yield listener
    finally:
        client.disconnect()
        client.loop_stop()


def as_program(options: BrokerOptions, certificate: str, key: str) -> BrokerOptions:
    """Return the options with another program's certificate, if they have one at all."""
    if options.tls is None or options.tls.certificate is None:
        return options
    return replace(options, tls=replace(options.tls, certificate=certificate, key=key))
