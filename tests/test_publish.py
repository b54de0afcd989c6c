"""Spooled windows reach a real Mosquitto whatever happens to it, and only what it has taken leaves the spool."""

import io
import json
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, contextmanager

import pytest
from fakes import MODEL, counts, lines_of, only_mqtt_311
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from test_message import MESSAGES
from test_receive import free_port, mosquitto, needs_mosquitto, wait_until

from contract.errors import SettingsError
from contract.message import Counts, Model, Status, decode, encode
from edge.publish import Identity, Pace, Printer, Publisher, published
from edge.settings import PublishSettings, Tls
from edge.spool import opened

pytestmark = needs_mosquitto
BOOT, OTHER_BOOT = "1" * 16, "2" * 16
ME = Identity("shop-1", "door", BOOT)
ABOUT = "facetally/v1/shop-1/door"


class AtOnce(random.Random):
    """Chance that never waits."""

    def uniform(self, a: float, b: float) -> float:
        return a


class Device:
    """A publisher and its spool, pumped as the daemon's loop does."""

    def __init__(self, publisher, spool):
        self.publisher, self.spool = publisher, spool

    def until(self, fact: Callable[[], bool], what: str) -> None:
        def pumped() -> bool:
            self.publisher.pump(self.spool)
            return fact()

        wait_until(pumped, what)

    def sends_all(self) -> None:
        self.until(lambda: self.spool.depth() == 0, "all windows are acknowledged")

    def connects(self) -> None:
        self.until(lambda: self.publisher.connected, "connected")


@contextmanager
def device(folder, port, windows=0, **settings):
    """A device that has so many windows to send to the broker on a port."""
    with opened(folder / "spool.sqlite", 10_000) as spool:
        for minute in range(windows):
            spool.add(counts(minute, 6))
        settings = {"host": "127.0.0.1", "port": port} | settings
        publisher = Publisher(PublishSettings(**settings), ME, MODEL, AtOnce())
        try:
            yield Device(publisher, spool)
        finally:
            publisher.close()


@contextmanager
def listening(port, levels="#", **login):
    """What somebody hears who subscribes: topic, payload and whether it was retained."""
    heard, there = [], threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe(f"facetally/v1/{levels}", qos=1)
    client.on_subscribe = lambda *_: there.set()
    client.on_message = lambda _c, _u, message: heard.append((message.topic, message.payload, message.retain))
    if login:
        client.username_pw_set(**login)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert there.wait(10)
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def states(heard):
    statuses = [decode(payload, Status) for topic, payload, _ in heard if topic == f"{ABOUT}/status"]
    return [(status.state, status.boot) for status in statuses]


def minutes(heard):
    """The minutes of the windows heard, in order."""
    windows = [decode(payload, Counts) for topic, payload, _ in heard if topic == f"{ABOUT}/counts"]
    return [round((window.start - counts(0).start).total_seconds() / 60) for window in windows]


def retained(port, kind):
    """What a newcomer is told, once there is anything to tell."""
    told = []

    def newcomer() -> bool:
        with listening(port, f"shop-1/door/{kind}") as heard:
            wait_until(lambda: bool(heard), f"a {kind}")
        told.extend(payload for _, payload, is_retained in heard if is_retained)
        return bool(told)

    wait_until(newcomer, f"a retained {kind}")
    return told[-1]


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
    with lines_of("edge.publish") as said, device(tmp_path, port, 3) as sender:
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
            sender.until(lambda: len(sender.publisher._in_flight) == 20, "twenty are on the way")
            for _ in range(20):
                sender.publisher.pump(sender.spool)
            assert (sender.spool.depth(), len(sender.publisher._in_flight)) == (30, 20)


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
    """``offline`` of another boot is an old session's will: the device says that it is here. All else it lets be."""
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
        for payload in (old_will, *others, old_will):
            sender.publisher._client.publish(f"{ABOUT}/status", payload, 1)
        sender.until(lambda: len(heard) >= 9, "answered")
        for _ in range(10):
            sender.publisher.pump(sender.spool)
        assert [payload for _, payload, _ in heard].count(here) == 3
        assert retained(port, "status") == here


