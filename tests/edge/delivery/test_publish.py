"""Spooled windows reach a real Mosquitto despite its failures, and leave the spool only once it has taken them."""

import io
import json
import random
import signal
import socket
import time
from contextlib import ExitStack

import msgspec
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from contract.health import Health
from contract.message import Counts, Model, Status, decode, encode
from edge.delivery.printer import Printer
from edge.delivery.publish import Identity, Publisher, published
from edge.delivery.rate_limit import RateLimit
from edge.delivery.spool import opened
from edge.settings import BrokerSettings
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.fakes import MODEL, counts, lines_of
from tests.support.messages import MESSAGES
from tests.support.publishing import ABOUT, BOOT, ME, OTHER_BOOT, device, listening, minutes, retained, states

pytestmark = needs_mosquitto


def test_windows_arrive_in_order_and_leave_the_spool(tmp_path):
    """200 windows, more than may be in flight, arrive once each, in order, byte for byte, not retained."""
    port = free_port()
    with mosquitto(tmp_path, port), listening(port, "+/+/counts") as received, device(tmp_path, port, 200) as sender:
        spooled = [payload for _, payload in sender.spool.waiting(0, 1000)]
        sender.sends_all()
        wait_until(lambda: len(received) >= 200, "all received")
    assert [(topic, payload) for topic, payload, _ in received] == [(f"{ABOUT}/counts", each) for each in spooled]
    assert not any(is_retained for *_, is_retained in received)


def test_starts_with_the_broker_down(tmp_path):
    """Windows wait in the spool until the broker is up; that it is unreachable is logged once."""
    port = free_port()
    with lines_of("edge.delivery.broker_link") as logged, device(tmp_path, port, 3) as sender:
        sender.until(lambda: sender.publisher.link.failures >= 3, "three attempts have failed")
        assert (sender.publisher.connected, sender.spool.depth()) == (False, 3)
        with mosquitto(tmp_path, port), listening(port, "+/+/counts") as received:
            sender.sends_all()
            wait_until(lambda: minutes(received) == [0, 1, 2], "received")
    assert [line.split()[0] for line in logged] == ["event=broker_unreachable", "event=broker_connected"]


def test_broker_that_dies_and_comes_back(tmp_path):
    """After the broker is killed while windows are sent, unacknowledged ones are sent again and none is missing."""
    port = free_port()
    with ExitStack() as first, device(tmp_path, port, 400) as sender:
        broker = first.enter_context(mosquitto(tmp_path, port))
        earlier = first.enter_context(listening(port, "+/+/counts"))
        sender.until(lambda: 0 < sender.spool.depth() < 380, "some are acknowledged")
        broker.send_signal(signal.SIGKILL)
        broker.wait()
        sender.until(lambda: not sender.publisher.connected, "lost")
        left = sender.spool.depth()
        sender.spool.add(counts(400, 7))
        assert 0 < left < 400
        assert sender.spool.depth() == left + 1
        with mosquitto(tmp_path, port), listening(port, "+/+/counts") as later:
            sender.sends_all()
            wait_until(lambda: set(minutes(later)) >= set(range(400 - left, 401)), "the rest is received")
        assert set(minutes(earlier)) | set(minutes(later)) == set(range(401))


