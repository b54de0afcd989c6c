"""Receive groups of messages from an MQTT broker, and acknowledge them once they are stored.

Nothing is read while a group is stored. So TCP and the receive maximum hold back a broker that sends faster than the
disk writes, and memory holds one group. Messages are acknowledged on the connection that they came by, or not at all:
the broker sends unacknowledged messages again.
"""

import logging
import select
import ssl
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from base.logs import line
from collector.receive.intake import ReceivedMessage
from collector.receive.mqtt_client import MAX_PACKET_BYTES, GroupClient, MessageCallback
from collector.settings import Broker
from contract.topics import KINDS, subscription

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
FIRST_MESSAGE_WAIT_S = 0.2
"""Longest wait for the first message of a group, and so for a stop to be noticed."""
NEXT_MESSAGE_WAIT_S = 0.005
"""A group ends when no message comes for so long. Some brokers send only twenty unacknowledged messages."""
CONNACK_TIMEOUT_S = 5.0
"""Some brokers do not answer: over TLS 1.3 to a client without certificate, or amqtt 0.12 to MQTT 5."""

_log = logging.getLogger(__name__)


class Connection:
    """One connection to a broker, as a context manager. The session at the broker outlives it.

    ``accepted`` is true after a successful CONNACK. ``ended`` says why the connection is over, None while it is not.
    ``wrong_protocol`` is true if the broker seems not to speak the MQTT version.
    """

    def __init__(self, broker: Broker, client_id: str, protocol: MQTTProtocolVersion) -> None:
        self.accepted = False
        self.ended: str | None = None
        self.wrong_protocol = False
        self._broker = broker
        self._protocol = protocol
        self._received: list[ReceivedMessage] = []
        self._client = _client(broker, client_id, protocol, self._on_plain_message)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._is_refusal_logged = False

    def __enter__(self) -> "Connection":
        self._connack_due_s = time.monotonic() + CONNACK_TIMEOUT_S
        v5_options: dict[str, Any] = {}
        if self._protocol == V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = self._broker.session_expiry_s
            properties.ReceiveMaximum = self._broker.in_flight
            properties.MaximumPacketSize = MAX_PACKET_BYTES
            v5_options = {"clean_start": False, "properties": properties}
        try:
            self._client.connect(self._broker.host, self._broker.port, self._broker.keepalive_s, **v5_options)
        except OSError as error:
            self.ended = str(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.on_disconnect = None
        self._client.disconnect()

    def receive(self, within_s: float) -> list[ReceivedMessage]:
        """Return the next group of messages, which may be empty.

        A group ends with the read that brings it to ``broker.in_flight`` messages. It also ends when none comes for
        `NEXT_MESSAGE_WAIT_S`, or when its first message has waited for ``within_s``.
        """
        self._step(FIRST_MESSAGE_WAIT_S)
        due_s = time.monotonic() + within_s
        before = 0
        while before < len(self._received) < self._broker.in_flight and time.monotonic() < due_s and self.ended is None:
            before = len(self._received)
            self._step(NEXT_MESSAGE_WAIT_S)
        group, self._received = self._received, []
        return group

    def acknowledge(self, group: list[ReceivedMessage]) -> None:
        """Acknowledge messages that are on disk. The broker sends those again whose acknowledgement is lost."""
        self._client.acknowledge([message.packet_id for message in group if message.qos == 1])

    @property
    def has_sent_all(self) -> bool:
        """Whether the broker has read all that was sent, so that output to a slow broker does not fill the memory."""
        return self.accepted and self.ended is None and not self._client.want_write()

    def publish_receipts(self, receipts: Iterable[tuple[str, bytes]]) -> None:
        """Publish receipts, as topic and payload, at QoS 0: a lost receipt costs a repeat."""
        self._client.publish_group(receipts)

    def publish_retained(self, messages: Iterable[tuple[str, bytes]]) -> list[MQTTMessageInfo]:
        """Publish messages, as topic and payload, at QoS 1. Each answer says whether the broker has acknowledged it."""
        return [self._client.publish(topic, payload, qos=1, retain=True) for topic, payload in messages]

    def _step(self, wait_s: float) -> None:
        """Wait for the socket, read and write what is possible, and keep the connection alive."""
        sock = self._client.socket()
        if sock is None:
            self.ended = self.ended or "connection closed"
            return
        if not self.accepted and time.monotonic() > self._connack_due_s:
            self.ended = f"no answer to CONNECT in {CONNACK_TIMEOUT_S:g} s"
            self.wrong_protocol = True
            return
        is_buffered = self._client.has_read_ahead or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)
        writing = [sock] if self._client.want_write() else []
        readable, writable, _ = select.select([sock], writing, [], 0 if is_buffered else wait_s)
        if readable or is_buffered:
            self._read()
        if writable:
            self._client.loop_write()
        self._client.loop_misc()

    def _read(self) -> None:
        """Read messages until there are none, or ``broker.in_flight`` of them.

        More stay in the socket: Mosquitto 2.0.11 without a limit on its queue ignores the receive maximum.
        """
        before = -1
        while before < len(self._received) < self._broker.in_flight and self._client.socket() is not None:
            before = len(self._received)
            self._client.loop_read()

    def _on_connect(
        self, client: Client, _data: object, flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.ended = f"refused: {reason}"
            self.wrong_protocol = "protocol version" in str(reason).lower()
            return
        self.accepted = True
        session = "resumed" if flags.session_present else "new"
        protocol = "5" if self._protocol == V5 else "3.1.1"
        _log.info(line("connected", host=self._broker.host, port=self._broker.port, mqtt=protocol, session=session))
        client.subscribe([(topic_filter, 1) for topic_filter in self._topic_filters()])

    def _on_plain_message(self, topic: str, payload: bytes, retained: bool, packet_id: int) -> None:
        self._received.append(ReceivedMessage(topic, payload, retained, packet_id))

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        self._received.append(
            ReceivedMessage(message.topic, payload, message.retain, packet_id=message.mid, qos=message.qos)
        )

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        for topic_filter, reason in zip(self._topic_filters(), reasons, strict=True):
            if reason.is_failure:
                _log.error(line("subscription_refused", topic=topic_filter, reason=reason))
            else:
                _log.info(line("subscribed", topic=topic_filter))

    def _on_publish(
        self, _client: Client, _data: object, _mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure and not self._is_refusal_logged:
            self._is_refusal_logged = True
            _log.error(line("publish_refused", reason=reason, allow="the collector's lines of mosquitto.acl"))

    def _topic_filters(self) -> list[str]:
        """Return one filter per kind of message. Only counts are shared: brokers send no retained messages to shared
        subscriptions (MQTT 5, 4.8.2).
        """
        share = self._broker.share if self._protocol == V5 else None
        return [subscription(kind, share if kind == "counts" else None) for kind in KINDS]

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self.ended is None:
            self.ended = f"connection lost: {reason}" if self.accepted else f"closed before an answer: {reason}"
            self.wrong_protocol = not self.accepted


def _client(
    broker: Broker, client_id: str, protocol: MQTTProtocolVersion, on_plain_message: MessageCallback
) -> GroupClient:
    """Return a client with a persistent session and manual acknowledgement; SettingsError for unreadable files."""
    client = GroupClient(
        on_plain_message,
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=False if protocol == V311 else None,  # MQTT 5 sets it in CONNECT
        protocol=protocol,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password())
    context = broker.tls_context()
    if context is not None:
        client.tls_set_context(context)
    return client
