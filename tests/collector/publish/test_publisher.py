"""Hours and their description for Home Assistant at a real broker with the shipped rules of access."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from collector.devices.device import Device
from collector.publish.discovery import discovery
from collector.publish.retained_topics import RetainedTopics
from collector.settings import Publish
from contract.hour import decode_hour
from contract.message import Status, encode
from contract.topics import topic
from tests.support.brokers import LIMIT_S, needs_mosquitto, wait_until
from tests.support.messages import BOOT, WITH_VISITS
from tests.support.receiver import receiving, settings_for
from tests.support.shipped_broker import ShippedBroker, shipped_broker
from tests.support.store import window

NOW = datetime(2026, 3, 28, 10, 30, tzinfo=timezone.utc)
HOUR_TOPIC = "facetally/v1/shop-1/door/hour"


@contextmanager
def watching(broker: ShippedBroker, user: str) -> Iterator[dict[str, bytes]]:
    """Subscribe to everything as a user; yield the last payload of each topic. Deleted topics are left out."""
    found: dict[str, bytes] = {}

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        found.pop(message.topic, None)
        if message.payload:
            found[message.topic] = bytes(message.payload)

    client = Client(CallbackAPIVersion.VERSION2, client_id=user)
    client.username_pw_set(user, "secret")
    client.on_message = on_message
    client.on_connect = lambda connected, *_: connected.subscribe("#", 1)
    client.connect("127.0.0.1", broker.plain_port)
    client.loop_start()
    try:
        yield found
    finally:
        client.disconnect()
        client.loop_stop()


def send(broker: ShippedBroker, kind: Any, message: Any, retain: bool = False) -> None:
    """Publish a message as the device shop-1/door."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="shop-1/door")
    client.username_pw_set("shop-1/door", "secret")
    client.connect("127.0.0.1", broker.plain_port)
    client.loop_start()
    client.publish(topic("shop-1", "door", kind), encode(message), 1, retain).wait_for_publish(LIMIT_S)
    client.disconnect()
    client.loop_stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShippedBroker]:
    names = ("collector", "shop-1/door", "homeassistant", "analyst")
    with shipped_broker(tmp_path_factory.mktemp("broker"), *names) as running:
        yield running


@needs_mosquitto
def test_hours_are_published_described_and_deleted(
    tmp_path: Path, broker: ShippedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last full hour is retained, and published again for a late window. What is switched off is deleted."""
    monkeypatch.setattr("collector.publish.hour_process.AGAIN", timedelta(0))
    monkeypatch.setattr("collector.publish.publisher.INTERVAL_S", 0.2)
    login = {"username": "collector", "password_file": broker.secret}
    settings = settings_for(tmp_path / "store", broker.plain_port, **login)
    on = replace(settings, publish=Publish(hours=True, home_assistant=True))
    record = tmp_path / "store" / "retained.json"
    visits = {"happiness": 3, "neutral": 5, "unknown": 2}
    send(broker, "status", Status(schema=1, state="online", boot=BOOT), retain=True)
    send(broker, "model", WITH_VISITS, retain=True)
    with watching(broker, "homeassistant") as seen:
        with receiving(on, now=lambda: NOW):
            send(broker, "counts", window(1, visits, NOW - timedelta(hours=1)))
            wait_until(lambda: HOUR_TOPIC in seen, "the hour is published")
            send(broker, "counts", window(2, visits, NOW - timedelta(minutes=59)))
            wait_until(lambda: decode_hour(seen[HOUR_TOPIC]).windows == 2, "the late window is in it")
            described = [name for name in seen if name.startswith("homeassistant/")]
            assert len(described) == 3 + len(WITH_VISITS.expression.labels)
        hour = decode_hour(seen[HOUR_TOPIC])
        assert hour.visits == {"happiness": 6, "neutral": 10, "unknown": 4}
        assert set(seen) == {HOUR_TOPIC, "facetally/v1/shop-1/door/status", *described}, "no receipts, no counts"
        with receiving(replace(on, publish=Publish(hours=True))):
            wait_until(lambda: not any(name in seen for name in described), "the descriptions are deleted")
            assert HOUR_TOPIC in seen
        with receiving(settings):
            wait_until(lambda: HOUR_TOPIC not in seen, "the hour is deleted")
            wait_until(lambda: not json.loads(record.read_bytes())["topics"], "the broker has acknowledged it")
    with watching(broker, "homeassistant") as seen:
        wait_until(lambda: "facetally/v1/shop-1/door/status" in seen, "the retained messages have come")
        assert set(seen) == {"facetally/v1/shop-1/door/status"}


def test_two_devices_never_share_a_topic_or_an_id() -> None:
    """Names with dots, underscores and hyphens stay apart; topics have only what discovery allows."""
    names = [("a.b", "c"), ("a_b", "c"), ("a-b", "c"), ("a", "b-c"), ("a__b", "c"), ("a", "b__c"), ("a_2eb", "c")]
    found = discovery([Device(site=site, device=name) for site, name in names], "homeassistant")
    assert len(found) == 3 * len(names)
    assert len({json.loads(payload)["unique_id"] for payload in found.values()}) == len(found)
    assert all(set(part) <= ALLOWED for name in found for part in name.split("/"))


ALLOWED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def test_topics_are_on_disk_before_they_are_used(tmp_path: Path) -> None:
    """A collector that is killed still knows what to delete; a damaged file forgets, and stops nothing."""
    path = tmp_path / "retained.json"
    assert RetainedTopics(path).changed({"one": b"1", "two": b"2"}) == [("one", b"1"), ("two", b"2")]
    again = RetainedTopics(path)
    assert again.deletions(lambda name: name == "two") == [("two", b"")]
    again.deleted({"two"})
    assert RetainedTopics(path).deletions(lambda name: True) == [("one", b"")]
    path.write_bytes(b"{")
    assert len(RetainedTopics(path)) == 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"home_assistant": True}, "hours"), ({"prefix": "facetally"}, "facetally")],
)
def test_settings_that_cannot_work_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Publish(**keys)
