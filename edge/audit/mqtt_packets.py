"""Parse the packets that an MQTT client sends, and acknowledge them like a broker without subscribers.

Covers what the daemon uses of MQTT 3.1.1 and 5.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14
PACKET_NAMES = {1: "CONNECT", 3: "PUBLISH", 4: "PUBACK", 8: "SUBSCRIBE", 12: "PINGREQ", 14: "DISCONNECT"}
VERSION_5 = 5
"""Protocol level of MQTT 5 in a CONNECT packet."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet."""

    kind: int
    """Packet type of the standard, 1 to 15."""
    flags: int
    body: bytes
    topic: str = ""
    """Topic of a PUBLISH, or of the last will in a CONNECT."""
    payload: bytes = b""
    """Payload of a PUBLISH, or of the last will in a CONNECT."""
    packet_id: int = 0

    @property
    def name(self) -> str:
        """Name of the packet type in the standard."""
        return PACKET_NAMES.get(self.kind, f"type {self.kind}")


@dataclass(slots=True)
class PacketReader:
    """Splits a stream of bytes into packets."""

    version: int = VERSION_5
    """Protocol level; taken from the CONNECT packet."""
    _rest: bytes = b""

    def feed(self, content: bytes) -> Iterator[Packet]:
        """Add bytes. Yields the packets that are complete now; raises ValueError if the bytes are not MQTT."""
        self._rest += content
        while len(self._rest) >= 2:
            try:
                length, start = _variable_integer(self._rest, 1)
            except IndexError:
                return
            if len(self._rest) < start + length:
                return
            first, body = self._rest[0], self._rest[start : start + length]
            self._rest = self._rest[start + length :]
            yield self._packet(first >> 4, first & 15, body)

    def _packet(self, kind: int, flags: int, body: bytes) -> Packet:
        try:
            if kind == CONNECT:
                self.version = body[2 + int.from_bytes(body[:2], "big")]
                return Packet(kind, flags, body, *self._will(body))
            if kind == PUBLISH:
                return self._publish(flags, body)
            packet_id = int.from_bytes(body[:2], "big") if kind == SUBSCRIBE else 0
            return Packet(kind, flags, body, packet_id=packet_id)
        except IndexError as error:
            raise ValueError(f"a packet of type {kind} must be complete, is {len(body)} bytes long") from error

    def _publish(self, flags: int, body: bytes) -> Packet:
        topic, at = _binary(body, 0)
        packet_id = 0
        if flags & 6:
            packet_id, at = int.from_bytes(body[at : at + 2], "big"), at + 2
        if self.version == VERSION_5:
            length, at = _variable_integer(body, at)
            at += length
        return Packet(PUBLISH, flags, body, topic.decode(), body[at:], packet_id)

    def _will(self, body: bytes) -> tuple[str, bytes]:
        """Topic and payload of the last will in a CONNECT; empty if there is none."""
        _, at = _binary(body, 0)  # the protocol's name
        flags, at = body[at + 1], at + 4
        if self.version == VERSION_5:
            length, at = _variable_integer(body, at)
            at += length
        _, at = _binary(body, at)  # the client's name
        if not flags & 4:
            return "", b""
        if self.version == VERSION_5:
            length, at = _variable_integer(body, at)
            at += length
        topic, at = _binary(body, at)
        return topic.decode(), _binary(body, at)[0]


def _variable_integer(content: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer, and the position after it. Raises IndexError if it is incomplete."""
    value = 0
    for index in range(4):
        byte = content[at + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, at + index + 1
    raise ValueError("the length of a packet must have at most four bytes")


def _binary(content: bytes, at: int) -> tuple[bytes, int]:
    """A string or binary that follows its two-byte length, and the position after it."""
    length = int.from_bytes(content[at : at + 2], "big")
    return content[at + 2 : at + 2 + length], at + 2 + length


@contextmanager
def listener() -> Iterator[int]:
    """Listen on the loopback and acknowledge every packet. Yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        yield int(server.getsockname()[1])


def _serve(server: socket.socket) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_acknowledge, args=(client,), daemon=True).start()


def _acknowledge(client: socket.socket) -> None:
    reader = PacketReader()
    with client, contextlib.suppress(OSError, ValueError):
        while content := client.recv(65536):
            for packet in reader.feed(content):
                client.sendall(_acknowledgement(packet, reader.version))


def _acknowledgement(packet: Packet, version: int) -> bytes:
    """The packet that answers a client's packet; empty if it needs no answer."""
    packet_id, is_5 = packet.packet_id.to_bytes(2, "big"), version == VERSION_5
    if packet.kind == CONNECT:
        return b"\x20\x03\x00\x00\x00" if is_5 else b"\x20\x02\x00\x00"
    if packet.kind == PUBLISH and packet.flags & 6:
        return b"\x40\x02" + packet_id
    if packet.kind == SUBSCRIBE:
        return b"\x90\x04" + packet_id + b"\x00\x01" if is_5 else b"\x90\x03" + packet_id + b"\x01"
    return b"\xd0\x00" if packet.kind == PINGREQ else b""