def password_file(folder, name, word):
    path = folder / "passwords"
    path.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", path, name, word], check=True, capture_output=True)
    return path


def test_wrong_password_is_said_and_loses_nothing(tmp_path):
    """Refused: said once with the reason, not taken for an old broker; once the password is right all is sent."""
    port, secret = free_port(), tmp_path / "secret"
    secret.write_text("right\n")
    passwords = password_file(tmp_path, "door", "wrong")
    with ExitStack() as stack:
        broker = stack.enter_context(mosquitto(tmp_path, port, "allow_anonymous false", f"password_file {passwords}"))
        said = stack.enter_context(lines_of("edge.publish"))
        login = {"username": "door", "password_file": str(secret)}
        sender = stack.enter_context(device(tmp_path, port, 3, **login))
        sender.until(lambda: sender.publisher._failures >= 7, "refused again and again")
        assert (sender.publisher.connected, sender.spool.depth()) == (False, 3)
        assert [line for line in said if "Not authorized" in line] == said
        assert len(said) == 1
        password_file(tmp_path, "door", "right")
        broker.send_signal(signal.SIGHUP)
        sender.sends_all()
        assert said[-1].endswith('reason="MQTT 5"')


def test_message_that_the_broker_refuses_stays(tmp_path):
    """Not allowed to publish on its topic: said, kept in the spool, and offered again to the next connection."""
    port, acl = free_port(), tmp_path / "acl"
    acl.write_text(f"topic readwrite {ABOUT}/status\ntopic write {ABOUT}/model\n")
    with ExitStack() as stack:
        # where its queue has no bound, Mosquitto 2.0.11 hangs up on a publish that it denies, instead of saying so
        broker = stack.enter_context(mosquitto(tmp_path, port, f"acl_file {acl}", "max_queued_messages 1000"))
        said = stack.enter_context(lines_of("edge.publish"))
        sender = stack.enter_context(device(tmp_path, port, 3))
        sender.until(lambda: sender.publisher._refused, "refused")
        sender.until(lambda: not sender.publisher._in_flight, "all refused")
        assert sender.spool.depth() == 3
        assert [line.split()[0] for line in said] == ["event=broker_connected", "event=message_refused"]
        assert "Not authorized" in said[1]
        acl.write_text("topic readwrite facetally/#\n")
        broker.send_signal(signal.SIGHUP)
        sender.publisher._client.socket().shutdown(socket.SHUT_RDWR)
        heard = stack.enter_context(listening(port, "+/+/counts"))
        sender.sends_all()
        wait_until(lambda: set(minutes(heard)) == {0, 1, 2}, "heard")


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x01", b""], ids=["refuses MQTT 5", "hangs up on MQTT 5"])
def test_older_broker_is_spoken_to_in_311(tmp_path, answer):
    """A broker that does not know MQTT 5 says so or just hangs up: 3.1.1 is tried, and everything arrives."""
    port = free_port()
    with ExitStack() as stack:
        stack.enter_context(mosquitto(tmp_path, port))
        before = stack.enter_context(only_mqtt_311(port, answer))
        heard = stack.enter_context(listening(port, "+/+/counts"))
        said = stack.enter_context(lines_of("edge.publish"))
        sender = stack.enter_context(device(tmp_path, before, 30))
        sender.sends_all()
        wait_until(lambda: minutes(heard) == list(range(30)), "heard")
    assert "event=broker_protocol trying=3.1.1" in said
    assert said[-1].endswith('reason="MQTT 3.1.1"')


