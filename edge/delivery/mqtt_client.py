"""paho's MQTT client, bounded in memory and logged in as configured, and a probe that waits for each answer."""

import math
import time
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.settings import BrokerSettings

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
NAMES = {V5: "5", V311: "3.1.1"}
WRONG_VERSION = "Unsupported protocol version"
"""Reason with which a broker of MQTT 3.1.1 refuses a client of MQTT 5."""
MAX_PACKET_BYTES = 20_000
"""Largest packet that a broker of MQTT 5 may send: the longest message (16,384 bytes) and its topic."""
KEPT_BYTES = 90_000
"""Larger packets are truncated to this: room for the longest topic (65,535 bytes) and message."""
READ_BYTES = 65_536
"""Maximum number of bytes read from the socket at once."""


class Client(mqtt.Client):
    """A client that keeps at most the first `KEPT_BYTES` bytes of a packet, whatever the broker sends.

    A broker of MQTT 5 is told the maximum in CONNECT and sends nothing larger. A broker of 3.1.1 cannot be told, so the
    rest of a larger packet is read and dropped; what is kept of it is not a valid message. ``_sock_recv`` and
    ``_in_packet`` are private in paho 2.1 and 2.2; tests/edge/delivery/test_flood.py fails when they change.
    """

    def _sock_recv(self, bufsize: int) -> bytes:
        del self._in_packet["packet"][KEPT_BYTES:]
        return super()._sock_recv(min(bufsize, READ_BYTES))


def client(settings: BrokerSettings, client_id: str, protocol: MQTTProtocolVersion) -> Client:
    """Create a client with the user name, password and certificates of the settings.

    Raise SettingsError if a file cannot be read.
    """
    created = Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol)
    if settings.username is not None:
        created.username_pw_set(settings.username, settings.password())
    context = settings.tls_context()
    if context is not None:
        created.tls_set_context(context)
    return created


def limits() -> Properties:
    """CONNECT properties of MQTT 5 that tell the broker the maximum packet size."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MAX_PACKET_BYTES
    return properties


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's answer to one request: whether it refuses, and its reason."""

    refused: bool
    reason: str


class Probe:
    """A client that connects, subscribes and publishes one at a time, and waits for each answer.

    Its methods return None if there is no answer within ``limit_s`` seconds, or the broker hangs up.
    """

    def __init__(self, settings: BrokerSettings, client_id: str, protocol: MQTTProtocolVersion, limit_s: float) -> None:
        self._settings, self._limit_s = settings, limit_s
        self._answers: list[ReasonCode] = []
        self._retained: dict[str, bytes] = {}
        self._client = client(settings, client_id, protocol)
        self._client.on_connect = lambda _c, _u, _f, reason, _p: self._answers.append(reason)
        self._client.on_subscribe = lambda _c, _u, _m, reasons, _p: self._answers.extend(reasons)
        self._client.on_publish = lambda _c, _u, _m, reason, _p: self._answers.append(reason)
        self._client.on_message = self._keep
        self._client.connect_timeout = limit_s

    def connect(self) -> Answer | None:
        """Connect and log in. Raise OSError if the broker cannot be reached."""
        keepalive = math.ceil(self._limit_s)  # it also bounds the TLS handshake
        self._client.connect(self._settings.host, self._settings.port, keepalive=keepalive)
        return self._wait()

    def subscribe(self, topic_filter: str) -> Answer | None:
        """Subscribe to a topic filter."""
        self._client.subscribe(topic_filter, qos=1)
        return self._wait()

    def retained(self, topic: str, limit_s: float) -> bytes | None:
        """Wait for the message that the broker has kept of a topic just subscribed to; None if there is none."""
        end = time.monotonic() + limit_s
        while topic not in self._retained and time.monotonic() < end:
            if self._client.loop(0.05) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        return self._retained.get(topic)

    def publish(self, topic: str, payload: bytes) -> Answer | None:
        """Publish a message, not retained."""
        self._client.publish(topic, payload, qos=1)
        return self._wait()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()

    def _keep(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        if message.retain:
            self._retained[message.topic] = bytes(message.payload)

    def _wait(self) -> Answer | None:
        self._answers.clear()
        end = time.monotonic() + self._limit_s
        while not self._answers and time.monotonic() < end:
            if self._client.loop(0.1) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        return Answer(self._answers[0].is_failure, str(self._answers[0])) if self._answers else None
