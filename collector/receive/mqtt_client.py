"""A paho client for groups of messages: it reads ahead, parses plain messages itself, and sends many packets at once.

For each message paho (2.1 and 2.2) reads four times from the socket, fills five tables and takes a lock, and it sends
each acknowledgement and each receipt by itself. That took a third of the time of storing a queue. This client parses
all whole plain messages of a buffer in one loop; paho handles all other packets. It replaces `loop_read` and the
private method `_sock_recv` of paho, uses `_in_packet` and `_last_bytes_received`, and calls `_packet_queue` and
`_pack_remaining_length`.
tests/collector/receive/test_mqtt_client.py fails if they change.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MessageType, MQTTErrorCode, MQTTProtocolVersion

READ_AHEAD_BYTES = 262_144
MAX_PACKET_BYTES = 20_000
"""Largest packet that an MQTT 5 broker is asked to send: the longest message (16,384 bytes) and its topic."""
MAX_KEPT_BYTES = 90_000
"""Bytes of a packet that are kept: room for the longest topic (65,535 bytes) and message. An MQTT 3.1.1 broker cannot
be told a limit. The rest of a longer packet is read and dropped. What is left is malformed and is acknowledged, so that
the broker does not deliver it again and again."""
TYPE_AND_QOS_MASK, PUBLISH_QOS_1, RETAIN_FLAG = 0xF6, 0x32, 0x01
"""Bits of the first byte of a packet."""
MORE_LENGTH, LENGTH_BITS = 0x80, 0x7F
"""Bits of a byte of a packet's length: whether another byte follows, and seven bits of the length, lowest first."""
LONGEST_HEADER = 3
"""Bytes before the topic of a plain message, which has less than 16,384 bytes behind them."""
PUBLISH_RETAINED = MessageType.PUBLISH | RETAIN_FLAG
"""First byte of a packet that publishes a retained message at QoS 0."""
PUBACK_HEADER = bytes((MessageType.PUBACK, 2))

MessageCallback = Callable[[str, bytes, bool, int], None]
"""Called with topic, payload, whether the message is retained, and the packet identifier."""


class GroupClient(Client):
    """An MQTT 3.1.1 or 5 client without threads, to be created with ``manual_ack``.

    ``on_plain_message`` is called for messages of QoS 1 without properties that are in one buffer, ``on_message`` for
    all others.
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
        return self._send(b"".join(PUBACK_HEADER + packet_id.to_bytes(2, "big") for packet_id in packet_ids))

    def publish_group(self, messages: Iterable[tuple[str, bytes]]) -> MQTTErrorCode:
        """Publish messages, as topic and payload, retained and at QoS 0."""
        end_of_topic = b"\0" if self._protocol == MQTTProtocolVersion.MQTTv5 else b""  # no properties
        packets = bytearray()
        for topic, payload in messages:
            name = topic.encode()
            packets.append(PUBLISH_RETAINED)
            self._pack_remaining_length(packets, 2 + len(name) + len(end_of_topic) + len(payload))
            packets += len(name).to_bytes(2, "big") + name + end_of_topic + payload
        return self._send(bytes(packets))

    def _send(self, packets: bytes) -> MQTTErrorCode:
        """Send packets for which paho has nothing to do afterwards, as for a PUBACK."""
        return self._packet_queue(MessageType.PUBACK, packets, 0, 1) if packets else MQTTErrorCode.MQTT_ERR_SUCCESS

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read the plain messages of one buffer, or, where none comes next, one packet as paho does."""
        if self._in_packet["command"] == 0 and self._read_plain_messages():
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super().loop_read(max_packets)

    def _read_plain_messages(self) -> bool:
        """Parse whole plain messages up to the first other packet; return whether there was one."""
        if not self.has_read_ahead:
            with suppress(OSError):  # paho meets it again, and handles it
                self._fill()
        buffer, at, begin = self._buffer, self._position, self._position
        has_properties = self._protocol == MQTTProtocolVersion.MQTTv5
        last = len(buffer) - LONGEST_HEADER
        while at < last and buffer[at] & TYPE_AND_QOS_MASK == PUBLISH_QOS_1:
            length, topic_at = buffer[at + 1], at + 2
            if length & MORE_LENGTH:
                length, topic_at = length & LENGTH_BITS | buffer[at + 2] << 7, at + 3
            past = topic_at + length
            if buffer[topic_at - 1] & MORE_LENGTH or past > len(buffer) or length < 2:
                break
            topic_end = topic_at + 2 + (buffer[topic_at] << 8 | buffer[topic_at + 1])
            payload_at = topic_end + 2 + has_properties
            if payload_at > past or (has_properties and buffer[payload_at - 1]):
                break
            try:
                topic = buffer[topic_at + 2 : topic_end].decode()
            except UnicodeDecodeError:
                break
            packet_id = buffer[topic_end] << 8 | buffer[topic_end + 1]
            self._on_plain_message(topic, buffer[payload_at:past], bool(buffer[at] & RETAIN_FLAG), packet_id)
            at = past
        self._position = at
        if at > begin:
            self._last_bytes_received = time.monotonic()
        return at > begin

    def _sock_recv(self, bufsize: int) -> bytes:
        del self._in_packet["packet"][MAX_KEPT_BYTES:]
        if not self.has_read_ahead:
            self._fill()
        begin, self._position = self._position, min(self._position + bufsize, len(self._buffer))
        return self._buffer[begin : self._position]

    def _fill(self) -> None:
        """Read ahead. Raises OSError, BlockingIOError if there is nothing."""
        self._buffer, self._position = super()._sock_recv(READ_AHEAD_BYTES), 0