def test_broker_that_was_put_back_to_an_older_one(tmp_path):
    """What the first broker had in hand and never acknowledged is sent again to the one that takes its place."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, ExitStack() as stack:
        sender = stack.enter_context(device(tmp_path, listener.getsockname()[1], 3))

        def answers(packet):
            broker, _ = listener.accept()
            stack.enter_context(broker)
            broker.recv(4096)
            broker.sendall(packet)
            return broker

        first = answers(b"\x20\x03\x00\x00\x00")  # CONNACK of MQTT 5: welcome
        sender.until(lambda: len(sender.publisher._in_flight) == 3, "three are on the way")
        first.close()
        sender.until(lambda: not sender.publisher.connected, "lost")
        answers(b"\x20\x02\x00\x01").close()  # CONNACK of 3.1.1: unacceptable protocol version
        sender.until(lambda: sender.publisher._protocol == MQTTProtocolVersion.MQTTv311, "3.1.1 is tried")
        last = answers(b"\x20\x02\x00\x00")  # welcome
        sender.connects()
        sender.until(lambda: len(sender.publisher._in_flight) == 3, "three are on the way again")
        last.settimeout(5)
        received = b""
        while received.count(b'"merged":1') < 3:
            received += last.recv(65536)
        assert [seq in received for seq in (b'"seq":0,', b'"seq":1,', b'"seq":2,')] == [True] * 3
        assert sender.spool.depth() == 3


AMQTT = """
import asyncio, sys
from amqtt.broker import Broker
async def serve():
    await Broker({
        "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1]}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }).start()
    await asyncio.Event().wait()
asyncio.run(serve())
"""


@contextmanager
def amqtt(port):
    """The broker of the demonstration, which speaks 3.1.1 only; in a process of its own, as it leaves sockets open."""
    pytest.importorskip("amqtt")
    with subprocess.Popen([sys.executable, "-c", AMQTT, str(port)], stderr=subprocess.DEVNULL) as process:
        yield
        process.kill()


def test_amqtt_takes_all(tmp_path):
    """The demonstration's broker, which hangs up on MQTT 5 without a word, gets every window."""
    port = free_port()
    with amqtt(port), device(tmp_path, port, 5) as sender:
        sender.sends_all()


def test_broker_gone_a_moment_ago_does_not_spoil_the_end(tmp_path):
    """Told to stop just when the broker has died, and before anybody noticed: the daemon ends in order."""
    port = free_port()
    with device(tmp_path, port, 0) as sender:
        with mosquitto(tmp_path, port) as broker:
            sender.connects()
            broker.send_signal(signal.SIGKILL)
            broker.wait()
            wait_until(lambda: sender.publisher._client.socket() is None, "the client has noticed")
        assert sender.publisher.connected


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"username": "a", "password_file": "/none/secret"}, "publish.password_file.*/none/secret"),
        ({"tls": Tls(ca="/none/ca.pem")}, "publish.tls"),
    ],
)
def test_file_that_is_missing_is_named(settings, key):
    """Secrets and certificates come from files; one that is not there stops the start and is named."""
    with pytest.raises(SettingsError, match=key):
        Publisher(PublishSettings(**settings), ME, MODEL, AtOnce())


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
    """A copied card: both take the session from each other, and both logs name the other's boot, once."""
    port, wanted = free_port(), []
    with mosquitto(tmp_path, port), lines_of("edge.publish") as said, ExitStack() as open_ones:
        units = []
        for seed, boot in enumerate((BOOT, OTHER_BOOT)):
            spool = open_ones.enter_context(opened(tmp_path / boot, 10))
            settings = PublishSettings(host="127.0.0.1", port=port)
            unit = Publisher(settings, Identity("shop-1", "door", boot), MODEL, random.Random(seed))
            open_ones.callback(unit.close)
            units.append((unit, spool))
            wanted.append(f"event=device_id_shared site=shop-1 device=door by={boot}")

        def both() -> bool:
            for unit, spool in units:
                unit.pump(spool)
            return all(line in said for line in wanted)

        wait_until(both, "both have noticed", 60)
        assert [said.count(line) for line in wanted] == [1, 1]


def test_a_restart_is_no_other_unit(tmp_path):
    """The status of the boot before, still retained when a daemon comes back, is no alarm."""
    port = free_port()
    with mosquitto(tmp_path, port), lines_of("edge.publish") as said:
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
