"""Bytes that an MQTT client sends -> its packets; and a listener that takes them, for the audit. MQTT 3.1.1 and 5."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14
NAMES = {1: "CONNECT", 3: "PUBLISH", 4: "PUBACK", 8: "SUBSCRIBE", 12: "PINGREQ", 14: "DISCONNECT"}
FIVE = 5


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: its type, flags and body; of a PUBLISH also topic and payload, of a CONNECT the will's."""

    kind: int
    flags: int
    body: bytes
    topic: str = ""
    payload: bytes = b""
    number: int = 0

    @property
    def name(self) -> str:
        """As the standard calls it."""
        return NAMES.get(self.kind, f"type {self.kind}")


@dataclass(slots=True)
class PacketReader:
    """Takes bytes as they come and gives whole packets; ValueError on what is no MQTT."""

    version: int = FIVE
    _rest: bytes = b""

    def feed(self, content: bytes) -> Iterator[Packet]:
        """More bytes -> the packets that are whole now."""
        self._rest += content
        while len(self._rest) >= 2:
            try:
                length, start = _number(self._rest, 1)
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
            number = int.from_bytes(body[:2], "big") if kind == SUBSCRIBE else 0
            return Packet(kind, flags, body, number=number)
        except IndexError as error:
            raise ValueError(f"a packet of type {kind} is cut short") from error

    def _publish(self, flags: int, body: bytes) -> Packet:
        topic, at = _text(body, 0)
        number = 0
        if flags & 6:
            number, at = int.from_bytes(body[at : at + 2], "big"), at + 2
        if self.version == FIVE:
            length, at = _number(body, at)
            at += length
        return Packet(PUBLISH, flags, body, topic.decode(), body[at:], number)

    def _will(self, body: bytes) -> tuple[str, bytes]:
        """Topic and payload of a CONNECT's last will; empty without one."""
        _, at = _text(body, 0)
        flags, at = body[at + 1], at + 4
        if self.version == FIVE:
            length, at = _number(body, at)
            at += length
        _, at = _text(body, at)  # the client's name
        if not flags & 4:
            return "", b""
        if self.version == FIVE:
            length, at = _number(body, at)
            at += length
        topic, at = _text(body, at)
        return topic.decode(), _text(body, at)[0]


def _number(content: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer, and where it ends; IndexError if it is not whole."""
    value = 0
    for place in range(4):
        byte = content[at + place]
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    raise ValueError("a length of more than four bytes")


def _text(content: bytes, at: int) -> tuple[bytes, int]:
    """A string or binary with its length before it, and where it ends."""
    length = int.from_bytes(content[at : at + 2], "big")
    return content[at + 2 : at + 2 + length], at + 2 + length


@contextmanager
def listener() -> Iterator[int]:
    """A port on the loopback that acknowledges whatever a client sends, like a broker without subscribers."""
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
                client.sendall(_answer(packet, reader.version))


def _answer(packet: Packet, version: int) -> bytes:
    number, five = packet.number.to_bytes(2, "big"), version == FIVE
    if packet.kind == CONNECT:
        return b"\x20\x03\x00\x00\x00" if five else b"\x20\x02\x00\x00"
    if packet.kind == PUBLISH and packet.flags & 6:
        return b"\x40\x02" + number
    if packet.kind == SUBSCRIBE:
        return b"\x90\x04" + number + b"\x00\x01" if five else b"\x90\x03" + number + b"\x01"
    return b"\xd0\x00" if packet.kind == PINGREQ else b""