def test_puback_alone_deletes(tmp_path):
    """Without PUBACKs windows stay in the spool, and no more than 20 are sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, device(tmp_path, listener.getsockname()[1], 30) as sender:
        broker, _ = listener.accept()
        with broker:
            broker.recv(4096)
            broker.sendall(b"\x20\x03\x00\x00\x00")  # CONNACK of MQTT 5, success, no properties
            sender.until(lambda: sender.publisher._outbox.in_flight == 20, "twenty are on the way")
            for _ in range(20):
                sender.publisher.pump(sender.spool)
            assert (sender.spool.depth(), sender.publisher._outbox.in_flight) == (30, 20)


def test_model_is_retained(tmp_path):
    """The model message is retained, so that a collector that connects later can correct shares."""
    port = free_port()
    with mosquitto(tmp_path, port), device(tmp_path, port) as sender:
        sender.connects()
        assert decode(retained(port, "model"), Model) == MODEL


def test_health_is_retained(tmp_path):
    """The last health message is retained; without a connection it is dropped."""
    port = free_port()
    with mosquitto(tmp_path, port), device(tmp_path, port) as sender:
        sender.publisher.health(MESSAGES["health-1"])  # no connection yet: dropped
        sender.connects()
        sender.publisher.health(MESSAGES["health-1"])
        assert retained(port, "health") == encode(MESSAGES["health-1"])


def test_status_is_online_and_then_stopping(tmp_path):
    """The status is retained and has the boot id; an orderly end publishes ``stopping`` and no last will."""
    port = free_port()
    with mosquitto(tmp_path, port), listening(port, "+/+/status") as received:
        with device(tmp_path, port) as sender:
            sender.connects()
            assert json.loads(retained(port, "status")) == {"schema": 1, "state": "online", "boot": BOOT}
        wait_until(lambda: len(states(received)) == 2, "both received")
        assert json.loads(retained(port, "status"))["state"] == "stopping"
    assert states(received) == [("online", BOOT), ("stopping", BOOT)]


def test_cut_connection_is_offline_until_it_is_back(tmp_path):
    """A cut connection publishes the last will ``offline``; after reconnecting the device publishes ``online``."""
    port = free_port()
    with mosquitto(tmp_path, port), listening(port, "+/+/status") as received, device(tmp_path, port) as sender:
        sender.connects()
        wait_until(lambda: bool(states(received)), "online")
        sender.publisher.link.client.socket().shutdown(socket.SHUT_RDWR)
        sender.until(lambda: len(states(received)) >= 3, "back")
        assert states(received) == [("online", BOOT), ("offline", BOOT), ("online", BOOT)]


def test_late_will_of_an_older_start_is_answered(tmp_path):
    """An ``offline`` of another boot is a late will and is answered with ``online``, once for several at a time. Other
    messages on the status topic are not answered."""
    port, old_will = free_port(), encode(Status(schema=1, state="offline", boot=OTHER_BOOT))
    others = [
        encode(Status(schema=1, state="online", boot=OTHER_BOOT)),
        encode(Status(schema=1, state="offline", boot=BOOT)),
        b"not JSON",
        b"",
    ]
    here = encode(Status(schema=1, state="online", boot=BOOT))
    with mosquitto(tmp_path, port), listening(port, "+/+/status") as received, device(tmp_path, port) as sender:
        sender.connects()
        for answers, payloads in ((2, [old_will]), (3, [*others, old_will, old_will])):
            for payload in payloads:
                sender.publisher.link.client.publish(f"{ABOUT}/status", payload, 1)
            sender.until(lambda n=answers: [reported for _, reported, _ in received].count(here) >= n, "answered")
        for _ in range(10):
            sender.publisher.pump(sender.spool)
        assert [payload for _, payload, _ in received].count(here) == 3
        assert retained(port, "status") == here


def test_printer_prints_one_message_a_line(tmp_path):
    """A printer prints JSON lines and empties the spool."""
    stream = io.StringIO()
    with opened(tmp_path / "spool", 100) as spool, published(BrokerSettings(), ME, MODEL, stream) as printer:
        assert isinstance(printer, Printer)
        for minute in range(45):
            spool.add(counts(minute, 6))
        printer.pump(spool)
        printer.health(MESSAGES["health-1"])
        assert spool.depth() == 0
    assert [decode(line.encode(), Counts).seq for line in stream.getvalue().splitlines()] == list(range(45))


def test_new_windows_do_not_wait_for_the_backlog_of_an_outage(tmp_path):
    """With 500 windows waiting at 10 a second, a new one arrives within seconds, the old ones in order."""
    port = free_port()
    with (
        mosquitto(tmp_path, port),
        listening(port, "+/+/counts") as received,
        device(tmp_path, port, 500, drain_per_s=10) as sender,
    ):
        sender.until(lambda: len(received) >= 25, "some of the backlog")
        sender.spool.add(counts(1000, 77))
        sender.until(lambda: any(b":77" in payload for _, payload, _ in received), "the new window")
        assert len(received) < 150
        starts = [decode(payload, Counts).start for _, payload, _ in received if b":77" not in payload]
        assert starts == sorted(starts)


def test_a_backlog_is_sent_at_its_rate():
    """A backlog is sent at 10 messages a second on average, never more at once than may be in flight."""
    limit, sent = RateLimit(10.0), []
    for tick in range(100):
        now = tick / 10
        allowed = limit.allowed(20, now)
        limit.spend(allowed)
        sent.append(allowed)
    assert sent[0] == 20
    assert max(sent[1:]) <= 2
    assert sum(sent) == pytest.approx(20 + 99, abs=2)


def test_two_devices_with_one_id_are_reported(tmp_path):
    """Two devices with the same ids, as after copying a card, log the other's boot once and report it in health."""
    port, wanted, pairs = free_port(), [], {(BOOT, OTHER_BOOT), (OTHER_BOOT, BOOT)}
    with mosquitto(tmp_path, port), lines_of("edge.delivery.publish") as logged, ExitStack() as open_ones:
        received = open_ones.enter_context(listening(port, "+/+/health"))
        units = []
        for seed, boot in enumerate((BOOT, OTHER_BOOT)):
            spool = open_ones.enter_context(opened(tmp_path / boot, 10))
            settings = BrokerSettings(host="127.0.0.1", port=port, confirm="broker")
            unit = Publisher(settings, Identity("shop-1", "door", boot), MODEL, random.Random(seed))
            open_ones.callback(unit.close)
            units.append((unit, spool, msgspec.structs.replace(MESSAGES["health-1"], schema=2, boot=boot)))
            wanted.append(f"event=device_id_shared site=shop-1 device=door by={boot}")

        def both() -> bool:
            for unit, spool, health in units:
                unit.pump(spool)
                unit.health(health)
            reported = [decode(payload, Health) for _, payload, _ in received]
            return (
                all(line in logged for line in wanted) and {(each.boot, each.shared_with) for each in reported} >= pairs
            )

        wait_until(both, "both have noticed", 60)
        assert [logged.count(line) for line in wanted] == [1, 1]


