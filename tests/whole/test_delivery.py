"""Whatever the broker loses, each window is stored once: receipts between a real collector and a real device."""

import json
import os
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import paho.mqtt.client as mqtt

from contract.receipt import Stored, encode_receipt
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.fakes import counts
from tests.support.publishing import ABOUT, device, listening
from tests.support.receiver import collecting, stored

ROOT = Path(__file__).parents[2]
pytestmark = needs_mosquitto
WINDOWS = int(os.environ.get("FACETALLY_WINDOWS", "1000"))
"""More by hand: 10,000 take a minute."""


def test_a_window_leaves_the_spool_when_the_collector_has_it(tmp_path):
    """With no collector all hundred stay, acknowledged by the broker; when one comes, all are stored and deleted."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), device(tmp_path, port, 100, again_s=1.0, confirm="collector") as sender:
        sender.until(lambda: sender.publisher._outbox.unconfirmed == 100, "the broker has all")
        assert sender.spool.depth() == 100
        with collecting(root, port):
            sender.sends_all()
    assert stored(root) == dict.fromkeys(range(100), 1)


def test_nothing_is_lost_whatever_the_broker_drops(tmp_path):
    """Its queue overflows, it is killed and forgets all, the collector's session is deleted: each window is stored
    once."""
    port, root, windows = free_port(), tmp_path / "store", WINDOWS
    small = ("max_queued_messages 30", "max_inflight_messages 5")
    with device(tmp_path, port, windows, again_s=0.5, confirm="collector", drain_per_s=1000) as sender:
        dropped = 0
        for _ in range(3):
            with mosquitto(tmp_path, port, *small) as broker:
                with collecting(root, port):
                    sender.until(lambda: sender.publisher.connected, "connected")
                before = sum(stored(root).values())
                sender.until(lambda: sender.publisher._outbox.unconfirmed >= 95, "the queue overflows")
                with collecting(root, port, in_flight=5):
                    target = min(windows, before + windows // 7)
                    sender.until(lambda t=target: sum(stored(root).values()) >= t, "some are stored", 300.0)
                forget_session(port)
                dropped += sender.publisher._outbox.unconfirmed > 0
                broker.send_signal(signal.SIGKILL)
                broker.wait()
            sender.until(lambda: not sender.publisher.connected, "lost")
        assert dropped
        with mosquitto(tmp_path, port, *small), collecting(root, port):
            sender.until(lambda: sender.spool.depth() == 0, "all are confirmed", 300.0)
    assert stored(root) == dict.fromkeys(range(windows), 1)


def forget_session(port):
    """Somebody connects under the collector's name with a clean session."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "facetally-collector-collector", clean_session=True)
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(client.is_connected, "connected")
    client.disconnect()
    client.loop_stop()


def test_what_the_broker_took_before_the_collector_came_is_stored_within_seconds(tmp_path):
    """A broker that was killed knows no session of the collector. The device is back first: the broker acknowledges its
    windows and drops them. A collector that greets a second later receives them, without further windows."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), device(tmp_path, port, 3, confirm="collector") as sender:
        sender.until(lambda: sender.publisher._outbox.unconfirmed == 3, "the broker has all")
        time.sleep(1.0)
        with collecting(root, port):
            sender.until(lambda: sender.spool.depth() == 0, "all are confirmed", 20.0)
    assert stored(root) == dict.fromkeys(range(3), 1)


def test_two_collectors_that_share_confirm_between_them(tmp_path):
    """Each has a part of the windows, and the device deletes all."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), ExitStack() as stack:
        for writer in ("one", "two"):
            stack.enter_context(collecting(root, port, writer, share="both"))
        sender = stack.enter_context(device(tmp_path, port, 60, confirm="collector"))
        sender.sends_all()
    assert stored(root) == dict.fromkeys(range(60), 1)
    assert len(list(root.glob("date=*/site=*/*.csv"))) == 2


