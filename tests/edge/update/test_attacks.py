"""The attacks that the TUF specification lists, against the updater and a real server: each is refused, logged once."""

import logging
import shutil
from datetime import datetime, timedelta, timezone

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root

from benchmarks.simulation.device_slots import Device
from benchmarks.simulation.release_repository import ReleaseRepository
from contract.release import device_path
from edge.update import fetch, run, settings
from edge.update.state import State, StateFile
from tests.support.commands import SMALLEST
from tests.support.release_server import attackable

KEPT = 5


class Attack:
    """A repository with a release that the device has not installed yet, its server, and a device that trusts it."""

    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        self.repository = ReleaseRepository(folder / "repository")
        self.wheel = folder / "facetally-1-py3-none-any.whl"
        self.wheel.write_bytes(b"a wheel" * 1000)
        self.repository.add_release("5", [self.wheel])
        self.repository.assign("shop-1", "door", KEPT, "5", SMALLEST.encode())
        self.repository.publish()
        self.device = Device(folder / "device", "shop-1", "door")
        for path in (self.device.program / "slots/installed", self.device.program / "setups/installed"):
            path.mkdir(parents=True)
        (self.device.folder / "etc").mkdir()
        (self.device.program / "slots/installed/complete").touch()
        self.device.link(SMALLEST)
        self.device.configure_updater(server.url, self.repository.trusted_root)
        self.settings = settings.read(self.device.folder / "etc/update.toml")
        self.state = StateFile(self.device.state)
        self.device.state.mkdir()
        self.state.write(State(number=KEPT, good="installed"))
        server.folder = self.repository.folder
        assert run.run(self.settings), "the device has seen the repository as it was"

    def newer(self, number=KEPT + 1):
        """Publish a newer release for the device."""
        self.repository.add_release("6", [self.wheel])
        self.repository.assign("shop-1", "door", number, "6", SMALLEST.encode())
        self.repository.publish()

    def metadata(self, name):
        return self.repository.folder / "metadata" / name


def rollback(attack):
    """The server presents an older state, which was valid once."""
    old = attack.folder / "old"
    attack.repository.copy_to(old)
    attack.newer(KEPT)
    assert run.run(attack.settings)
    attack.server.folder = old


def rollback_of_the_manifest(attack):
    """Whoever has the online key signs an older manifest for the device."""
    attack.newer(KEPT - 1)


def freeze(attack):
    """The server presents the same state for ever; its timestamp expires."""
    attack.newer()
    attack.repository.timestamp.signed.expires = datetime.now(timezone.utc) - timedelta(seconds=1)
    attack.repository.publish_timestamp()


def mix_and_match(attack):
    """The server combines the new snapshot with the older targets."""
    attack.newer()
    shutil.copy(attack.metadata("1.targets.json"), attack.metadata("2.targets.json"))


def wrong_key(attack):
    """Targets are signed with a key that the root does not name."""
    attack.repository.signers["targets"] = CryptoSigner.generate_ed25519()
    attack.repository.targets.signatures.clear()
    attack.newer()


def wrong_root(attack):
    """A new root is signed by the attacker, not by the keys of the old one."""
    key = CryptoSigner.generate_ed25519()
    root = Root(version=2, consistent_snapshot=True, expires=datetime.now(timezone.utc) + timedelta(days=1))
    for role in ("root", "targets", "snapshot", "timestamp"):
        root.add_key(key.public_key, role)
    forged = Metadata(root)
    forged.sign(key)
    forged.to_file(str(attack.metadata("2.root.json")))


def endless_metadata(attack):
    """The server never stops to send a timestamp."""
    attack.newer()
    attack.server.endless.add("timestamp.json")


def endless_wheel(attack):
    """The server never stops to send a wheel."""
    attack.newer()
    attack.server.endless.add(".whl")


def changed_wheel(attack):
    """A file of the same length has another content."""
    attack.newer()
    (wheel,) = (attack.repository.folder / "targets/wheels").iterdir()
    wheel.write_bytes(b"A wheel" * 1000)


def extraneous_files(attack):
    """The server has a manifest, with the right name and version, that nobody signed."""
    attack.newer()
    path = device_path("shop-1", "door")
    folder = (attack.repository.folder / "targets" / path).parent
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().replace(b'"5"', b'"6"').replace(b'"6"', b'"9"'))


def release_of_the_online_key(attack):
    """The online key, which may only choose among releases, signs one itself."""
    attack.newer()
    release = attack.repository.targets.signed.targets.pop("releases/6/release.json")
    attack.repository.devices.signed.targets["releases/6/release.json"] = release
    attack.repository.publish()


def slow(attack):
    """The server sends a few bytes a second, so that the device waits for ever."""
    attack.newer()
    attack.server.slow.add("timestamp.json")


ATTACKS = {
    rollback: "timestamp version 1 must be >=",
    rollback_of_the_manifest: "number must be at least 5, is 4",
    freeze: "expired",
    mix_and_match: "Expected targets v2, got v1",
    wrong_key: "targets was signed by 0/1 keys",
    wrong_root: "root was signed by 0/1 keys",
    endless_metadata: "exceeding the maximum allowed length",
    endless_wheel: "has more",
    changed_wheel: "does not match",
    extraneous_files: "does not match",
    release_of_the_online_key: "releases/6/release.json: is not in the repository",
    slow: "slower than",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_is_refused_and_logged_once(tmp_path, caplog, monkeypatch, attack):
    """The installed release stays the only one; two runs log one line that says what is wrong."""
    monkeypatch.setattr(fetch, "GRACE_S", 0.5)
    with attackable(tmp_path) as server:
        victim = Attack(tmp_path, server)
        attack(victim)
        caplog.clear()
        with caplog.at_level(logging.INFO, "edge.update"):
            for _ in range(2):
                assert not run.run(victim.settings)
    (text,) = [record.getMessage() for record in caplog.records]
    assert text.startswith("event=update_problem")
    assert ATTACKS[attack] in text
    assert [path.name for path in (victim.device.program / "slots").iterdir()] == ["installed"]
    assert (victim.device.program / "current").readlink().name == "installed"
    state = victim.state.read()
    assert (state.number, state.trial, state.failure) == (KEPT, None, None)
