"""TLS between daemon, collector and a real Mosquitto; never a fallback to plain text."""

import random
import socket
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from base.errors import FacetallyError, SettingsError
from base.tls import Tls
from collector.receive.receiver import run
from collector.settings import Broker, Store
from collector.settings import Settings as CollectorSettings
from collector.store.load import load
from edge.delivery.broker_check import logged_in
from edge.delivery.publish import Identity, Publisher
from edge.delivery.spool import opened
from edge.settings import BrokerSettings, read
from tests.support.brokers import LIMIT_S, free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.certificates import Authority
from tests.support.fakes import MODEL, counts, lines_of

pytestmark = [
    needs_mosquitto,
    # paho 2.2 leaves the socket of a failed handshake to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ME = Identity("shop-1", "door", "1" * 16)
EDGE = Path(__file__).parents[3] / "edge" / "samples" / "edge.toml"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ours")


def encrypted(folder, port, authority, host="127.0.0.1"):
    """A broker that requires TLS and a client certificate of the authority."""
    files = authority.issue(host)
    lines = (f"cafile {authority.ca}", f"certfile {files['certificate']}", f"keyfile {files['key']}")
    return mosquitto(folder, port, *lines, "require_certificate true")


@contextmanager
def device(folder, port, tls, **settings):
    """Yield a function that pumps a publisher with three windows until a condition holds."""
    with opened(folder / "spool.sqlite", 100) as spool:
        for minute in range(3):
            spool.add(counts(minute, 6))
        chosen = BrokerSettings(host="127.0.0.1", port=port, tls=Tls(**tls), **settings)
        publisher = Publisher(chosen, ME, MODEL, random.Random(1))

        def until(fact, what):
            wait_until(lambda: (publisher.pump(spool), fact(publisher, spool))[1], what)

        try:
            yield until
        finally:
            publisher.close()


@contextmanager
def collecting(root, port, tls):
    """Run a collector in a thread."""
    stop = threading.Event()
    broker = Broker(host="127.0.0.1", port=port, tls=Tls(**tls))
    settings = CollectorSettings(broker=broker, store=Store(root=str(root)))
    thread = threading.Thread(target=run, args=(settings, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(LIMIT_S)


def test_windows_reach_the_store_with_certificates_on_all_sides(tmp_path, authority):
    """With mutual TLS between device, broker and collector, three windows become three rows."""
    port = free_port()
    with ExitStack() as stack:
        stack.enter_context(encrypted(tmp_path, port, authority))
        logged = stack.enter_context(lines_of("collector.receive.connection"))
        tls = {"ca": authority.ca, **authority.issue("collector.example")}
        stack.enter_context(collecting(tmp_path / "store", port, tls))
        wait_until(lambda: any("event=subscribed" in line for line in logged), "the collector has subscribed")
        until = stack.enter_context(device(tmp_path, port, {"ca": authority.ca, **authority.issue("door.example")}))
        until(lambda _, spool: spool.depth() == 0, "all sent")
        wait_until(lambda: any((tmp_path / "store").glob("date=*")) and len(load(tmp_path / "store")) == 3, "stored")


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "certificate verify failed"), ("10.9.9.9", "mismatch")])
def test_a_broker_with_a_wrong_certificate_is_refused(tmp_path, authority, host, expected):
    """With a certificate of another authority or host nothing is sent, and the reason is logged once."""
    port, signed_by = free_port(), Authority(tmp_path, "theirs") if host == "127.0.0.1" else authority
    tls = {"ca": authority.ca, **authority.issue("door.example")}
    with ExitStack() as stack:
        stack.enter_context(encrypted(tmp_path, port, signed_by, host))
        logged = stack.enter_context(lines_of("edge.delivery.broker_link"))
        received = stack.enter_context(lines_of("collector.receive.receiver"))
        until = stack.enter_context(device(tmp_path, port, tls))
        stack.enter_context(collecting(tmp_path / "store", port, tls))
        until(lambda publisher, _: publisher.link.failures >= 3, "refused three times")
        until(lambda publisher, spool: (publisher.connected, spool.depth()) == (False, 3), "all is kept")
        wait_until(lambda: bool(received), "the collector expected it too")
    assert len(logged) == 1
    assert "event=broker_unreachable" in logged[0]
    assert expected in logged[0]
    assert "event=not_connected" in received[0]
    assert expected in received[0]


def test_a_device_without_certificate_is_told_what_may_be_missing(tmp_path, authority):
    """In TLS 1.3 the broker just hangs up; the log names the likely reason, and nothing is lost."""
    port = free_port()
    with ExitStack() as stack:
        stack.enter_context(encrypted(tmp_path, port, authority))
        logged = stack.enter_context(lines_of("edge.delivery.broker_link"))
        until = stack.enter_context(device(tmp_path, port, {"ca": authority.ca}))
        until(lambda *_: any("event=broker_hangs_up" in line for line in logged), "logged")
        until(lambda publisher, spool: (publisher.connected, spool.depth()) == (False, 3), "all is kept")
    assert any("wants a client certificate" in line for line in logged)


def test_check_verifies_both_certificates(tmp_path, authority):
    """`check` succeeds where the daemon would, and fails with the wrong authority, no certificate or no TLS."""
    port, own = free_port(), authority.issue("door.example")
    theirs = Authority(tmp_path, "theirs").ca
    with encrypted(tmp_path, port, authority):
        for tls, expected in (
            (Tls(ca=authority.ca, **own), None),
            (Tls(ca=theirs, **own), "certificate verify failed"),
            (Tls(ca=authority.ca), "a certificate of ours"),
            (None, "may want tls"),
        ):
            settings = BrokerSettings(host="127.0.0.1", port=port, tls=tls)
            if expected is None:
                with logged_in(settings, "check", 3.0) as session:
                    assert session.version == "5"
            else:
                with pytest.raises((FacetallyError, OSError), match=expected), logged_in(settings, "check", 3.0):
                    pass


def test_nothing_is_ever_sent_unencrypted_instead(tmp_path, authority):
    """A broker without TLS gets only TLS handshakes, for both versions of MQTT, without names or the password."""
    secret = tmp_path / "secret"
    secret.write_text("hush-hush\n")
    got = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    got.append(client.recv(65536))
                    client.sendall(b"\x20\x03\x00\x00\x00")  # a CONNACK in plain text

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        with device(tmp_path, port, {"ca": authority.ca}, username="door", password_file=str(secret)) as until:
            until(lambda *_: len(got) >= 4, "four attempts")
            until(lambda publisher, spool: (publisher.connected, spool.depth()) == (False, 3), "all is kept")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT_S)
    assert all(each.startswith(b"\x16\x03") for each in got)  # a TLS handshake record
    assert not any(word in each for each in got for word in (b"MQTT", b"hush-hush", b"facetally"))


def test_an_unencrypted_connection_to_another_machine_must_be_allowed():
    """Without ``tls`` both commands reject a broker on another machine; ``plain_text`` allows it."""
    with pytest.raises(SettingsError, match=r"'broker': 10\.0\.0\.1 is another machine: set tls, or plain_text = true"):
        read(EDGE, ("admit.staff_zones=[]", "broker.host=10.0.0.1"))
    assert read(EDGE, ("admit.staff_zones=[]", "broker.host=10.0.0.1", "broker.plain_text=true")).broker.plain_text
    assert read(EDGE, ("admit.staff_zones=[]", "broker.host=10.0.0.1", "broker.tls={}")).broker.tls == Tls()
    with pytest.raises(ValueError, match="another machine"):
        Broker(host="broker.example")
    assert Broker(host="broker.example", plain_text=True).host == "broker.example"
