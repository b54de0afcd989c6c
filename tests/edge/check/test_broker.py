"""The broker and the certificates, checked against a real Mosquitto with the shipped access rules."""

import socket
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec.structs import replace

from base.errors import FacetallyError
from base.tls import Tls
from collector.devices.device import Device, apply_message
from contract.health import Health
from contract.message import Status, decode, encode
from edge.camera_settings import File
from edge.check import broker
from edge.delivery.broker_check import logged_in
from edge.delivery.spool_lock import locked
from edge.settings import AdmitSettings, BrokerSettings, Settings, SpoolSettings
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, publish, wait_until
from tests.support.certificates import Authority
from tests.support.fakes import lines_of, only_mqtt_311
from tests.support.messages import MESSAGES
from tests.support.publishing import ABOUT, BOOT, OTHER_BOOT, device, listening, retained
from tests.support.shipped_broker import shipped_rules

pytestmark = [
    needs_mosquitto,
    # paho 2.2 leaves the socket of a failed handshake to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NOW = datetime.now(timezone.utc)
OF_DAEMON = replace(MESSAGES["health-4"], boot=BOOT)


def settings(folder, port, **of_broker):
    """Settings of the device shop-1/door."""
    return Settings(
        site="shop-1",
        device="door",
        capture=File(path="clip.mp4"),
        admit=AdmitSettings(staff_zones=()),
        broker=BrokerSettings(host="127.0.0.1", port=port, **of_broker),
        spool=SpoolSettings(path=str(folder / "spool.sqlite")),
    )


def health(boot):
    """What a check has found."""
    return replace(OF_DAEMON, boot=boot, frames_per_s=9.5)


def test_a_device_with_its_own_user_may_do_all(tmp_path):
    """With the shipped rules its health message is accepted, and the broker hands it to the collector."""
    port = free_port()
    lines, secret = shipped_rules(tmp_path, "shop-1/door", "collector")
    login = {"username": "shop-1/door", "password_file": secret}
    with mosquitto(tmp_path, port, *lines), listening(port, username="collector", password="secret") as received:
        found = broker.access(settings(tmp_path, port, **login), health)
        wait_until(lambda: any(topic == f"{ABOUT}/health" for topic, _, _ in received), "a health message")
    assert (found.state, "takes messages to facetally/v1/shop-1/door/health, MQTT 5" in found.text) == ("ok", True)
    payloads = [payload for topic, payload, _ in received if topic == f"{ABOUT}/health"]
    assert [decode(each, Health).frames_per_s for each in payloads] == [9.5]


@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [
        ("shop-1/till", "secret", f"must be allowed to publish {ABOUT}/counts; the broker refuses: Not authorized"),
        ("analyst", "secret", f"must be allowed to publish {ABOUT}/counts; the broker refuses: Not authorized"),
        ("shop-1/door", "guessed", "must be allowed to log in; the broker refuses: Not authorized"),
    ],
)
def test_a_wrong_user_is_refused(tmp_path, user, password, reason):
    """Another device's user, one who may only read, and a wrong password: host, port and right are named."""
    port = free_port()
    lines, _ = shipped_rules(tmp_path, "shop-1/door", "shop-1/till", "analyst")
    (tmp_path / "mine").write_text(password)
    login = {"username": user, "password_file": str(tmp_path / "mine")}
    with mosquitto(tmp_path, port, *lines), pytest.raises(FacetallyError) as error:
        broker.access(settings(tmp_path, port, **login), health)
    assert str(error.value) == f"127.0.0.1:{port}: user {user} {reason}"


def test_a_missing_rule_is_found(tmp_path):
    """A device that may publish counts, but no health, is refused by name of the topic."""
    port, acl = free_port(), tmp_path / "acl"
    acl.write_text("topic read facetally/v1/shop-1/door/#\ntopic write facetally/v1/shop-1/door/counts\n")
    with mosquitto(tmp_path, port, f"acl_file {acl}"), pytest.raises(FacetallyError) as error:
        broker.access(settings(tmp_path, port), health)
    assert f"without user name must be allowed to publish {ABOUT}/health; the broker refuses" in str(error.value)


