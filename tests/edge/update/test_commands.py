"""The commands of `facetally-update` on a device whose releases are folders."""

import json

import pytest

from benchmarks.simulation.release_repository import ReleaseRepository
from benchmarks.simulation.switched_device import new_device
from edge.update.__main__ import main
from edge.update.state import State, StateFile
from tests.support.commands import SMALLEST


@pytest.fixture
def device(tmp_path):
    """Options of a device that has kept release ``new``, and has ``old`` to go back to; and its repository."""
    machine = new_device(tmp_path / "opt")
    machine.layout.switch("2")
    StateFile(tmp_path / "opt").write(State(number=2, good="2", previous="1"))
    repository = ReleaseRepository(tmp_path / "usb")
    (tmp_path / "root.json").write_bytes(repository.trusted_root)
    (tmp_path / "update.toml").write_text(
        f'site = "shop-1"\ndevice = "door"\nrepository = "https://127.0.0.1:1"\nroot = "{tmp_path}/root.json"\n'
        f'program = "{tmp_path}/opt"\nstate = "{tmp_path}/opt"\nrequire_synchronised_clock = false\n'
    )
    return ("--config", str(tmp_path / "update.toml")), repository, machine


def status(options, capsys):
    """Return what `status` prints."""
    capsys.readouterr()
    assert main(["status", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_back_returns_to_the_release_before(device, capsys):
    """The link, the updater and the status follow; the number that was rolled back is not tried again."""
    options, repository, machine = device
    assert status(options, capsys)["release"] == "new"
    assert main(["back", *options]) == 0
    assert capsys.readouterr().out == "back to release old\n"
    shown = status(options, capsys)
    assert (shown["release"], shown["previous"], shown["failed"]["reason"]) == ("old", None, "rolled back by hand")
    assert (machine.layout.root / "updater").readlink().name == "old"
    repository.assign("shop-1", "door", 2, "new", SMALLEST.encode())
    repository.publish()
    assert main(["run", *options, "--repository", str(repository.folder)]) == 0
    assert status(options, capsys)["release"] == "old"
    assert main(["back", *options]) == 2
    assert "there is no release before this one to go back to" in capsys.readouterr().err


def test_a_device_without_a_network_says_so_and_counts_on(device, capsys):
    """A server that does not answer is no failure of the device; the problem is shown in the status."""
    options, _, _ = device
    assert main(["run", *options]) == 1
    shown = status(options, capsys)
    assert shown["release"] == "new"
    assert "Connection refused" in shown["problem"]


def test_run_waits_for_a_synchronised_clock(device, capsys, monkeypatch):
    """With a wrong clock no expiry date means anything; nothing is asked of the server."""
    options, _, _ = device
    monkeypatch.setattr("edge.update.run.is_synchronised", lambda: False)
    assert main(["run", *options, "--set", "require_synchronised_clock=true"]) == 0
    assert "clock: not synchronised yet" in status(options, capsys)["problem"]


def test_recover_without_any_release_fails(device, tmp_path, capsys):
    """If no complete release is left, the command says what to do, with exit code 1."""
    options, _, machine = device
    for release in ("old", "new", "bad"):
        (machine.layout.slot(release) / "complete").unlink()
    StateFile(tmp_path / "opt").write(State())
    assert main(["recover", *options]) == 1
    assert "run systemd/install.sh again" in capsys.readouterr().err
