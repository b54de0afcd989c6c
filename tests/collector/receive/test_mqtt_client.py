"""The collector's client reads the same messages as paho's client, and sends the same acknowledgements."""

import socket
import struct
from contextlib import contextmanager

import pytest

pytest.importorskip("paho.mqtt.client")
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collector.receive.mqtt_client import GroupClient

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
BOTH = pytest.mark.parametrize("protocol", [V5, V311])
PLAIN = 0x32


def publish(protocol, first, topic, number, payload, **properties):
    """Return the bytes of a PUBLISH packet."""
    body = struct.pack("!H", len(topic)) + topic
    if first & 0x06:
        body += struct.pack("!H", number)
    if protocol == V5:
        options = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(options, name, value)
        body += options.pack()
    return packet(first, body + payload)


def packet(first, body):
    length, size = b"", len(body)
    while True:
        size, digit = size // 128, size % 128
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([first]) + length + body


@contextmanager
def wired(make, protocol):
    """Yield a client, the other end of its socket, and its messages as (topic, payload, retained, packet id)."""
    here, there = socket.socketpair()
    there.setblocking(False)
    got = []
    options = {"protocol": protocol, "manual_ack": True, "client_id": "x"}
    client = make(got, {**options, "clean_session": None if protocol == V5 else False})
    client.on_message = lambda _c, _d, m: got.append((m.topic, bytes(m.payload), m.retain, m.mid))
    client._sock = there
    yield client, here, got
    here.close()
    there.close()


def ours(got, options):
    return GroupClient(lambda *each: got.append(each), CallbackAPIVersion.VERSION2, **options)


def theirs(_got, options):
    return Client(CallbackAPIVersion.VERSION2, **options)


def read(client):
    """Read until there is nothing more; return the last result."""
    for _ in range(1000):
        answer = client.loop_read()
        if answer != MQTTErrorCode.MQTT_ERR_SUCCESS or not getattr(client, "has_read_ahead", True):
            return answer
    return answer


def mixed(protocol):
    properties = {"MessageExpiryInterval": 60, "UserProperty": ("a", "b")} if protocol == V5 else {}
    return [
        publish(protocol, PLAIN, b"facetally/v1/a/b/counts", 1, b"plain"),
        publish(protocol, PLAIN | 0x01, b"facetally/v1/a/b/model", 2, b"retained" * 2000),
        publish(protocol, PLAIN | 0x08, b"t", 3, b""),
        publish(protocol, PLAIN, b"with", 4, b"properties", **properties),
        publish(protocol, 0x30, b"qos", 0, b"0"),
        publish(protocol, PLAIN, "grüß".encode(), 65535, b"\0\xff"),
    ]


@BOTH
def test_the_same_messages_as_paho(protocol):
    """Messages that are plain, with properties, retained, repeated, long, empty, or of QoS 0 are read as by paho."""
    found = []
    for make in (ours, theirs):
        with wired(make, protocol) as (client, wire, got):
            wire.sendall(b"".join(mixed(protocol)))
            read(client)
            found.append(got)
    assert found[0] == found[1]
    assert len(found[0]) == 6


@BOTH
def test_only_plain_messages_skip_paho(protocol):
    """`on_message` is called only for messages that are not plain."""
    with wired(ours, protocol) as (client, wire, got):
        not_plain = []
        client.on_message = lambda _c, _d, message: not_plain.append(message.mid)
        wire.sendall(b"".join(mixed(protocol)))
        read(client)
    assert [number for *_, number in got] == ([1, 2, 3, 65535] if protocol == V5 else [1, 2, 3, 4, 65535])
    assert not_plain == ([4, 0] if protocol == V5 else [0])


@BOTH
def test_a_packet_in_two_parts_is_one_message(protocol):
    """A packet that comes in two parts, wherever it is divided, is one message, and no bytes are left over."""
    first, second = mixed(protocol)[0], mixed(protocol)[3]
    for at in range(1, len(first + second)):
        with wired(ours, protocol) as (client, wire, got):
            wire.sendall((first + second)[:at])
            read(client)
            before = len(got)
            wire.sendall((first + second)[at:])
            read(client)
            assert before < 2
            assert [number for *_, number in got] == [1, 4]
            assert not client.has_read_ahead


@BOTH
@pytest.mark.parametrize("body", [b"", b"\0", b"\0\x05ab", b"\0\x01a\0"])
def test_a_packet_that_is_too_short_is_the_same_error_as_with_paho(protocol, body):
    """No message is read from it."""
    results = []
    for make in (ours, theirs):
        with wired(make, protocol) as (client, wire, got):
            wire.sendall(packet(PLAIN, body))
            try:
                results.append(client.loop_read())
            except struct.error:  # paho before 2.2
                results.append("struct.error")
            assert got == []
    assert results[0] == results[1]
    assert results[0] != MQTTErrorCode.MQTT_ERR_SUCCESS


@BOTH
def test_acknowledgements_are_the_same_bytes(protocol):
    """The acknowledgements of a group are sent together, in order; an empty group sends nothing."""
    sent = []
    for make in (ours, theirs):
        with wired(make, protocol) as (client, wire, _):
            wire.setblocking(False)
            if make is ours:
                assert client.acknowledge([]) == MQTTErrorCode.MQTT_ERR_SUCCESS
                client.acknowledge([1, 300, 65535])
            else:
                for number in (1, 300, 65535):
                    client.ack(number, 1)
            sent.append(wire.recv(1000))
    assert sent[0] == sent[1] == b"\x40\x02\x00\x01\x40\x02\x01\x2c\x40\x02\xff\xff"


@BOTH
def test_a_group_is_published_in_the_same_bytes(protocol):
    """Receipts of all lengths are the bytes that paho sends for each; no receipts send nothing."""
    messages = [("facetally/v1/a/b/stored/w", b"x" * size) for size in (0, 1, 90, 127, 128, 16_384)] + [("grüß", b"1")]
    sent = []
    for make in (ours, theirs):
        with wired(make, protocol) as (client, wire, _):
            wire.setblocking(False)
            if make is ours:
                assert client.publish_group([]) == MQTTErrorCode.MQTT_ERR_SUCCESS
                client.publish_group(messages)
            else:
                for topic, payload in messages:
                    client.publish(topic, payload, qos=0, retain=True)
            sent.append(wire.recv(1 << 20))
    assert sent[0] == sent[1]
    assert len(sent[0]) > 16_384


@BOTH
def test_acknowledgements_wait_for_a_full_socket(protocol):
    """Acknowledgements that exceed the socket's buffer are sent completely once it is read."""
    numbers = [number % 65535 + 1 for number in range(200_000)]
    with wired(ours, protocol) as (client, wire, _):
        wire.setblocking(False)
        client.acknowledge(numbers)
        assert client.want_write()
        sent = bytearray()
        while client.want_write():
            sent += wire.recv(1 << 20)
            client.loop_write()
        sent += wire.recv(1 << 20)
    assert bytes(sent) == b"".join(b"\x40\x02" + number.to_bytes(2, "big") for number in numbers)


@BOTH
def test_the_end_of_a_connection_is_reported(protocol):
    """Messages that came before the end are read first."""
    with wired(ours, protocol) as (client, wire, got):
        wire.sendall(mixed(protocol)[0])
        wire.close()
        assert read(client) == MQTTErrorCode.MQTT_ERR_SUCCESS
        assert client.loop_read() == MQTTErrorCode.MQTT_ERR_CONN_LOST
        assert len(got) == 1
