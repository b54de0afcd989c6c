"""Receipts between collector and device: whatever the broker loses, each window is stored once."""

import json
import os
import signal
import time
from contextlib import ExitStack

import paho.mqtt.client as mqtt

from contract.receipt import Stored, encode_receipt
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.fakes import counts
from tests.support.publishing import ABOUT, device, listening
from tests.support.receiver import collecting, stored
from tests.support.shipped_broker import shipped_rules

pytestmark = needs_mosquitto
WINDOWS = int(os.environ.get("FACETALLY_WINDOWS", "1000"))
"""Windows of the long test; 10,000 take a minute."""


def test_a_window_is_deleted_when_the_collector_has_stored_it(tmp_path):
    """Without a collector all windows stay in the spool, although the broker has acknowledged them."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), device(tmp_path, port, 100, again_s=1.0, confirm="collector") as sender:
        sender.until(lambda: sender.publisher.unconfirmed == 100, "the broker has all windows")
        assert sender.spool.depth() == 100
        with collecting(root, port):
            sender.sends_all()
    assert stored(root) == dict.fromkeys(range(100), 1)


def test_no_window_is_lost_whatever_the_broker_drops(tmp_path):
    """Each window is stored once, although queues overflow, brokers are killed and the collector's session deleted."""
    port, root, windows = free_port(), tmp_path / "store", WINDOWS
    small = ("max_queued_messages 30", "max_inflight_messages 5")
    with device(tmp_path, port, windows, again_s=0.5, confirm="collector", drain_per_s=1000) as sender:
        dropped = 0
        for _ in range(3):
            with mosquitto(tmp_path, port, *small) as broker:
                with collecting(root, port):
                    sender.until(lambda: sender.publisher.connected, "connected")
                before = sum(stored(root).values())
                sender.until(lambda: sender.publisher.unconfirmed >= 95, "the queue overflows")
                with collecting(root, port, in_flight=5):
                    target = min(windows, before + windows // 7)
                    sender.until(lambda t=target: sum(stored(root).values()) >= t, "some are stored", 300.0)
                forget_session(port)
                dropped += sender.publisher.unconfirmed > 0
                broker.send_signal(signal.SIGKILL)
                broker.wait()
            sender.until(lambda: not sender.publisher.connected, "lost")
        assert dropped
        with mosquitto(tmp_path, port, *small), collecting(root, port):
            sender.until(lambda: sender.spool.depth() == 0, "all are confirmed", 300.0)
    assert stored(root) == dict.fromkeys(range(windows), 1)


def forget_session(port):
    """Delete the collector's session, by connecting with its client id and a clean session."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "facetally-collector-collector", clean_session=True)
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(client.is_connected, "connected")
    client.disconnect()
    client.loop_stop()


def test_windows_sent_before_the_collector_connects_are_stored_within_seconds(tmp_path):
    """A broker without the collector's session acknowledges windows and drops them.

    The device sends them again within seconds after the collector has connected, without a new window.
    """
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), device(tmp_path, port, 3, again_s=600.0, confirm="collector") as sender:
        sender.until(lambda: sender.publisher.unconfirmed == 3, "the broker has all windows")
        time.sleep(1.0)
        with collecting(root, port):
            sender.until(lambda: sender.spool.depth() == 0, "all are confirmed")
    assert stored(root) == dict.fromkeys(range(3), 1)


def test_two_collectors_confirm_shared_windows(tmp_path):
    """Each collector stores a part of the windows, and the device deletes all."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), ExitStack() as stack:
        for writer in ("one", "two"):
            stack.enter_context(collecting(root, port, writer, share="both"))
        sender = stack.enter_context(device(tmp_path, port, 60, confirm="collector"))
        sender.sends_all()
    assert stored(root) == dict.fromkeys(range(60), 1)
    assert len(list(root.glob("date=*/site=*/*.csv"))) == 2


def test_a_dead_letter_is_confirmed(tmp_path):
    """A window that the collector has put among the dead letters is confirmed, so that it is not sent for ever."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), collecting(root, port), device(tmp_path, port, confirm="collector") as sender:
        sender.spool.add(counts(0, 6, visits={"device": 6, "neutral": 0, "unknown": 0}))  # the name of a column
        sender.spool.add(counts(1, 6))
        sender.sends_all()
    assert stored(root) == {1: 1}
    assert "name of a column" in json.loads((root / "dead-letters.jsonl").read_text())["reason"]


def test_no_client_can_take_over_the_session_of_the_collector(tmp_path):
    """A device that connects with the collector's client id and a clean session does not delete its queue."""
    port, root = free_port(), tmp_path / "store"
    lines, secret = shipped_rules(tmp_path, "shop-1/door", "shop-2/till", "collector")
    login = {"username": "collector", "password_file": secret}
    with mosquitto(tmp_path, port, *lines):
        with collecting(root, port, **login):
            pass
        own = {"username": "shop-1/door", "password_file": secret}
        with device(tmp_path, port, 20, confirm="broker", **own) as sender:
            sender.sends_all()
        for name in ("collector", "facetally-collector-collector"):
            thief = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, clean_session=True)
            thief.username_pw_set("shop-2/till", "secret")
            thief.connect("127.0.0.1", port)
            thief.loop_start()
            wait_until(thief.is_connected, "connected")
            thief.disconnect()
            thief.loop_stop()
        with collecting(root, port, **login):
            wait_until(lambda: sum(stored(root).values()) == 20, "all are stored")


def test_only_receipts_of_a_collector_reach_a_device(tmp_path):
    """With the shipped ACL a receipt forged by another device, or by the device itself, deletes nothing."""
    port = free_port()
    lines, secret = shipped_rules(tmp_path, "shop-1/door", "shop-2/till", "collector")
    login = {"username": "shop-1/door", "password_file": secret}
    forged = encode_receipt(Stored(schema=1, boots={"0123456789abcdef": ((0, 999),)}))
    with mosquitto(tmp_path, port, *lines), device(tmp_path, port, 5, 1.0, confirm="collector", **login) as sender:
        sender.until(lambda: sender.publisher.unconfirmed == 5, "sent")
        for user in ("shop-2/till", "shop-1/door"):
            forger = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
            forger.username_pw_set(user, "secret")
            forger.connect("127.0.0.1", port)
            forger.loop_start()
            forger.publish(f"{ABOUT}/stored/collector", forged, 1, retain=True)
            wait_until(forger.is_connected, "connected")
            forger.disconnect()
            forger.loop_stop()
        sender.until(lambda: sender.publisher.connected, "connected again, after the forger had used its name")
        for _ in range(50):
            sender.publisher.pump(sender.spool)
        assert sender.spool.depth() == 5
        with listening(port, "#", username="shop-2/till", password="secret") as received:
            pass
        assert received == []
        with collecting(tmp_path / "store", port, username="collector", password_file=secret):
            sender.sends_all()
