"""A release that the repository withdraws while it is on trial is off the device at once."""

import pytest
from msgspec.structs import replace

from benchmarks.simulation.device_slots import Device
from benchmarks.simulation.release_repository import ReleaseRepository
from benchmarks.simulation.switched_device import new_device
from contract.release import device_path, write_manifest
from edge.update import settings, trial
from edge.update.errors import ReleaseWithdrawn
from edge.update.repository import Repository
from edge.update.run import watch
from tests.support.commands import SMALLEST
from tests.support.release_server import attackable


@pytest.fixture
def repository(tmp_path):
    """A repository with two releases, of which the device is given the second."""
    made = ReleaseRepository(tmp_path / "repository")
    wheel = tmp_path / "facetally-1-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    for release in ("1", "2"):
        made.add_release(release, [wheel])
    made.assign("shop-1", "door", 2, "2", SMALLEST.encode())
    made.publish()
    return made


def test_another_release_withdraws_the_one_on_trial(tmp_path, repository):
    """A manifest with a new number alone, such as one with a renewed certificate, does not. A dead server neither."""
    device = Device(tmp_path / "device", "shop-1", "door")
    (device.folder / "etc").mkdir(parents=True)
    with attackable(repository.folder) as server:
        device.configure_updater(server.url, repository.trusted_root)
        read = settings.read(device.folder / "etc/update.toml")
        asked = Repository(read)
        asked.refresh()
        tried = asked.device()
        look, deaf = watch(read, tried), watch(read, tried)
        repository.add(device_path("shop-1", "door"), write_manifest(replace(tried, number=3)), "devices")
        repository.publish()
        look()
        server.folder = tmp_path / "nowhere"
        deaf()
        server.folder = repository.folder
        repository.assign("shop-1", "door", 4, "1", SMALLEST.encode())
        repository.publish()
        deaf()  # it has failed once, and asks no more
        with pytest.raises(ReleaseWithdrawn, match="names release 1 now"):
            look()


def test_a_withdrawn_release_is_not_kept_nor_tried_again(tmp_path, monkeypatch):
    """The trial ends at the next look, not at its own end, and health says why."""
    monkeypatch.setattr(trial, "LOOK_S", 2.0)

    def look():
        raise ReleaseWithdrawn("the repository has withdrawn it")

    machine = new_device(tmp_path)
    state = machine.start()
    began = machine.clock
    state = machine.trial.run(state, "2", 2, look)
    assert (state.good, state.trial, machine.daemon.runs) == ("1", None, "old")
    assert not state.wants(2)
    assert machine.clock - began < 5.0 + 3.0, "5 s of baseline, and the trial of 5 s has not ended"
    assert "number 2: the repository has withdrawn it" in (tmp_path / "update-failed").read_text()