def test_two_devices_with_similar_ids_both_stay_connected(tmp_path):
    """``shop-1`` with ``door`` and ``shop`` with ``1-door`` have different client ids."""
    port = free_port()
    with mosquitto(tmp_path, port), lines_of("edge.delivery.broker_link") as logged, ExitStack() as open_ones:
        units = []
        for site, name in (("shop-1", "door"), ("shop", "1-door")):
            spool = open_ones.enter_context(opened(tmp_path / site, 10))
            settings = BrokerSettings(host="127.0.0.1", port=port, confirm="broker")
            units.append((Publisher(settings, Identity(site, name, BOOT), MODEL, random.Random(1)), spool))
            open_ones.callback(units[-1][0].close)

        def both() -> bool:
            for unit, spool in units:
                unit.pump(spool)
            return all(unit.connected for unit, _ in units)

        wait_until(both, "both are connected")
        for _ in range(50):
            assert both()
            time.sleep(0.02)
    assert not any("broker_lost" in line for line in logged)


def test_a_restart_is_no_duplicate_device(tmp_path):
    """The retained status of the previous start is not reported as a duplicate device."""
    port = free_port()
    with mosquitto(tmp_path, port), lines_of("edge.delivery.publish") as logged:
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", port)
        client.loop_start()
        old = encode(Status(schema=1, state="online", boot=OTHER_BOOT))
        client.publish(f"{ABOUT}/status", old, 1, retain=True).wait_for_publish(5)
        client.disconnect()
        client.loop_stop()
        with device(tmp_path, port, 3) as sender:
            sender.sends_all()
        assert not any("device_id_shared" in line for line in logged)