def test_a_window_that_is_set_aside_for_good_is_not_sent_for_ever(tmp_path):
    """The collector knows it and keeps it among the dead letters: confirmed, and the spool is empty."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), collecting(root, port), device(tmp_path, port, confirm="collector") as sender:
        sender.spool.add(counts(0, 6, visits={"device": 6, "neutral": 0, "unknown": 0}))  # the name of a column
        sender.spool.add(counts(1, 6))
        sender.sends_all()
    assert stored(root) == {1: 1}
    assert "name of a column" in json.loads((root / "dead-letters.jsonl").read_text())["reason"]


def users(folder, *names):
    """A broker's lines by which these users are let in, with the shipped rules, and the file of their password."""
    passwords, word = folder / "users", folder / "word"
    passwords.touch(mode=0o600)
    word.write_text("word\n")
    for name in names:
        subprocess.run(["mosquitto_passwd", "-b", passwords, name, "word"], check=True, capture_output=True)
    shipped = (ROOT / "systemd" / "broker" / "mosquitto-tls.conf").read_text()
    assert shipped.count("use_username_as_clientid true") == shipped.count("\nlistener ")
    acl = ROOT / "systemd" / "broker" / "mosquitto.acl"
    lines = ("allow_anonymous false", f"acl_file {acl}", f"password_file {passwords}", "use_username_as_clientid true")
    return lines, str(word)


def test_nobody_takes_the_session_of_the_collector(tmp_path):
    """A device connects under the collector's client id with a clean session, while that is away: what waits for the
    collector is still there when it comes back."""
    port, root = free_port(), tmp_path / "store"
    lines, word = users(tmp_path, "shop-1/door", "shop-2/till", "collector")
    login = {"username": "collector", "password_file": word}
    with mosquitto(tmp_path, port, *lines):
        with collecting(root, port, **login):
            pass
        own = {"username": "shop-1/door", "password_file": word}
        with device(tmp_path, port, 20, confirm="broker", **own) as sender:
            sender.sends_all()
        for name in ("collector", "facetally-collector-collector"):
            thief = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, clean_session=True)
            thief.username_pw_set("shop-2/till", "word")
            thief.connect("127.0.0.1", port)
            thief.loop_start()
            wait_until(thief.is_connected, "connected")
            thief.disconnect()
            thief.loop_stop()
        with collecting(root, port, **login):
            wait_until(lambda: sum(stored(root).values()) == 20, "all are stored")


def test_only_its_own_receipts_reach_a_device_and_only_collectors_write_them(tmp_path):
    """With the shipped rules: a forged receipt of another device, or of its own, deletes nothing."""
    port = free_port()
    told, word = users(tmp_path, "shop-1/door", "shop-2/till", "collector")
    login = {"username": "shop-1/door", "password_file": word}
    forged = encode_receipt(Stored(schema=1, boots={"0123456789abcdef": ((0, 999),)}))
    with mosquitto(tmp_path, port, *told), device(tmp_path, port, 5, 1.0, confirm="collector", **login) as sender:
        sender.until(lambda: sender.publisher._outbox.unconfirmed == 5, "sent")
        for user in ("shop-2/till", "shop-1/door"):
            forger = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
            forger.username_pw_set(user, "word")
            forger.connect("127.0.0.1", port)
            forger.loop_start()
            forger.publish(f"{ABOUT}/stored/collector", forged, 1, retain=True)
            wait_until(forger.is_connected, "connected")
            forger.disconnect()
            forger.loop_stop()
        sender.until(lambda: sender.publisher.connected, "there again: the forger had its name")
        for _ in range(50):
            sender.publisher.pump(sender.spool)
        assert sender.spool.depth() == 5
        with listening(port, "#", username="shop-2/till", password="word") as heard:
            pass
        assert heard == []
        with collecting(tmp_path / "store", port, username="collector", password_file=word):
            sender.sends_all()
