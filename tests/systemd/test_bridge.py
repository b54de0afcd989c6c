"""The shipped bridge: two real Mosquittos pass windows up and receipts down, and keep devices to their topics."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from base.tls import Tls
from collector.devices.registry import read_devices
from contract.message import Counts, encode
from contract.topics import topic
from demo.mosquitto import Mosquitto
from tests.support.brokers import needs_mosquitto, publish, wait_until
from tests.support.certificates import Authority
from tests.support.fakes import counts
from tests.support.publishing import device
from tests.support.receiver import collecting, receiving, settings_for, stored, window
from tests.support.shipped_broker import ROOT, shipped_rules

pytestmark = needs_mosquitto

SHIPPED = ROOT / "systemd" / "broker"
BRIDGE = "bridge-shop-1"


@dataclass(frozen=True, slots=True)
class Brokers:
    """The broker of a shop with the shipped bridge, and the central broker that it leads to."""

    shop: Mosquitto
    central: Mosquitto
    collector: dict[str, object]
    """Login of a collector at the central broker."""
    device: dict[str, object]
    """Login of the device at the shop's broker."""


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    """Run both brokers with the shipped limits and rules of access; the central one has TLS."""
    authority = Authority(tmp_path, "central")
    with ExitStack() as stack:
        central, secret = _central(tmp_path / "central", authority.issue("127.0.0.1"))
        rules, own_secret = shipped_rules(_folder(tmp_path / "shop"), "shop-1/door", "shop-2/door")
        shop = Mosquitto(tmp_path / "shop", *rules, *_bridge_lines(central.port, authority.ca), shipped=True)
        for broker in (central, shop):
            stack.callback(broker.stop)
            broker.start()
        yield Brokers(
            shop,
            central,
            {"username": "collector", "password_file": secret, "tls": Tls(ca=authority.ca)},
            {"username": "shop-1/door", "password_file": own_secret, "confirm": "collector"},
        )


def _central(folder: Path, certificate: dict[str, str]) -> tuple[Mosquitto, str]:
    """Return the central broker and the file of its users' password; its rules have the lines for one bridge."""
    rules, secret = shipped_rules(_folder(folder), BRIDGE, "collector")
    access = folder / "access"
    access.write_text((SHIPPED / "mosquitto.acl").read_text() + (SHIPPED / "mosquitto-bridge.acl").read_text())
    lines = [line for line in rules if not line.startswith("acl_file")]
    files = (f"acl_file {access}", f"certfile {certificate['certificate']}", f"keyfile {certificate['key']}")
    return Mosquitto(folder, *lines, *files, shipped=True), secret


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _bridge_lines(port: int, ca: str) -> list[str]:
    """Return the shipped file with the address, certificate and password of this test."""
    text = (SHIPPED / "mosquitto-bridge.conf").read_text()
    for theirs, ours in (
        ("central.example:8883", f"127.0.0.1:{port}"),
        ("/etc/mosquitto/certs/central.pem", ca),
        ("PASSWORD", "secret"),
        ("restart_timeout 1 30", "restart_timeout 1 2"),
    ):
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    return text.splitlines()


def test_windows_go_up_and_receipts_come_down_although_the_central_broker_was_away(
    tmp_path: Path, brokers: Brokers
) -> None:
    """The device's spool becomes empty by receipts alone, and the central collector stores each window once.

    What the device sends while the central broker is stopped waits at the broker of the shop.
    """
    root = tmp_path / "store"
    with device(tmp_path, brokers.shop.port, 20, **brokers.device) as sender, ExitStack() as collector:
        collector.enter_context(collecting(root, brokers.central.port, **brokers.collector))
        sender.sends_all()
        collector.close()
        brokers.central.stop()
        for minute in range(20, 60):
            sender.spool.add(counts(minute, 6))
        sender.until(lambda: sender.publisher.unconfirmed == 40, "the shop's broker has taken them")
        brokers.central.start()
        collector.enter_context(collecting(root, brokers.central.port, **brokers.collector))
        sender.sends_all()
        known = read_devices(root)
    assert stored(root) == dict.fromkeys(range(60), 1)
    assert [each.model is not None for each in known] == [True], "the retained messages go up, too"


def test_the_rules_bind_devices_and_shops_to_their_topics(tmp_path: Path, brokers: Brokers) -> None:
    """The shop's broker refuses the topics of another device, the central broker those of a site of another shop."""
    root, port = tmp_path / "store", brokers.shop.port
    settings = settings_for(root, brokers.central.port, **brokers.collector)

    def send(user: str, each: Counts) -> None:
        publish(port, [(topic(each.site, each.device, "counts"), encode(each))], username=user, password="secret")

    with receiving(settings):
        send("shop-1/door", window(1, device="till"))
        send("shop-2/door", window(2, site="shop-2"))
        send("shop-1/door", window(3))
        wait_until(lambda: 3 in stored(root), "the device's own window is stored")  # the bridge keeps the order
    assert stored(root) == {3: 1}
