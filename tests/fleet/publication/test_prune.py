"""Old releases are removed from the repository; what devices run, read or may go back to stays."""

import json
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fleet.__main__ import main
from fleet.folder import Folder
from fleet.found import Open
from fleet.publication.prune import prune
from fleet.rollout.plan import Request, plan
from fleet.rollout.state import write_rollout
from tests.support.fleets import BOARD, fleet, give, light_wheel, made
from tests.support.repository_client import RepositoryClient

NAMES = ("1.0", "1.1", "1.2", "1.3")
GRACE = timedelta(days=7)


def opened(of, now=None):
    """The fleet, now or at another time."""
    return Open.read(Folder.of(of), lambda _path: b"", now or datetime.now(timezone.utc))


def roll_out(of, name, phase="done"):
    """Give the device a release, and write the state of the rollout that would have done so."""
    rollout = plan(opened(of), Request(name, stages="100%"))
    for state in rollout.devices.values():
        state.previous = manifest(of)
    rollout.phase = phase
    write_rollout(Folder.of(of), rollout)
    give(of, name)


def manifest(of):
    """What the device shall run."""
    from fleet.enrolment.inventory import read_inventory
    from fleet.publication.records import device_manifest

    (device,) = read_inventory(of / "inventory.csv").values()
    return device_manifest(opened(of).repository, device)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Five releases, the last of configurations only; the device had 1.0 and 1.1, and runs 1.2."""
    folder = tmp_path_factory.mktemp("released")
    of = made(folder, f"shop-1,door,north,none,v4l2:0,{BOARD}")
    with pytest.MonkeyPatch.context() as patched:
        for name in NAMES:
            fleet("release", name, "--wheel", light_wheel(folder, name), folder=of)
            patched.setenv("PIP_NO_INDEX", "1")  # the wheels of other packages are there
            patched.setenv("PIP_FIND_LINKS", str(of / "downloads" / BOARD.replace("/", "-")))
    give(of, "1.0")
    roll_out(of, "1.1")
    roll_out(of, "1.2")
    common = of / "configuration/common.toml"
    common.write_text(common.read_text() + "\n[privacy]\nk = 8\n")
    fleet("release", "k-8", folder=of)
    return of


@pytest.fixture
def of(released, tmp_path):
    """A copy of that fleet; its files keep their times."""
    return shutil.copytree(released, tmp_path / "fleet")


@pytest.fixture
def client(of, tmp_path):
    """TUF's client on a device."""
    return RepositoryClient(of / "repository", tmp_path / "device")


def wheel(name):
    """The target of facetally's wheel in a release."""
    return f"wheels/facetally-{name}-py3-none-any.whl"


def listed(of):
    """The releases whose wheels the signed list has."""
    paths = opened(of).repository.targets()
    return {name for name in NAMES if wheel(name) in paths}


def test_the_newest_releases_those_in_use_and_the_ones_before_stay(of, capsys):
    """With the newest two, 1.2 that the device runs, and 1.1 to go back to, only 1.0 goes; shared wheels stay."""
    fleet("prune", "--keep", 2, folder=of)
    told = capsys.readouterr().out
    assert "removed 1 releases: 1.0\n" in told
    assert "deleted 0 files" in told
    assert listed(of) == {"1.1", "1.2", "1.3"}
    assert any(path.startswith("wheels/msgspec") for path in opened(of).repository.targets())
    fleet("prune", "--keep", 2, folder=of)
    assert "removed 0 releases: none\n0 files" in capsys.readouterr().out


def test_a_rollout_goes_back_after_pruning(of, client):
    """The release before is whole: a device verifies its manifest, its wheel and its configuration."""
    fleet("prune", "--keep", 1, folder=of)
    assert listed(of) == {"1.1", "1.2"}
    fleet("back", "1.2", folder=of)
    assert (manifest(of).release, manifest(of).number) == ("1.1", 4)
    assert client.get(wheel("1.1")) is not None
    assert json.loads(client.get("releases/1.1/release.json"))["release"] == "1.1"
    assert client.get(manifest(of).configuration.path) is not None


@pytest.mark.parametrize("phase", ["running", "paused", "stopped"])
def test_a_rollout_that_has_not_ended_keeps_its_release(of, phase):
    """Release 1.3 is neither the newest nor given to any device yet."""
    rollout = plan(opened(of), Request("1.3", stages="100%"))
    rollout.phase = phase
    write_rollout(Folder.of(of), rollout)
    fleet("prune", "--keep", 1, folder=of)
    assert listed(of) == {"1.1", "1.2", "1.3"}
    assert (of / "rollouts/1.3.json").is_file()


def test_a_removed_release_cannot_be_used_and_its_name_stays_taken(of, tmp_path, capsys):
    """Devices may still have a slot of that name."""
    fleet("prune", "--keep", 2, folder=of)
    capsys.readouterr()
    for command in (["rollout", "1.0"], ["release", "x", "--software", "1.0"]):
        assert main([*command, "--fleet", str(of)]) == 2
        assert "'1.0': must be one of 1.1, 1.2, 1.3, k-8; 1.0 was removed" in capsys.readouterr().err
    assert main(["back", "1.1", "--fleet", str(of)]) == 2, "1.1 is kept, what it replaced is not"
    fleet("release", "1.0", "--wheel", light_wheel(tmp_path), folder=of, status=2)
    assert "must be a new name, exists" in capsys.readouterr().err


def test_a_device_that_reads_meanwhile_is_not_interrupted(of, client):
    """It still gets what its list has; the files go when no such list is valid any more, and others stay."""
    reading = client.refreshed()
    info = reading.get_targetinfo(wheel("1.0"))
    now = datetime.now(timezone.utc)
    fleet("prune", "--keep", 2, folder=of)
    assert Path(reading.download_target(info)).read_bytes()[:2] == b"PK"
    assert client.get(wheel("1.0")) is None
    for later, deleted in ((GRACE - timedelta(minutes=5), 0), (GRACE + timedelta(minutes=5), 5)):
        fleet_then = opened(of, now + later)
        done = prune(fleet_then.folder, fleet_then.repository, 2, fleet_then.now)
        assert (done.releases, done.files) == ((), deleted)
    left = {path.name.partition(".")[2] for path in (of / "repository/targets").rglob("facetally-*")}
    left |= {path.name.partition(".")[2] for path in (of / "repository/targets/wheels").iterdir()}
    assert {Path(wheel(name)).name for name in NAMES} - left == {Path(wheel("1.0")).name}
    assert client.get(wheel("1.2")) is not None


def test_at_least_one_release_stays(of, capsys):
    """`--keep 0` is a wrong argument."""
    with pytest.raises(SystemExit, match="2"):
        main(["prune", "--keep", "0", "--fleet", str(of)])
    assert "must be a number from 1, is '0'" in capsys.readouterr().err
