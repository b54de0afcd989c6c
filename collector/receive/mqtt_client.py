"""paho's client for groups of messages: it reads ahead, takes plain messages on a short way, acknowledges many at once.

paho (2.1 and 2.2) asks the socket four times a message, fills five tables and a lock for each, and sends each
acknowledgement by itself: two thirds of what storing a message costs. What is done here instead is no more than a
message of QoS 1 without properties needs; all else goes paho's own way. Of paho's methods that are not public
`_sock_recv` and `_handle_publish` are replaced and `_packet_queue` is called; tests/collector/receive/test_mqtt_client.py tells when they go.
"""

from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MessageType, MQTTErrorCode, MQTTProtocolVersion

AHEAD = 65_536
"""Bytes read at once."""
MOST_BYTES = 20_000
"""The largest packet that a broker of MQTT 5 is asked to send: the longest message (16,384 bytes) and its topic."""
KEPT_BYTES = 90_000
"""More of a packet is not kept: room for the longest topic (65,535 bytes) and message. A broker of 3.1.1 cannot be told
a limit, so the rest of a longer packet is read and dropped; what is left is no message, is set aside and acknowledged,
and the session does not deliver it for ever."""
QOS_1 = 0x02
"""Of the first byte's bits 0x06."""
PUBACK = bytes((MessageType.PUBACK, 2))

Taker = Callable[[str, bytes, bool, int], None]
"""Called with topic, payload, whether it was retained, and the packet's number."""


class GroupClient(Client):
    """A client without threads and with ``manual_ack`` for MQTT 3.1.1 or 5.

    ``take`` is called for plain messages, ``on_message`` for all others.
    """

    def __init__(self, take: Taker, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._take = take
        self._ahead, self._at = b"", 0

    @property
    def has_read_ahead(self) -> bool:
        """Whether there is something to read that the socket no longer shows."""
        return self._at < len(self._ahead)

    def acknowledge(self, numbers: Sequence[int]) -> MQTTErrorCode:
        """PUBACK of packets of QoS 1, in this order."""
        if not numbers:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        packets = b"".join(PUBACK + number.to_bytes(2, "big") for number in numbers)
        return self._packet_queue(MessageType.PUBACK, packets, numbers[-1], 1)

    def _sock_recv(self, bufsize: int) -> bytes:
        del self._in_packet["packet"][KEPT_BYTES:]
        if self._at == len(self._ahead):
            self._ahead, self._at = super()._sock_recv(AHEAD), 0
        begin, self._at = self._at, min(self._at + bufsize, len(self._ahead))
        return self._ahead[begin : self._at]

    def _handle_publish(self) -> MQTTErrorCode:
        first, packet = self._in_packet["command"], self._in_packet["packet"]
        if first & 0x06 != QOS_1:
            return super()._handle_publish()
        try:
            end = 2 + (packet[0] << 8 | packet[1])
            topic, number, begin = packet[2:end].decode(), packet[end] << 8 | packet[end + 1], end + 2
            if self._protocol == MQTTProtocolVersion.MQTTv5:
                if packet[begin]:
                    return super()._handle_publish()
                begin += 1
        except (IndexError, UnicodeDecodeError):
            return super()._handle_publish()
        self._take(topic, bytes(packet[begin:]), bool(first & 0x01), number)
        return MQTTErrorCode.MQTT_ERR_SUCCESS
