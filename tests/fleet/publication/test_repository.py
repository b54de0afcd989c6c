"""The release repository as TUF's own client sees it: what is published, interrupted, expired, forged."""

from datetime import datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import ExpiredMetadataError, RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, TargetFile

from fleet.publication.repository import KEPT_VERSIONS, ROLES, Changes, Repository
from fleet.settings import RepositorySettings
from tests.support.repository_client import RepositoryClient

NOW = datetime.now(timezone.utc)
SETTINGS = RepositorySettings(url="https://releases.example")


@pytest.fixture
def keys():
    """The keys of all roles."""
    return {role: Ed25519PrivateKey.generate() for role in ROLES}


@pytest.fixture
def place(tmp_path):
    """The folder of the repository."""
    return tmp_path / "repository"


def opened(place, keys, now=NOW):
    """The repository at a time."""
    return Repository(place, keys.__getitem__, SETTINGS, now)


@pytest.fixture
def device(place, keys, tmp_path):
    """A device of a repository with one release and a manifest of its own."""
    repository = opened(place, keys)
    repository.create()
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(b"wheel")
    targets, devices = Changes(), Changes()
    targets.add_file("wheels/a.whl", wheel)
    devices.add_text("devices/shop-1/door.json", b"1")
    repository.publish(targets, devices)
    return RepositoryClient(place, tmp_path / "device")


def test_a_device_gets_what_is_published_and_nothing_else(device, place, keys):
    """Targets of both roles are verified; a change of a manifest arrives, a removed one is gone."""
    assert device.get("wheels/a.whl") == b"wheel"
    assert device.get("devices/shop-1/door.json") == b"1"
    assert device.get("devices/shop-1/till.json") is None
    changes = Changes()
    changes.add_text("devices/shop-1/door.json", b"2")
    opened(place, keys).publish(devices=changes)
    assert device.get("devices/shop-1/door.json") == b"2"
    opened(place, keys).publish(devices=Changes(removed={"devices/shop-1/door.json"}))
    assert device.get("devices/shop-1/door.json") is None
    assert opened(place, keys).read("wheels/a.whl") == b"wheel"


@pytest.mark.parametrize("last", [".door.json", "3.devices.json", "3.snapshot.json"])
def test_an_interrupted_publication_changes_nothing_until_it_is_repeated(device, place, keys, monkeypatch, last):
    """Power may go after any file: devices see the state before, and the next command publishes all of it."""
    from fleet.publication import repository as module

    class PowerCut(Exception):
        pass

    replace_file = module.replace_file

    def until_last(path, data, *arguments, **options):
        replace_file(path, data, *arguments, **options)
        if path.name.endswith(last):
            raise PowerCut

    changes = Changes()
    changes.add_text("devices/shop-1/door.json", b"2")
    with monkeypatch.context() as patched:
        patched.setattr(module, "replace_file", until_last)
        with pytest.raises(PowerCut):
            opened(place, keys).publish(devices=changes)
    assert device.get("devices/shop-1/door.json") == b"1"
    opened(place, keys).publish(devices=changes)
    assert device.get("devices/shop-1/door.json") == b"2"


def test_the_key_of_manifests_cannot_release_software(device, place, keys):
    """A thief of the online keys can choose among releases; a wheel that they sign is not found."""
    path = place / "metadata/2.devices.json"
    stolen = Metadata.from_file(str(path))
    stolen.signed.targets["wheels/b.whl"] = TargetFile.from_data("wheels/b.whl", b"evil", ["sha256"])
    stolen.signed.targets["configurations/shop-1/door/0.toml"] = TargetFile.from_data("x", b"evil", ["sha256"])
    stolen.signed.version = 2
    stolen.sign(CryptoSigner(keys["devices"]))
    stolen.to_file(str(path))
    opened(place, keys).publish()
    assert device.get("devices/shop-1/door.json") == b"1"
    assert device.get("wheels/b.whl") is None
    assert device.get("configurations/shop-1/door/0.toml") is None


def test_another_key_is_refused(device, place, keys):
    """Metadata of a role that is signed by another key ends the update."""
    device.get("wheels/a.whl")
    opened(place, keys | {"targets": Ed25519PrivateKey.generate()}).publish(targets=Changes())
    with pytest.raises(UnsignedMetadataError):
        device.get("wheels/a.whl")


def test_signatures_end_and_are_renewed(device, place, keys):
    """A repository that nobody has signed for a week is refused as frozen, until `refresh` signs it again."""
    opened(place, keys, NOW - timedelta(days=SETTINGS.timestamp_days, minutes=1)).publish()
    with pytest.raises(ExpiredMetadataError):
        device.get("wheels/a.whl")
    opened(place, keys).publish()
    assert device.get("wheels/a.whl") == b"wheel"
    ends = {each.role: (each.ends - NOW).days for each in opened(place, keys).expiries()}
    assert ends == {"root": 729, "targets": 729, "devices": 89, "snapshot": 29, "timestamp": 6}


def test_a_new_root_is_followed_from_the_first_one(device, place, keys):
    """A device that knows only the first root goes through all later ones."""
    for _ in range(3):
        opened(place, keys).renew_root()
    assert device.get("wheels/a.whl") == b"wheel"
    assert b'"version":4' in opened(place, keys).root()


def test_old_metadata_is_deleted_and_roots_are_kept(device, place, keys):
    """The folder does not grow for ever, and a device can still read it."""
    for _ in range(KEPT_VERSIONS + 5):
        opened(place, keys).publish()
    assert len(list(place.glob("metadata/*.snapshot.json"))) == KEPT_VERSIONS
    assert (place / "metadata/1.root.json").is_file()
    assert device.get("wheels/a.whl") == b"wheel"


def test_a_server_that_shows_an_older_state_is_refused(device, place, keys):
    """A device that has seen a newer timestamp refuses an older one (rollback attack)."""
    old = (place / "metadata/timestamp.json").read_bytes()
    opened(place, keys).publish()
    device.get("wheels/a.whl")
    (place / "metadata/timestamp.json").write_bytes(old)
    with pytest.raises(RepositoryError):
        device.get("wheels/a.whl")
