"""Brokers that refuse the password, a message or MQTT 5, and missing files: nothing is lost."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from base.errors import SettingsError
from base.tls import Tls
from edge.delivery.publish import Publisher
from edge.settings import BrokerSettings
from tests.support.brokers import LIMIT_S, free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.fakes import MODEL, lines_of, only_mqtt_311
from tests.support.publishing import ABOUT, ME, AtOnce, device, listening, minutes

pytestmark = needs_mosquitto


def password_file(folder, name, word):
    path = folder / "passwords"
    path.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", path, name, word], check=True, capture_output=True)
    return path


def test_wrong_password_is_said_and_loses_nothing(tmp_path):
    """A wrong password is logged once with the reason and does not change the version of MQTT; once it is right all is
    sent."""
    port, secret = free_port(), tmp_path / "secret"
    secret.write_text("right\n")
    passwords = password_file(tmp_path, "door", "wrong")
    with ExitStack() as stack:
        broker = stack.enter_context(mosquitto(tmp_path, port, "allow_anonymous false", f"password_file {passwords}"))
        logged = stack.enter_context(lines_of("edge.delivery.broker_link"))
        login = {"username": "door", "password_file": str(secret)}
        sender = stack.enter_context(device(tmp_path, port, 3, **login))
        sender.until(lambda: sender.publisher.link.failures >= 7, "refused again and again")
        assert (sender.publisher.connected, sender.spool.depth()) == (False, 3)
        assert [line for line in logged if "Not authorized" in line] == logged
        assert len(logged) == 1
        password_file(tmp_path, "door", "right")
        broker.send_signal(signal.SIGHUP)
        sender.sends_all()
        assert logged[-1].endswith('reason="MQTT 5"')


def test_message_that_the_broker_refuses_stays(tmp_path):
    """A message that the broker's rules refuse is logged, stays in the spool, and is sent on the next connection."""
    port, acl = free_port(), tmp_path / "acl"
    acl.write_text(f"topic readwrite {ABOUT}/status\ntopic write {ABOUT}/model\n")
    with ExitStack() as stack:
        # where its queue has no bound, Mosquitto 2.0.11 hangs up on a publish that it denies, instead of saying so
        broker = stack.enter_context(mosquitto(tmp_path, port, f"acl_file {acl}", "max_queued_messages 1000"))
        logged = stack.enter_context(lines_of("edge.delivery.broker_link"))
        sender = stack.enter_context(device(tmp_path, port, 3))
        sender.until(lambda: sender.publisher._outbox.refused, "refused")
        sender.until(lambda: not sender.publisher._outbox.in_flight, "all refused")
        assert sender.spool.depth() == 3
        assert [line.split()[0] for line in logged] == ["event=broker_connected", "event=message_refused"]
        assert "Not authorized" in logged[1]
        acl.write_text("topic readwrite facetally/#\n")
        broker.send_signal(signal.SIGHUP)
        sender.publisher.link.client.socket().shutdown(socket.SHUT_RDWR)
        received = stack.enter_context(listening(port, "+/+/counts"))
        sender.sends_all()
        wait_until(lambda: set(minutes(received)) == {0, 1, 2}, "received")


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x01", b""], ids=["refuses MQTT 5", "hangs up on MQTT 5"])
def test_older_broker_gets_mqtt_311(tmp_path, answer):
    """If the broker refuses or hangs up on MQTT 5, 3.1.1 is used and everything arrives."""
    port = free_port()
    with ExitStack() as stack:
        stack.enter_context(mosquitto(tmp_path, port))
        before = stack.enter_context(only_mqtt_311(port, answer))
        received = stack.enter_context(listening(port, "+/+/counts"))
        logged = stack.enter_context(lines_of("edge.delivery.broker_link"))
        sender = stack.enter_context(device(tmp_path, before, 30))
        sender.sends_all()
        wait_until(lambda: minutes(received) == list(range(30)), "received")
    assert logged[-1].endswith('reason="MQTT 3.1.1"')


def test_broker_replaced_by_an_older_one(tmp_path):
    """What the first broker never acknowledged is sent again to the older one that replaces it."""
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
        sender.until(lambda: sender.publisher._outbox.in_flight == 3, "three are on the way")
        first.close()
        sender.until(lambda: not sender.publisher.connected, "lost")
        answers(b"\x20\x02\x00\x01").close()  # CONNACK of 3.1.1: unacceptable protocol version
        sender.until(lambda: sender.publisher.link._protocol == MQTTProtocolVersion.MQTTv311, "3.1.1 is tried")
        last = answers(b"\x20\x02\x00\x00")  # welcome
        sender.connects()
        sender.until(lambda: sender.publisher._outbox.in_flight == 3, "three are on the way again")
        last.settimeout(LIMIT_S)
        received = b""
        while received.count(b'"merged":1') < 3:
            received += last.recv(65536)
        assert [seq in received for seq in (b'"seq":0,', b'"seq":1,', b'"seq":2,')] == [True] * 3
        assert sender.spool.depth() == 3


@pytest.mark.parametrize("hangs_up", [True, False], ids=["hangs up", "expected nothing"])
def test_broker_that_never_answers_is_logged_once(tmp_path, hangs_up):
    """Both versions are tried in turn, and the log has one line, not one per attempt."""
    listener, open_ones, accepted = socket.create_server(("127.0.0.1", 0)), [], []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                accepted.append(connection.recv(4096)[8])  # the version
                connection.close() if hangs_up else open_ones.append(connection)

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    with listener, lines_of("edge.delivery.broker_link") as logged, device(tmp_path, port, 1) as sender:
        sender.until(lambda: accepted.count(4) and len(accepted) >= (6 if hangs_up else 3), "both, again and again")
        listener.shutdown(socket.SHUT_RDWR)
    for connection in open_ones:
        connection.close()
    assert [line.split()[0] for line in logged] == ["event=broker_hangs_up" if hangs_up else "event=broker_silent"]


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
    """Run the broker of the demonstration, which speaks 3.1.1 only, in a process: it leaves sockets open."""
    pytest.importorskip("amqtt")
    with subprocess.Popen([sys.executable, "-c", AMQTT, str(port)], stderr=subprocess.DEVNULL) as process:
        yield
        process.kill()


def test_amqtt_gets_all(tmp_path):
    """amqtt, which hangs up on MQTT 5 without an answer, gets every window."""
    port = free_port()
    with amqtt(port), device(tmp_path, port, 5) as sender:
        sender.sends_all()


def test_broker_lost_a_moment_ago_does_not_prevent_an_orderly_end(tmp_path):
    """Closing works when the connection was lost and the publisher has not noticed yet."""
    port = free_port()
    with device(tmp_path, port, 0) as sender:
        with mosquitto(tmp_path, port) as broker:
            sender.connects()
            broker.send_signal(signal.SIGKILL)
            broker.wait()
            wait_until(lambda: sender.publisher.link.client.socket() is None, "the client has noticed")
        assert sender.publisher.connected


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"username": "a", "password_file": "/none/secret"}, "broker.password_file.*/none/secret"),
        ({"tls": Tls(ca="/none/ca.pem")}, "broker.tls"),
    ],
)
def test_file_that_is_missing_is_named(settings, key):
    """A missing password or certificate file raises SettingsError, which names key and file."""
    with pytest.raises(SettingsError, match=key):
        Publisher(BrokerSettings(**settings), ME, MODEL, AtOnce())
