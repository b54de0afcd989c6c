"""Enrol, revoke, renew and replace devices: files, permissions, certificates, and nothing half done."""

import csv
import stat
from pathlib import Path

import pytest
from cryptography import x509

from edge.settings import read
from fleet.__main__ import main
from tests.support.fleets import BOARD, fleet, made, table

DOOR = f"shop-1,door,north,none,v4l2:0,{BOARD}"
TILL = f"shop-1,till,south,all,picamera2:0,{BOARD}"


def content(folder):
    """All files of a fleet with their content, except locks."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def inventory(of):
    """The lines of the inventory by identity."""
    with (of / "inventory.csv").open() as file:
        return {f"{row['site']}/{row['device']}": row for row in csv.DictReader(file)}


def certificate(of, name):
    return x509.load_pem_x509_certificate((of / f"certificates/{name}.pem").read_bytes())


def refused(capsys, *arguments):
    """The error lines of a command that ends with exit code 2."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err.replace("facetally-fleet: ", "").splitlines()


def test_enrolling_gives_each_device_a_key_and_a_certificate_and_a_second_time_changes_nothing(tmp_path, capsys):
    """The common name is SITE/DEVICE. A changed row changes the inventory, and neither key nor certificate."""
    of = made(tmp_path, DOOR, TILL)
    assert certificate(of, "devices/shop-1/door").subject.rfc4514_string() == "CN=shop-1/door"
    before = content(of)
    fleet("enrol", tmp_path / "devices.csv", folder=of)
    assert content(of) == before
    assert "enrolled 0, changed 0, unchanged 2" in capsys.readouterr().out
    changed_table = table(tmp_path, DOOR.replace("v4l2:0", "v4l2:1"), f"shop-2,door,north,none,v4l2,{BOARD}")
    fleet("enrol", changed_table, folder=of)
    assert "enrolled 1, changed 1, unchanged 0" in capsys.readouterr().out
    changed = {str(path.relative_to(of)) for path, text in content(of).items() if before.get(path) != text}
    assert changed == {
        "inventory.csv",
        "groups.csv",
        "certificates/devices/shop-2/door.pem",
        "secrets/devices/shop-2/door.key",
        "zones/shop-2/door.toml",
    }
    assert set(inventory(of)) == {"shop-1/door", "shop-1/till", "shop-2/door"}


def test_a_wrong_row_is_named_and_nothing_is_written(tmp_path, capsys):
    """Configurations are read by the daemon's own reader; its errors name line and column of the table."""
    of = made(tmp_path, DOOR)
    before = content(of)
    (tmp_path / "bad.toml").write_text("staff_zones = [[[0, 0], [2, 0], [1, 1]]]\n")
    wrong = table(tmp_path, f"shop-2,a,north,bad.toml,v4l2:0,{BOARD}", f"shop-2,b,north,none,v4l2:-1,{BOARD}",
                  f"shop-2,c,north,none,v4l2:300,{BOARD}", f"shop-2,d,north,none,,{BOARD}")  # fmt: skip
    told = refused(capsys, "enrol", wrong, "--fleet", of)
    assert [each.replace(f"{wrong}: ", "") for each in told] == [
        "line 2, column 'zones': configuration of shop-2/a: key 'admit.staff_zones[0][1][0]': must be <= 1, is 2",
        "line 4, column 'camera': configuration of shop-2/c: key 'capture.device': must be <= 255, is 300",
        "line 5, column 'camera': configuration of shop-2/d: missing key 'capture'",
    ]
    assert content(of) == before


def test_layers_of_the_configuration(tmp_path):
    """Common, group and device go on top of each other; camera, zones and name come from the table."""
    from fleet.enrolment.configuration import compose
    from fleet.enrolment.inventory import read_inventory
    from fleet.folder import Folder

    of = made(tmp_path)
    group = "[capture]\nsource = 'picamera2'\ncamera = 1\nfps = 10\n[privacy]\nk = 7\n"
    (of / "configuration/groups/north.toml").write_text(group)
    own = of / "configuration/devices/shop-1/door.toml"
    own.parent.mkdir(parents=True)
    own.write_text("[privacy]\nk = 8\n[admit]\ndwell_limit_s = 60\n")
    fleet("enrol", table(tmp_path, DOOR), folder=of)
    folder = Folder.of(of)
    device = read_inventory(folder.inventory)["shop-1/door"]
    path = tmp_path / "edge.toml"
    path.write_bytes(compose(folder, device, folder.zones("shop-1", "door").read_text()))
    settings = read(path)
    assert (settings.site, settings.device, settings.privacy.k) == ("shop-1", "door", 8)
    assert (settings.capture.name, settings.capture.fps) == ("v4l2 0", 10)
    assert (settings.admit.staff_zones, settings.admit.dwell_limit_s) == ((), 60)
    assert settings.broker.tls.certificate == "/opt/facetally/current/device.pem"


