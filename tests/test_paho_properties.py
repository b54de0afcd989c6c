"""paho's properties read, say and refuse the same after they have been made quick."""

import importlib.util
import socket
import struct

import pytest

mqtt = pytest.importorskip("paho.mqtt.properties")
client = pytest.importorskip("paho.mqtt.client")
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: E402
from paho.mqtt.packettypes import PacketTypes  # noqa: E402

from collector.paho_properties import quicken  # noqa: E402

SENT = {
    "none": {},
    "expiry": {"MessageExpiryInterval": 3600},
    "pairs": {"UserProperty": [("a", "1"), ("b", "2")], "ContentType": "application/json"},
    "reply": {"ResponseTopic": "answers", "CorrelationData": b"\0\1", "PayloadFormatIndicator": 1},
}


@pytest.fixture(scope="module")
def untouched():
    """The same module of paho, loaded a second time and left as it is."""
    spec = importlib.util.spec_from_file_location("paho.mqtt.untouched_properties", mqtt.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    quicken()
    quicken()
    assert mqtt.Properties.__init__ is not module.Properties.__init__
    assert "names" in vars(mqtt.Properties)
    assert "names" not in vars(module.Properties)
    return module.Properties


def filled(kind, values):
    made = kind(PacketTypes.PUBLISH)
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("name", SENT)
def test_what_is_sent_and_read_is_the_same(untouched, name):
    """Bytes, attributes and text of both; what follows the list is not touched."""
    ours, theirs = filled(mqtt.Properties, SENT[name]), filled(untouched, SENT[name])
    packed = theirs.pack()
    assert ours.pack() == packed
    read = [kind(PacketTypes.PUBLISH).unpack(packed + b"payload") for kind in (mqtt.Properties, untouched)]
    assert read[0][1] == read[1][1] == len(packed)
    assert read[0][0].json() == read[1][0].json()
    assert str(read[0][0]) == str(read[1][0])
    assert read[0][0].isEmpty() == (name == "none")


def test_an_empty_list_empties_what_was_filled(untouched):
    """An object that is used again forgets, as it did."""
    for kind in (mqtt.Properties, untouched):
        made = filled(kind, SENT["expiry"])
        assert made.unpack(b"\0rest")[1] == 1
        assert made.isEmpty()


@pytest.mark.parametrize("data", [b"", b"\x05\x02\0\0", b"\x02\x63\1", b"\x03\x21\0\x05"])
def test_what_is_malformed_is_refused_alike(untouched, data):
    """Cut off, unknown, or of another packet: the same error."""
    said = []
    for kind in (mqtt.Properties, untouched):
        with pytest.raises(Exception) as error:
            kind(PacketTypes.PUBLISH).unpack(data)
        said.append((type(error.value).__name__, str(error.value)))
    assert said[0] == said[1]


def test_a_client_reads_messages_with_and_without(untouched):
    """PUBLISH packets of MQTT 5 through a real client."""
    here, there = socket.socketpair()
    reader = client.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    got = []
    reader.on_message = lambda _client, _data, message: got.append((message.payload, message.properties.json()))
    reader._sock = there
    there.setblocking(False)
    for values in (SENT["none"], SENT["expiry"]):
        body = struct.pack("!H1s", 1, b"t") + filled(untouched, values).pack() + b"payload"
        here.sendall(bytes([0x30, len(body)]) + body)
        reader.loop_read()
    assert got == [(b"payload", {}), (b"payload", {"MessageExpiryInterval": 3600})]
    here.close()
    there.close()
