"""Spooled windows reach a real Mosquitto whatever happens to it, and only what it has taken leaves the spool."""

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

from contract.message import Counts, Health, Model, Status, decode, encode
from edge.delivery.printer import Printer
from edge.delivery.publish import Identity, Publisher, published
from edge.delivery.rate_limit import Pace
from edge.delivery.spool import opened
from edge.settings import PublishSettings
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.fakes import MODEL, counts, lines_of
from tests.support.messages import MESSAGES
from tests.support.publishing import ABOUT, BOOT, ME, OTHER_BOOT, device, listening, minutes, retained, states

pytestmark = needs_mosquitto


def test_windows_arrive_in_order_and_leave_the_spool(tmp_path):
    """Two hundred windows, more than may be in flight: each arrives once, byte for byte, not retained."""
    port = free_port()
    with mosquitto(tmp_path, port), listening(port, "+/+/counts") as heard, device(tmp_path, port, 200) as sender:
        spooled = [payload for _, payload in sender.spool.waiting(0, 1000)]
        sender.sends_all()
        wait_until(lambda: len(heard) >= 200, "all heard")
    assert [(topic, payload) for topic, payload, _ in heard] == [(f"{ABOUT}/counts", each) for each in spooled]
    assert not any(is_retained for *_, is_retained in heard)


def test_starts_with_the_broker_down(tmp_path):
    """Windows wait in the spool until there is a broker; that it is unreachable is said once."""
    port = free_port()
    with lines_of("edge.delivery.publish") as said, device(tmp_path, port, 3) as sender:
        sender.until(lambda: sender.publisher._failures >= 3, "three attempts have failed")
        assert (sender.publisher.connected, sender.spool.depth()) == (False, 3)
        with mosquitto(tmp_path, port), listening(port, "+/+/counts") as heard:
            sender.sends_all()
            wait_until(lambda: minutes(heard) == [0, 1, 2], "heard")
    assert [line.split()[0] for line in said] == ["event=broker_unreachable", "event=broker_connected"]


def test_broker_that_dies_and_comes_back(tmp_path):
    """Killed in mid-stream: what it had not acknowledged is sent again, and nothing is missing."""
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
            wait_until(lambda: set(minutes(later)) >= set(range(400 - left, 401)), "the rest is heard")
        assert set(minutes(earlier)) | set(minutes(later)) == set(range(401))


def test_puback_alone_deletes(tmp_path):
    """A broker is silent after the CONNACK: what was sent stays in the spool, and no more than twenty are sent."""
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
    """A collector that comes later can still correct shares: labels, figures and confusion are there."""
    port = free_port()
    with mosquitto(tmp_path, port), device(tmp_path, port) as sender:
        sender.connects()
        assert decode(retained(port, "model"), Model) == MODEL


def test_health_is_retained(tmp_path):
    """The last health message tells a newcomer how the device fares."""
    port = free_port()
    with mosquitto(tmp_path, port), device(tmp_path, port) as sender:
        sender.publisher.health(MESSAGES["health-1"])  # no connection yet: lost, and nothing happens
        sender.connects()
        sender.publisher.health(MESSAGES["health-1"])
        assert retained(port, "health") == encode(MESSAGES["health-1"])


def test_status_is_online_and_then_stopping(tmp_path):
    """Retained, with this start's boot id; an orderly end is no last will."""
    port = free_port()
    with mosquitto(tmp_path, port), listening(port, "+/+/status") as heard:
        with device(tmp_path, port) as sender:
            sender.connects()
            assert json.loads(retained(port, "status")) == {"schema": 1, "state": "online", "boot": BOOT}
        wait_until(lambda: len(states(heard)) == 2, "both heard")
        assert json.loads(retained(port, "status"))["state"] == "stopping"
    assert states(heard) == [("online", BOOT), ("stopping", BOOT)]


def test_cut_connection_is_offline_until_it_is_back(tmp_path):
    """The will says offline with the boot id; the device comes back and says online again."""
    port = free_port()
    with mosquitto(tmp_path, port), listening(port, "+/+/status") as heard, device(tmp_path, port) as sender:
        sender.connects()
        wait_until(lambda: bool(states(heard)), "online")
        sender.publisher._client.socket().shutdown(socket.SHUT_RDWR)
        sender.until(lambda: len(states(heard)) >= 3, "back")
        assert states(heard) == [("online", BOOT), ("offline", BOOT), ("online", BOOT)]


def test_late_will_of_an_older_start_is_answered(tmp_path):
    """``offline`` of another boot is an old session's will: the device says that it is here, once for several that come
    together. All else it lets be."""
    port, old_will = free_port(), encode(Status(schema=1, state="offline", boot=OTHER_BOOT))
    others = [
        encode(Status(schema=1, state="online", boot=OTHER_BOOT)),
        encode(Status(schema=1, state="offline", boot=BOOT)),
        b"not JSON",
        b"",
    ]
    here = encode(Status(schema=1, state="online", boot=BOOT))
    with mosquitto(tmp_path, port), listening(port, "+/+/status") as heard, device(tmp_path, port) as sender:
        sender.connects()
        for answers, payloads in ((2, [old_will]), (3, [*others, old_will, old_will])):
            for payload in payloads:
                sender.publisher._client.publish(f"{ABOUT}/status", payload, 1)
            sender.until(lambda n=answers: [told for _, told, _ in heard].count(here) >= n, "answered")
        for _ in range(10):
            sender.publisher.pump(sender.spool)
        assert [payload for _, payload, _ in heard].count(here) == 3
        assert retained(port, "status") == here