def test_secrets_are_for_their_owner_only_and_others_are_refused(tmp_path, capsys):
    """Every private key has mode 600 in folders that git ignores; a key that others can read is not used."""
    of = made(tmp_path, DOOR)
    for path in (of / "secrets").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert "secrets/" in (of / ".gitignore").read_text()
    authority = of / "secrets/offline/authority.pem"
    authority.chmod(0o640)
    (told,) = refused(capsys, "revoke", "shop-1/door", "--fleet", of)
    assert told == f"{authority}: must be for its owner only, is mode 640; run: chmod 600 {authority}"


def test_offline_keys_can_be_encrypted_and_kept_elsewhere(tmp_path, capsys):
    """Without the passphrase, or without the stick, only online commands work."""
    secret, stick, of = tmp_path / "secret", tmp_path / "stick", tmp_path / "fleet"
    secret.write_text("correct horse\n")
    fleet("init", of, "--broker", "b.example", "--repository", "https://r.example", "--passphrase-file", secret)
    devices = table(tmp_path, DOOR)
    fleet("enrol", devices, "--passphrase-file", secret, folder=of)
    assert (
        "is encrypted; name a file with its passphrase by --passphrase-file"
        in refused(capsys, "revoke", "shop-1/door", "--fleet", of)[0]
    )
    secret.write_text("wrong\n")
    assert (
        "the passphrase is wrong"
        in refused(capsys, "revoke", "shop-1/door", "--fleet", of, "--passphrase-file", secret)[0]
    )
    (of / "secrets/offline").rename(stick)
    secret.write_text("correct horse\n")
    fleet("refresh", folder=of)
    assert "No such file" in refused(capsys, "revoke", "shop-1/door", "--fleet", of, "--passphrase-file", secret)[0]
    fleet("revoke", "shop-1/door", "--passphrase-file", secret, "--offline", stick, folder=of)
    assert inventory(of)["shop-1/door"]["state"] == "revoked"


def test_a_certificate_is_renewed_for_the_same_key_and_replaced_with_another(tmp_path, capsys):
    """A renewed certificate needs no new card. A replaced device does, and is not enrolled again by its table."""
    of = made(tmp_path, DOOR)
    first = certificate(of, "devices/shop-1/door")
    fleet("renew", "shop-1/door", folder=of)
    renewed = certificate(of, "devices/shop-1/door")
    assert renewed.public_key() == first.public_key()
    assert renewed.serial_number != first.serial_number
    fleet("revoke", "shop-1/door", folder=of)
    for arguments, expected in (
        (
            ("enrol", tmp_path / "devices.csv"),
            "line 2, column 'device': shop-1/door is revoked; facetally-fleet replace",
        ),
        (("renew", "shop-1/door"), "shop-1/door: is revoked; facetally-fleet replace"),
        (("revoke", "shop-1/till"), "shop-1/till: must be a device of inventory.csv, written SITE/DEVICE, is none"),
    ):
        assert expected in refused(capsys, *arguments, "--fleet", of)[0]
    fleet("replace", "shop-1/door", folder=of)
    assert certificate(of, "devices/shop-1/door").public_key() != first.public_key()
    crl = x509.load_pem_x509_crl((of / "certificates/crl.pem").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(renewed.serial_number) is not None
    assert inventory(of)["shop-1/door"]["state"] == "enrolled"


def test_servers_are_renewed_when_their_certificates_end_soon(tmp_path):
    """`renew` without devices renews whatever ends within the time of the settings, for the same names and keys."""
    of = made(tmp_path, DOOR)
    before = {name: certificate(of, name) for name in ("broker", "web", "operator", "devices/shop-1/door")}
    fleet("renew", folder=of)
    assert {name: certificate(of, name) for name in before} == before
    settings = of / "fleet.toml"
    settings.write_text(settings.read_text() + "[certificates]\nrenew_before_days = 3000\n")
    fleet("renew", folder=of)
    for name, old in before.items():
        new = certificate(of, name)
        assert (new.public_key(), new.subject) == (old.public_key(), old.subject)
        assert new.serial_number != old.serial_number
    names = certificate(of, "web").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("enrol", "devices.csv"), "must be the folder of a fleet, has no fleet.toml; facetally-fleet init makes one"),
        (("init", "fleet", "--broker", "b", "--repository", "http://x"), "key 'repository.url': must be an address"),
        (("init", "fleet", "--broker", "a b", "--repository", "https://x"), "key 'broker.host': must be a host name"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, capsys, monkeypatch, arguments, expected):
    """The error says what must be; no fleet is made."""
    monkeypatch.chdir(tmp_path)
    assert expected in refused(capsys, *arguments)[0]
    assert not Path("fleet/fleet.toml").exists()


def test_a_fleet_is_not_made_twice(tmp_path, capsys):
    """`init` never replaces keys."""
    of = made(tmp_path)
    before = content(of)
    told = refused(capsys, "init", of, "--broker", "b", "--repository", "https://x")
    assert told == [f"{of}: must not be the folder of a fleet yet, is one"]
    assert content(of) == before
