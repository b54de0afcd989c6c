"""paho's client, within bounds: a packet longer than any of ours is read and not kept."""

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MOST_BYTES = 20_000
"""The largest packet that a broker of MQTT 5 is asked to send: the longest message (16,384 bytes) and its topic."""
KEPT_BYTES = 90_000
"""More of a packet is not kept: room for the longest topic (65,535 bytes) and message."""
AT_ONCE = 65_536
"""Bytes read from the socket at once."""


class Client(mqtt.Client):
    """A client that keeps no more of a packet than its first `KEPT_BYTES` bytes, whatever the broker sends.

    A broker of MQTT 5 is told so in CONNECT and sends nothing longer. One of 3.1.1 cannot be told, so the rest of a
    longer packet is read and dropped; what is left of it is no message. ``_sock_recv`` and ``_in_packet`` of paho are
    not public (2.1 and 2.2); tests/edge/delivery/test_flood.py tells when they go.
    """

    def _sock_recv(self, bufsize: int) -> bytes:
        del self._in_packet["packet"][KEPT_BYTES:]
        return super()._sock_recv(min(bufsize, AT_ONCE))


def bounded() -> Properties:
    """CONNECT properties of MQTT 5 that say what a client of ours takes."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MOST_BYTES
    return properties
