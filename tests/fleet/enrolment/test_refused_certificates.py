"""A revoked certificate is refused by a real Mosquitto and a real nginx; one of the fleet has its rights."""

import shutil
import ssl
import urllib.error
import urllib.request

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.machines.fleet_servers import HOST, broker, release_server
from tests.support.brokers import LIMIT_S, needs_mosquitto, wait_until
from tests.support.fleets import BOARD, fleet, made
from tests.support.nginx import needs_nginx

pytestmark = [
    needs_mosquitto,
    needs_nginx,
    # paho 2.2 leaves the socket of a failed handshake to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
DOOR = f"shop-1,door,north,none,v4l2:0,{BOARD}"
TILL = f"shop-1,till,north,none,v4l2:0,{BOARD}"


def context(of, name):
    """The TLS context of a client with a certificate of the fleet, by its path, or with a copy of one."""
    made = ssl.create_default_context(cafile=of / "certificates/ca.pem")
    made.load_cert_chain(of / f"certificates/{name}.pem", of / f"secrets/{name}.key")
    return made


def logged_in(port, tls):
    """Whether the broker accepts the login. It closes the connection of a certificate that it refuses."""
    answers = []
    client = Client(CallbackAPIVersion.VERSION2)
    client.tls_set_context(tls)
    client.on_connect = lambda _c, _u, _f, reason, _p: answers.append(not reason.is_failure)
    client.on_disconnect = lambda *_: answers.append(False)
    try:
        client.connect(HOST, port)
    except OSError:
        return False
    client.loop_start()
    wait_until(lambda: bool(answers), "an answer")
    client.disconnect()
    client.loop_stop()
    return answers[0]


def fetched(address, tls):
    """The status of a request to the release server for the first root."""
    try:
        with urllib.request.urlopen(f"{address}/metadata/1.root.json", context=tls, timeout=LIMIT_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_replaced_device_is_refused_and_its_successor_is_not(tmp_path):
    """Old keys and certificates are refused by broker and web server; other devices are not touched.

    A client without a certificate, and one of another fleet, are refused as well.
    """
    of = made(tmp_path, DOOR, TILL)
    (tmp_path / "other").mkdir()
    other = made(tmp_path / "other", DOOR)
    old, till = context(of, "devices/shop-1/door"), context(of, "devices/shop-1/till")
    foreign = context(other, "devices/shop-1/door")
    foreign.load_verify_locations(of / "certificates/ca.pem")
    nobody = ssl.create_default_context(cafile=of / "certificates/ca.pem")
    with broker(of, tmp_path) as running, release_server(of, tmp_path) as address:
        assert [logged_in(running.port, each) for each in (old, till, foreign, nobody)] == [True, True, False, False]
        assert [fetched(address, each) for each in (old, till, foreign, nobody)] == [200, 200, 400, 400]
        port = running.port
    kept = tmp_path / "broken"
    shutil.copytree(of, kept)
    fleet("replace", "shop-1/door", folder=of)
    old, new = context(kept, "devices/shop-1/door"), context(of, "devices/shop-1/door")
    with broker(of, tmp_path, port) as running, release_server(of, tmp_path) as address:
        assert [logged_in(running.port, each) for each in (old, new, till)] == [False, True, True]
        assert [fetched(address, each) for each in (old, new, till)] == [400, 200, 200]
    fleet("revoke", "shop-1/till", folder=of)
    with broker(of, tmp_path, port) as running, release_server(of, tmp_path) as address:
        assert [logged_in(running.port, each) for each in (new, till)] == [True, False]
        assert [fetched(address, each) for each in (new, till)] == [200, 400]


def test_a_certificate_gives_the_rights_of_its_device_only(tmp_path):
    """The identity in the certificate is the user name of the ACL, and the client id: no session can be taken over."""
    of = made(tmp_path, DOOR, TILL)
    received = []
    with broker(of, tmp_path) as running:
        operator = Client(CallbackAPIVersion.VERSION2)
        operator.tls_set_context(context(of, "operator"))
        operator.on_connect = lambda client, *_: client.subscribe("facetally/v1/#", 1)
        operator.on_message = lambda _c, _u, message: received.append((message.topic, message.payload))
        operator.connect(HOST, running.port)
        operator.loop_start()
        wait_until(operator.is_connected, "the operator is connected")
        door = Client(CallbackAPIVersion.VERSION2, "shop-1/till")
        door.tls_set_context(context(of, "devices/shop-1/door"))
        door.connect(HOST, running.port)
        door.loop_start()
        wait_until(door.is_connected, "the device is connected")
        for about in ("shop-1/till", "shop-1/door"):
            door.publish(f"facetally/v1/{about}/counts", about.encode(), 1).wait_for_publish(LIMIT_S)
        wait_until(lambda: bool(received), "its own message arrives")
        for client in (door, operator):
            client.disconnect()
            client.loop_stop()
        log = running._log.read_text()
    assert received == [("facetally/v1/shop-1/door/counts", b"shop-1/door")]
    assert "as shop-1/door" in log
    assert "as shop-1/till" not in log
