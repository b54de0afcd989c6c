"""A broker -> groups of messages, and their acknowledgements.

While its owner stores a group nothing is read, so a broker that sends faster than the disk writes is held back by TCP
and by the receive maximum, and memory holds one group. A connection's messages are acknowledged on that connection or
not at all: what is left unacknowledged the broker sends again.
"""

import logging
import select
import ssl
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from base.errors import SettingsError
from base.logs import line
from collector.receive.intake import ReceivedMessage
from collector.receive.mqtt_client import MOST_BYTES, GroupClient, Taker
from collector.settings import Broker
from contract.topics import KINDS, subscription

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
IDLE_S = 0.2
"""The longest wait for a first message, and so for a stop to be noticed."""
QUIET_S = 0.005
"""A group ends when nothing more comes for so long: some brokers send only twenty unacknowledged."""
CONNACK_S = 5.0
"""Over TLS 1.3 a client without certificate hears nothing; nor does an MQTT 5 one from amqtt 0.12."""

_log = logging.getLogger(__name__)


class Connection:
    """One connection to a broker, from CONNECT until it is lost; the session that outlives it is the broker's.

    ``accepted`` after a good CONNACK; ``ended`` says why it is over, None while it is not.
    """

    def __init__(self, broker: Broker, client_id: str, protocol: MQTTProtocolVersion) -> None:
        self.accepted = False
        self.ended: str | None = None
        self.wrong_protocol = False
        self._broker = broker
        self._protocol = protocol
        self._arrived: list[ReceivedMessage] = []
        self._client = _client(broker, client_id, protocol, self._take)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect

    def __enter__(self) -> "Connection":
        self._answer_due = time.monotonic() + CONNACK_S
        v5: dict[str, Any] = {}
        if self._protocol == V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = self._broker.session_expiry_s
            properties.ReceiveMaximum = self._broker.in_flight
            properties.MaximumPacketSize = MOST_BYTES
            v5 = {"clean_start": False, "properties": properties}
        try:
            self._client.connect(self._broker.host, self._broker.port, self._broker.keepalive_s, **v5)
        except OSError as error:
            self.ended = str(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.on_disconnect = None
        self._client.disconnect()

    def group(self, within_s: float) -> list[ReceivedMessage]:
        """The next messages, ``in_flight`` at most: until none comes for `QUIET_S` or the first waited ``within_s``."""
        self._turn(IDLE_S)
        due = time.monotonic() + within_s
        before = 0
        while before < len(self._arrived) < self._broker.in_flight and time.monotonic() < due and self.ended is None:
            before = len(self._arrived)
            self._turn(QUIET_S)
        group, self._arrived = self._arrived, []
        return group

    def acknowledge(self, group: list[ReceivedMessage]) -> None:
        """Tell the broker that these are on disk. What does not reach it comes again."""
        self._client.acknowledge([arrival.mid for arrival in group if arrival.qos == 1])

    @property
    def has_sent_all(self) -> bool:
        """Whether nothing waits for the broker to read it, so that a slow one does not fill the memory."""
        return self.accepted and self.ended is None and not self._client.want_write()

    def confirm(self, receipts: Iterable[tuple[str, bytes]]) -> None:
        """Publish receipts, topic and payload. One that is lost costs a repeat, so QoS 0 will do."""
        for name, payload in receipts:
            self._client.publish(name, payload, qos=0, retain=True)

    def _turn(self, wait_s: float) -> None:
        """Wait for the socket, read what is there, write what is due, keep the connection alive."""
        sock = self._client.socket()
        if sock is None:
            self.ended = self.ended or "connection closed"
            return
        if not self.accepted and time.monotonic() > self._answer_due:
            self.ended = f"no answer to CONNECT in {CONNACK_S:g} s"
            self.wrong_protocol = True
            return
        buffered = self._client.has_read_ahead or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)
        writing = [sock] if self._client.want_write() else []
        readable, writable, _ = select.select([sock], writing, [], 0 if buffered else wait_s)
        if readable or buffered:
            before = -1
            # what Mosquitto 2.0.11 without a limit on its queue sends beyond the receive maximum stays in the socket
            while before < len(self._arrived) < self._broker.in_flight and self._client.socket() is not None:
                before = len(self._arrived)
                self._client.loop_read()
        if writable:
            self._client.loop_write()
        self._client.loop_misc()

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
        client.subscribe([(filter_, 1) for filter_ in self._filters()])

    def _take(self, topic: str, payload: bytes, retained: bool, number: int) -> None:
        self._arrived.append(ReceivedMessage(topic, payload, retained, number))

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._arrived.append(
            ReceivedMessage(message.topic, bytes(message.payload), message.retain, message.mid, message.qos),
        )

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        for filter_, reason in zip(self._filters(), reasons, strict=True):
            if reason.is_failure:
                _log.error(line("subscription_refused", topic=filter_, reason=reason))
            else:
                _log.info(line("subscribed", topic=filter_))

    def _filters(self) -> list[str]:
        """Counts may be shared; what is retained must not be: of a shared subscription no broker sends it (MQTT 5)."""
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


def _client(broker: Broker, client_id: str, protocol: MQTTProtocolVersion, take: Taker) -> GroupClient:
    """A paho client that keeps its session and acknowledges nothing by itself; SettingsError for unreadable files."""
    client = GroupClient(
        take,
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=False if protocol == V311 else None,  # MQTT 5 says it in CONNECT
        protocol=protocol,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password())
    if broker.tls is not None:
        try:
            client.tls_set(broker.tls.ca, broker.tls.certificate, broker.tls.key)
        except (OSError, ValueError) as error:
            raise SettingsError(f"broker.tls: {error}") from error
    return client