def test_what_the_broker_keeps_and_the_collector_knows_is_not_disturbed(tmp_path):
    """The daemon's last status and health stay retained. To the collector the device is still stopped, and its boot is
    that of the daemon; while the daemon runs, its health is not replaced at all."""
    port = free_port()
    with mosquitto(tmp_path, port):
        with device(tmp_path, port) as sender:
            sender.connects()
        publish(port, [(f"{ABOUT}/health", encode(OF_DAEMON))], retain=True)
        known = Device(site="shop-1", device="door")
        for message in (Status(schema=1, state="stopping", boot=BOOT), OF_DAEMON):
            known = apply_message(known, message, True, NOW)
        with listening(port, "+/+/health") as received:
            broker.access(settings(tmp_path, port), health)
            with locked(tmp_path / "spool.sqlite"):
                broker.access(settings(tmp_path, port), health)
            wait_until(lambda: len(received) == 3, "both messages of the check, after the retained one")
        _, of_check, while_running = received
        found = decode(of_check[1], Health)
        after = apply_message(known, found, False, NOW)
        assert (found.boot, found.frames_per_s, of_check[2]) == (BOOT, 9.5, False)
        assert (after.state, after.boot, after.former_boots) == ("stopping", BOOT, ())
        assert while_running[1] == b""
        assert decode(retained(port, "health"), Health) == OF_DAEMON
        assert decode(retained(port, "status"), Status).state == "stopping"
        publish(port, [(f"{ABOUT}/status", b"{}")], retain=True)
        with listening(port, "+/+/health") as received:
            broker.access(settings(tmp_path, port), health)
            wait_until(lambda: len(received) == 2, "the message of the check")
        assert decode(received[-1][1], Health).boot not in (BOOT, OTHER_BOOT)


def test_the_daemon_stays_connected(tmp_path):
    """`check` has its own client id, and falls back to MQTT 3.1.1 as the daemon does, which is a warning."""
    port = free_port()
    with mosquitto(tmp_path, port), device(tmp_path, port) as sender, lines_of("edge.delivery.broker_link") as logged:
        sender.connects()
        assert broker.access(settings(tmp_path, port), health).state == "ok"
        with only_mqtt_311(port, b"\x20\x02\x00\x01") as before:
            found = broker.access(settings(tmp_path, before), health)
        assert (found.state, "MQTT 3.1.1 does not tell" in found.text) == ("warning", True)
        sender.until(lambda: sender.publisher.connected, "still connected")
        assert sender.publisher.connected
    assert not any("broker_lost" in line for line in logged)


def test_a_broker_must_answer_in_mqtt(tmp_path):
    """A port that accepts the connection and does not answer is not a broker."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = BrokerSettings(host="127.0.0.1", port=listener.getsockname()[1])
        with pytest.raises(FacetallyError, match="gives no answer in MQTT"), logged_in(address, "check", 0.3):
            pass


def test_the_remaining_days_of_certificates(tmp_path):
    """Both are read; one that ends within a month is a warning, and an expired one a failure that names it."""
    authority, port = Authority(tmp_path, "ours"), free_port()
    server = authority.issue("127.0.0.1", not_after=NOW + timedelta(days=400.5))
    lines = (f"cafile {authority.ca}", f"certfile {server['certificate']}", f"keyfile {server['key']}")
    with mosquitto(tmp_path, port, *lines, "require_certificate true"):
        for days, state in ((90.5, "ok"), (9.5, "warning"), (-2.0, "FAILED")):
            own = authority.issue("door.example", not_after=NOW + timedelta(days=days))
            given = settings(tmp_path, port, tls=Tls(ca=authority.ca, **own))
            found = broker.certificates(given.broker, NOW)
            assert (found.state, found.figures) == (state, {"device_days": days, "broker_days": 400.5})
            if days > 0:
                assert broker.access(given, health).state == "ok"
        ended = NOW + timedelta(days=-2)
        assert f"the device's has expired, on {ended:%Y-%m-%d}; must be replaced" in found.text
        with pytest.raises(FacetallyError, match=f"127.0.0.1:{port}"):
            broker.access(given, health)
        with locked(Path(given.spool.path)):  # a daemon with a certificate may have its name as client id, too
            assert "login not checked" in broker.access(given, health).text


def test_an_expired_certificate_of_the_broker(tmp_path):
    """A failure with host and port, and so is a broker that is away; the device's own is reported all the same."""
    authority, port = Authority(tmp_path, "ours"), free_port()
    server = authority.issue("127.0.0.1", not_after=NOW - timedelta(days=1))
    own = authority.issue("door.example", not_after=NOW + timedelta(days=90.5))
    given = settings(tmp_path, port, tls=Tls(ca=authority.ca, **own))
    with mosquitto(tmp_path, port, f"certfile {server['certificate']}", f"keyfile {server['key']}"):
        found = broker.certificates(given.broker, NOW)
    assert (found.state, found.figures) == ("FAILED", {"device_days": 90.5})
    assert f"127.0.0.1:{port}" in found.text
    assert "certificate has expired" in found.text
    assert "Connection refused" in broker.certificates(given.broker, NOW).text
