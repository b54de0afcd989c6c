"""Cards of enrolled devices: what is on them, one at a time and in a loop over readers."""

import csv
import json
import shutil
import threading
import time

import msgspec
import pytest

from base.tls import Tls
from benchmarks.simulation.device_slots import changed_wheel
from edge.settings import read
from fleet import cards
from fleet.__main__ import main
from fleet.enrolment.inventory import read_inventory, read_revoked
from tests.support.fleets import BOARD, fleet, give, light_wheel, made, table
from tests.support.waiting import LIMIT_S

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
        end = time.monotonic() + LIMIT_S
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


def test_a_further_camera_is_part_of_its_device(tmp_path, capsys):
    """The release, the manifest and the card of the host have its configuration; it has a name and a key of its own.

    Rows that cannot be are named. A configuration of it alone is a release for its host, and `cards` leaves it out.
    """
    door, till = f"shop-1,door,north,none,v4l2:0,{BOARD},", f"shop-1,till,north,none,v4l2:2,{BOARD},door"
    wrong = [till.replace("till", "Till"), till.replace("door", "gate"), till.replace("north", "x")]
    wrong += [till.replace("till", name) for name in ("ca", "device")]
    of = made(tmp_path)
    assert main(["enrol", str(table(tmp_path, door, *wrong)), "--fleet", str(of)]) == 2
    printed = capsys.readouterr().err
    assert "line 3, column 'device': of a further camera must be 1 to 21 lower-case letters" in printed
    assert (
        "line 4, column 'host': must be a device of this table and site that has no host itself, is 'gate'" in printed
    )
    assert "line 5, column 'group': of a further camera must be that of its host, 'north', is 'x'" in printed
    for line, name in ((6, "ca"), (7, "device")):  # /etc/facetally/ca.pem and device.key are files of the host
        assert f"line {line}, column 'device': of a further camera must be 1 to 21 lower-case letters" in printed
        assert f"not edge, collector, update, ca or device, is '{name}'" in printed
    fleet("enrol", table(tmp_path, door, till), folder=of)
    fleet("release", "1.0", "--wheel", light_wheel(tmp_path), folder=of)
    boot = fresh(tmp_path / "bootfs")
    fleet("cards", "--reader", boot, "--wait", "1", folder=of)
    assert {path.stem for path in (boot / "facetally/configs").iterdir()} == {"edge", "till"}
    files = boot / "facetally/files"
    assert (files / "till.key").read_bytes() == (of / "secrets/devices/shop-1/till.key").read_bytes()
    config = read(boot / "facetally/configs/till.toml")
    assert (config.device, config.spool.path) == ("till", "/var/lib/facetally-till/spool.sqlite")
    assert (config.broker.tls.certificate, config.broker.tls.key) == (
        "/etc/facetally/till.pem",
        "/etc/facetally/till.key",
    )
    layer = of / "configuration/devices/shop-1/till.toml"
    layer.parent.mkdir(parents=True)
    layer.write_text("[privacy]\nk = 9\n")
    fleet("release", "k-9", "--devices", "shop-1/till", folder=of)
    give(of, "k-9")
    manifests = [json.loads(path.read_text()) for path in (of / "repository/targets/devices/shop-1").iterdir()]
    first, second = sorted(manifests, key=lambda each: each["number"])
    assert {each["device"] for each in manifests} == {"door"}
    assert (second["release"], second["configuration"]) == ("1.0", first["configuration"])
    path = second["instances"]["till"]["path"]
    (stored,) = (of / "repository/targets" / path).parent.glob(f"*.{path.rpartition('/')[2]}")
    assert read(stored).privacy.k == 9
    assert first["instances"] != second["instances"]
    early = "\nclass DeviceManifest(Strict): pass\n"
    old = changed_wheel(light_wheel(tmp_path), tmp_path / "old", {"contract/release.py": early})
    assert main(["release", "0.9", "--wheel", str(old), "--fleet", str(of)]) == 2
    assert "configuration of shop-1/till: its software is too old for further cameras" in capsys.readouterr().err
    assert main(["card", "shop-1/till", str(fresh(tmp_path / "other")), "--fleet", str(of)]) == 2
    assert "shop-1/till: must be a device of its own, is a camera of shop-1/door" in capsys.readouterr().err


def test_a_camera_that_was_added_later_is_on_a_card_once_its_device_has_it(of, tmp_path, capsys):
    """Before, its card counts as missing neither for `cards` nor after a card of its host.

    Its own files must not replace those of the host, and a host must not become a camera itself.
    """
    host = ROWS[0] + ","
    fleet("enrol", table(tmp_path, host, f"shop-1,side,north,none,v4l2:2,{BOARD},door"), folder=of)
    fleet("card", "shop-1/door", fresh(tmp_path / "early"), folder=of)
    assert {path.stem for path in (tmp_path / "early/facetally/configs").iterdir()} == {"edge"}
    fleet("release", "1.1", "--devices", "shop-1/side", folder=of)
    give(of, "1.1")
    for name in ("door", "side"):
        own = of / "secrets/files/shop-1" / name
        own.mkdir(parents=True)
        (own / "camera-password").write_text(name)
    boot = fresh(tmp_path / "late")
    assert main(["card", "shop-1/door", str(boot), "--fleet", str(of)]) == 2
    assert "shop-1/door has another file camera-password in /etc/facetally; rename one" in capsys.readouterr().err
    (own / "camera-password").rename(own / "side-password")
    assert main(["cards", "--reader", str(tmp_path / "none"), "--wait", "0", "--fleet", str(of)]) == 1
    assert "3 cards to write" in capsys.readouterr().out, "door has one without the camera, till and back have none"
    fleet("card", "shop-1/door", boot, folder=of)
    assert {path.stem for path in (boot / "facetally/configs").iterdir()} == {"edge", "side"}
    moved = table(tmp_path, ROWS[1] + ",", ROWS[0] + ",till")
    assert main(["enrol", str(moved), "--fleet", str(of)]) == 2
    told = "line 3, column 'host': must be empty, because shop-1/side is a further camera of this device, is 'till'"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", ["revoke", "replace"])
def test_the_further_cameras_of_a_device_are_revoked_and_replaced_with_it(tmp_path, capsys, command):
    """Their keys are on the same card: who has that could go on as the camera."""
    of = made(tmp_path, f"shop-1,door,north,none,v4l2:0,{BOARD},", f"shop-1,side,north,none,v4l2:2,{BOARD},door")
    capsys.readouterr()
    fleet("renew", "shop-1/side", folder=of)
    by_hand = f"copy {of}/certificates/devices/shop-1/side.pem to /etc/facetally/side.pem on shop-1/door, and restart"
    assert by_hand in capsys.readouterr().out
    old = read_inventory(of / "inventory.csv")
    fleet(command, "shop-1/door", folder=of)
    assert "shop-1/door" in (printed := capsys.readouterr().out) and "shop-1/side" in printed
    assert {each.serial for each in read_revoked(of / "revoked.csv")} == {int(each.serial, 16) for each in old.values()}
    new = read_inventory(of / "inventory.csv").values()
    assert {each.state for each in new} == {"revoked" if command == "revoke" else "enrolled"}