def test_printer_prints_one_message_a_line(tmp_path):
    """In place of a broker: JSON lines, and the spool is empty."""
    stream = io.StringIO()
    with opened(tmp_path / "spool", 100) as spool, published(PublishSettings(), ME, MODEL, stream) as printer:
        assert isinstance(printer, Printer)
        for minute in range(45):
            spool.add(counts(minute, 6))
        printer.pump(spool)
        printer.health(MESSAGES["health-1"])
        assert spool.depth() == 0
    assert [decode(line.encode(), Counts).seq for line in stream.getvalue().splitlines()] == list(range(45))


def test_new_windows_do_not_wait_for_the_backlog_of_an_outage(tmp_path):
    """Five hundred windows wait, ten a second may go: a new one arrives within seconds, the old ones in their order."""
    port = free_port()
    with (
        mosquitto(tmp_path, port),
        listening(port, "+/+/counts") as heard,
        device(tmp_path, port, 500, drain_per_s=10) as sender,
    ):
        sender.until(lambda: len(heard) >= 25, "some of the backlog")
        sender.spool.add(counts(1000, 77))
        sender.until(lambda: any(b":77" in payload for _, payload, _ in heard), "the new window")
        assert len(heard) < 150
        starts = [decode(payload, Counts).start for _, payload, _ in heard if b":77" not in payload]
        assert starts == sorted(starts)


def test_a_backlog_goes_out_at_its_pace():
    """Ten a second on the average, never more than fit in flight."""
    pace, sent = Pace(10.0), []
    for tick in range(100):
        now = tick / 10
        allowed = pace.most(20, now)
        pace.spend(allowed)
        sent.append(allowed)
    assert sent[0] == 20
    assert max(sent[1:]) <= 2
    assert sum(sent) == pytest.approx(20 + 99, abs=2)


def test_two_units_with_one_name_are_said(tmp_path):
    """A copied card: both take the session from each other; logs name the other's boot, once, and so does health."""
    port, wanted, pairs = free_port(), [], {(BOOT, OTHER_BOOT), (OTHER_BOOT, BOOT)}
    with mosquitto(tmp_path, port), lines_of("edge.delivery.publish") as said, ExitStack() as open_ones:
        heard = open_ones.enter_context(listening(port, "+/+/health"))
        units = []
        for seed, boot in enumerate((BOOT, OTHER_BOOT)):
            spool = open_ones.enter_context(opened(tmp_path / boot, 10))
            settings = PublishSettings(host="127.0.0.1", port=port, confirm="broker")
            unit = Publisher(settings, Identity("shop-1", "door", boot), MODEL, random.Random(seed))
            open_ones.callback(unit.close)
            units.append((unit, spool, msgspec.structs.replace(MESSAGES["health-1"], schema=2, boot=boot)))
            wanted.append(f"event=device_id_shared site=shop-1 device=door by={boot}")

        def both() -> bool:
            for unit, spool, health in units:
                unit.pump(spool)
                unit.health(health)
            told = [decode(payload, Health) for _, payload, _ in heard]
            return all(line in said for line in wanted) and {(each.boot, each.shared_with) for each in told} >= pairs

        wait_until(both, "both have noticed", 60)
        assert [said.count(line) for line in wanted] == [1, 1]


def test_two_units_whose_names_only_look_alike_both_stay(tmp_path):
    """``shop-1`` with ``door`` and ``shop`` with ``1-door`` are two clients to the broker."""
    port = free_port()
    with mosquitto(tmp_path, port), lines_of("edge.delivery.publish") as said, ExitStack() as open_ones:
        units = []
        for site, name in (("shop-1", "door"), ("shop", "1-door")):
            spool = open_ones.enter_context(opened(tmp_path / site, 10))
            settings = PublishSettings(host="127.0.0.1", port=port, confirm="broker")
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
    assert not any("broker_lost" in line for line in said)


def test_a_restart_is_no_other_unit(tmp_path):
    """The status of the boot before, still retained when a daemon comes back, is no alarm."""
    port = free_port()
    with mosquitto(tmp_path, port), lines_of("edge.delivery.publish") as said:
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", port)
        client.loop_start()
        old = encode(Status(schema=1, state="online", boot=OTHER_BOOT))
        client.publish(f"{ABOUT}/status", old, 1, retain=True).wait_for_publish(5)
        client.disconnect()
        client.loop_stop()
        with device(tmp_path, port, 3) as sender:
            sender.sends_all()
        assert not any("device_id_shared" in line for line in said)
