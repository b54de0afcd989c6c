"""Cards of enrolled devices: what is on them, one at a time and in a loop over readers."""

import csv
import json
import shutil
import threading
import time

import msgspec
import pytest

from base.tls import Tls
from edge.settings import read
from fleet import cards
from fleet.__main__ import main
from tests.support.fleets import BOARD, fleet, light_wheel, made

IMAGER = {"meta-data": "dsmode: local\n", "user-data": "#cloud-config\n"}
"""Files that Raspberry Pi Imager writes to a card."""
ROWS = [f"shop-1,{name},north,none,v4l2:0,{BOARD}" for name in ("door", "till", "back")]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A fleet of three devices with release 1.0."""
    folder = tmp_path_factory.mktemp("released")
    of = made(folder, *ROWS)
    fleet("release", "1.0", "--wheel", light_wheel(folder), folder=of)
    return of


@pytest.fixture
def of(released, tmp_path):
    """A copy of that fleet."""
    return shutil.copytree(released, tmp_path / "fleet")


def fresh(folder):
    """A card as Raspberry Pi Imager writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in IMAGER.items():
        (folder / name).write_text(text)
    return folder


def test_a_card_makes_an_enrolled_device(of, tmp_path, capsys):
    """It has the device's key, certificate and configuration, the wheels of its release, and its root of trust.

    The device is given the release, a camera's password goes along, and a second attempt on the same card is refused
    once it has booted.
    """
    own = of / "secrets/files/shop-1/door"
    own.mkdir(parents=True)
    (own / "camera-password").write_text("secret")
    boot = fresh(tmp_path / "bootfs")
    fleet("card", "shop-1/door", boot, folder=of)
    card = boot / "facetally"
    files = {path.name for path in (card / "files").iterdir()}
    assert files == {"ca.pem", "device.pem", "device.key", "root.json", "update.toml", "camera-password"}
    assert (card / "files/device.key").read_bytes() == (of / "secrets/devices/shop-1/door.key").read_bytes()
    assert {path.name.partition("-")[0] for path in (card / "wheels").iterdir()} == {
        "facetally",
        "msgspec",
        "paho_mqtt",
    }
    assert read(card / "configs/edge.toml").device == "door"
    update = msgspec.toml.decode((card / "files/update.toml").read_bytes())
    assert (update["site"], update["device"], update["repository"]) == ("shop-1", "door", "https://127.0.0.1:8443")
    assert msgspec.convert(update["tls"], Tls) == read(card / "configs/edge.toml").broker.tls
    (manifest,) = (of / "repository/targets/devices/shop-1").glob("*.door.json")
    assert json.loads(manifest.read_text())["release"] == "1.0"
    (card / "first-boot.log").touch()
    assert main(["card", "shop-1/door", str(boot), "--fleet", str(of)]) == 2
    assert "must not have booted yet" in capsys.readouterr().err


def test_cards_are_written_as_they_are_inserted(of, tmp_path, capsys, monkeypatch):
    """Two readers and three devices: each gets one card. Later only a replaced device needs another one."""
    monkeypatch.setattr(cards, "POLL_S", 0.02)
    readers = [fresh(tmp_path / "one"), tmp_path / "two"]

    def person() -> None:
        """Keep each written card and insert another one, until there are three."""
        end = time.monotonic() + 60
        while time.monotonic() < end and len(list(tmp_path.glob("done-*"))) < 3:
            for reader in readers:
                if not reader.exists():
                    fresh(reader)
                elif (reader / "vendor-data").exists():
                    reader.rename(tmp_path / f"done-{time.monotonic_ns()}")
            time.sleep(0.05)

    thread = threading.Thread(target=person)
    thread.start()
    options = [option for reader in readers for option in ("--reader", reader)]
    fleet("cards", *options, "--wait", "30", folder=of)
    thread.join()
    done = [read(path / "facetally/configs/edge.toml").device for path in tmp_path.glob("done-*")]
    assert sorted(done) == ["back", "door", "till"]
    assert "3 cards to write" in capsys.readouterr().out
    fleet("replace", "shop-1/door", folder=of)
    assert main(["cards", "--reader", str(tmp_path / "none"), "--wait", "0.1", "--fleet", str(of)]) == 1
    printed = capsys.readouterr()
    assert "1 cards to write" in printed.out
    assert printed.err == "facetally-fleet: shop-1/door: has no card yet\n"
    with (of / "cards.csv").open() as file:
        assert len(list(csv.reader(file))) == 3


def test_a_device_without_a_release_or_with_a_revoked_certificate_gets_no_card(tmp_path, capsys):
    """The error says which command comes first."""
    of, boot = made(tmp_path, *ROWS), fresh(tmp_path / "bootfs")
    for command, expected in (
        (None, "shop-1/door: has no release yet; facetally-fleet release makes one"),
        ("revoke", "shop-1/door: is revoked; facetally-fleet replace gives it a new key"),
    ):
        if command:
            fleet(command, "shop-1/door", folder=of)
        assert main(["card", "shop-1/door", str(boot), "--fleet", str(of)]) == 2
        assert expected in capsys.readouterr().err
    assert {path.name for path in boot.iterdir()} == set(IMAGER)
