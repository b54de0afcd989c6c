"""A paho client for groups of messages: it reads ahead, parses plain messages itself, and acknowledges many at once.

For each message paho (2.1 and 2.2) reads four times from the socket, fills five tables and takes a lock, and it sends
each acknowledgement by itself. That is two thirds of the cost of storing a message. This client does only what a
message of QoS 1 without properties needs; paho handles all others. It replaces the private methods `_sock_recv` and
`_handle_publish` of paho and calls `_packet_queue`. tests/collector/receive/test_mqtt_client.py fails if they change.
"""

from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MessageType, MQTTErrorCode, MQTTProtocolVersion

READ_AHEAD_BYTES = 65_536
MAX_PACKET_BYTES = 20_000
"""Largest packet that an MQTT 5 broker is asked to send: the longest message (16,384 bytes) and its topic."""
MAX_KEPT_BYTES = 90_000
"""Bytes of a packet that are kept: room for the longest topic (65,535 bytes) and message. An MQTT 3.1.1 broker cannot
be told a limit. The rest of a longer packet is read and dropped. What is left is malformed and is acknowledged, so that
the broker does not deliver it again and again."""
QOS_MASK, QOS_1, RETAIN_FLAG = 0x06, 0x02, 0x01
"""Bits of the first byte of a PUBLISH packet."""
PUBACK_HEADER = bytes((MessageType.PUBACK, 2))

MessageCallback = Callable[[str, bytes, bool, int], None]
"""Called with topic, payload, whether the message is retained, and the packet identifier."""


class GroupClient(Client):
    """An MQTT 3.1.1 or 5 client without threads, to be created with ``manual_ack``.

    ``on_plain_message`` is called for messages of QoS 1 without properties, ``on_message`` for all others.
    """

    def __init__(self, on_plain_message: MessageCallback, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_plain_message = on_plain_message
        self._buffer, self._position = b"", 0

    @property
    def has_read_ahead(self) -> bool:
        """Whether bytes were read from the socket that are not parsed yet."""
        return self._position < len(self._buffer)

    def acknowledge(self, packet_ids: Sequence[int]) -> MQTTErrorCode:
        """Send a PUBACK for each packet of QoS 1, in this order."""
        if not packet_ids:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        packets = b"".join(PUBACK_HEADER + packet_id.to_bytes(2, "big") for packet_id in packet_ids)
        return self._packet_queue(MessageType.PUBACK, packets, packet_ids[-1], 1)

    def _sock_recv(self, bufsize: int) -> bytes:
        del self._in_packet["packet"][MAX_KEPT_BYTES:]
        if self._position == len(self._buffer):
            self._buffer, self._position = super()._sock_recv(READ_AHEAD_BYTES), 0
        begin, self._position = self._position, min(self._position + bufsize, len(self._buffer))
        return self._buffer[begin : self._position]

    def _handle_publish(self) -> MQTTErrorCode:
        flags, packet = self._in_packet["command"], self._in_packet["packet"]
        if flags & QOS_MASK != QOS_1:
            return super()._handle_publish()
        try:
            end = 2 + (packet[0] << 8 | packet[1])
            topic, packet_id, begin = packet[2:end].decode(), packet[end] << 8 | packet[end + 1], end + 2
            if self._protocol == MQTTProtocolVersion.MQTTv5:
                if packet[begin]:
                    return super()._handle_publish()
                begin += 1
        except (IndexError, UnicodeDecodeError):
            return super()._handle_publish()
        self._on_plain_message(topic, bytes(packet[begin:]), bool(flags & RETAIN_FLAG), packet_id)
        return MQTTErrorCode.MQTT_ERR_SUCCESS
