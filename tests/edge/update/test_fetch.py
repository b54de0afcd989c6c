"""Downloads: cut off and continued, from a mirror, without a certificate, and with a full disk."""

import hashlib
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from base.errors import SettingsError
from benchmarks.faults.small_disk import small_disk
from benchmarks.simulation.release_repository import ReleaseRepository
from contract.errors import ReleaseError
from contract.release import ReleaseManifest, WheelSet
from edge.update import settings, slot
from edge.update.__main__ import main
from edge.update.errors import NoRoom, RepositoryUnreachable
from edge.update.layout import Layout
from edge.update.repository import Repository
from tests.support.release_server import attackable, certificates, nginx, tls_line

pytest.importorskip("trustme", reason="trustme makes the certificates")
ROOT = Path(__file__).parents[3]
WHEEL = bytes(range(256)) * 4000


@pytest.fixture
def published(tmp_path):
    """A repository with one wheel, and the file of the manifest that names it."""
    repository = ReleaseRepository(tmp_path / "repository")
    file = repository.add("wheels/big-1-py3-none-any.whl", WHEEL)
    repository.publish()
    (tmp_path / "root.json").write_bytes(repository.trusted_root)
    return repository, file


def reader(folder, url, lines=""):
    """Return the updater's view of a repository."""
    config = folder / "update.toml"
    config.write_text(
        f'site = "shop-1"\ndevice = "door"\nrepository = "{url}"\nroot = "{folder}/root.json"\n'
        f'state = "{folder}/state"\n{lines}'
    )
    return Repository(settings.read(config))


def test_a_download_that_is_cut_off_continues(tmp_path, published):
    """What has arrived before a cut is kept, also for the next run, which asks for the rest only."""
    repository, file = published
    with attackable(repository.folder) as server:
        there = reader(tmp_path, server.url)
        there.refresh()
        server.cut[".whl"] = [100_000, 200_000, 300_000, 1]
        with pytest.raises(RepositoryUnreachable, match="cut off 3 times"):
            there.fetch(file)
        server.starts.clear()
        again = reader(tmp_path, server.url)
        again.refresh()
        assert again.fetch(file).read_bytes() == WHEEL
    assert server.starts[-2:] == [600_000, 600_001]


@pytest.mark.parametrize("end", ["timestamp.json", "door.json"])
@pytest.mark.parametrize("part", ["slow", "slow_headers"])
def test_a_look_at_a_slow_server_ends(tmp_path, published, part, end):
    """Single bytes of content or headers, of metadata or manifest, hold a look until its limit, and the next succeeds.

    Each byte comes well within the limit of a read.
    """
    repository, _ = published
    repository.assign("shop-1", "door", 1, "1", b"")
    repository.publish()
    with attackable(repository.folder) as server:
        getattr(server, part).add(end)
        began = time.monotonic()
        with pytest.raises(RepositoryUnreachable, match=r"at most 2 s \(look_s\)|slower than|too slowly"):
            reader(tmp_path, server.url).look(2.0)
        assert 1.5 < time.monotonic() - began < 15.0, "the whole file takes longer"
        getattr(server, part).clear()
        assert reader(tmp_path, server.url).look(30.0).number == 1


def test_only_a_device_with_a_certificate_is_served(tmp_path, published):
    """Nginx answers 400 to a client without certificate; with it, a download continues there, too."""
    repository, file = published
    keys = certificates(tmp_path / "certificates")
    with nginx(keys, repository.folder) as port:
        url = f"https://127.0.0.1:{port}"
        with pytest.raises(RepositoryUnreachable, match="400"):
            reader(tmp_path, url, f'tls = {{ ca = "{keys}/ca.pem" }}\n').refresh()
        here = reader(tmp_path, url, tls_line(keys))
        here.refresh()
        name = f"{url}/targets/wheels/{file.sha256}.{file.name}"
        (tmp_path / "state/drafts").mkdir()
        (tmp_path / "state/drafts" / hashlib.sha256(name.encode()).hexdigest()).write_bytes(WHEEL[:500_000])
        assert here.fetch(file).read_bytes() == WHEEL
    assert f" 206 {len(WHEEL) - 500_000} " in (keys / "access.log").read_text()


def test_a_mirror_in_a_folder_works(tmp_path, published):
    """A USB stick with the same two folders takes the place of a web server."""
    repository, file = published
    stick = tmp_path / "stick"
    shutil.copytree(repository.folder, stick)
    mirror = reader(tmp_path, stick)
    mirror.refresh()
    assert mirror.fetch(file).read_bytes() == WHEEL
    shutil.rmtree(stick)
    with pytest.raises(RepositoryUnreachable, match="not found"):
        reader(tmp_path, stick).refresh()


def test_signatures_are_checked_without_cryptography(tmp_path, published):
    """With Ed25519 keys a device needs no `cryptography`, which is three times as large as the rest of the updater."""
    repository, _ = published
    program = (
        "import sys; sys.modules['cryptography'] = None\nfrom pathlib import Path\n"
        "from edge.update import repository, settings\n"
        "here = repository.Repository(settings.read(Path(sys.argv[1])))\nhere.refresh()\n"
    )
    reader(tmp_path, repository.folder)
    command = [sys.executable, "-c", program, str(tmp_path / "update.toml")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    path = tmp_path / "repository/metadata/timestamp.json"
    path.write_text(re.sub(r'("sig": ?"..)(.)', lambda found: found[1] + "10"[found[2] == "1"], path.read_text()))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "was signed by 0/1 keys" in done.stderr


def release(file, disk_mb=1, python=None):
    """Return a release of one wheel for this machine, or for another Python."""
    own, machine, board = slot.board()
    wheels = WheelSet(python=python or own, machine=machine, board=board, wheels=(file,))
    return ReleaseManifest(
        schema=1,
        release="2",
        created=datetime.now(timezone.utc),
        version="1",
        minimum_disk_mb=disk_mb,
        wheel_sets=(wheels,),
    )


def test_a_release_that_does_not_fit_is_refused_and_leaves_nothing(tmp_path, published):
    """Too little space is found before anything is written; a disk that fills up in the middle is cleaned."""
    repository, file = published
    mirror = reader(tmp_path, repository.folder)
    mirror.refresh()
    with small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("this user may not mount a disk")
        layout = Layout(disk.folder)
        with pytest.raises(NoRoom, match="needs 101 MB, 8 MB are free"):
            slot.make_slot(layout, release(file, 100), mirror.fetch)
        with pytest.raises(NoRoom, match="No space left on device"):  # pip alone needs more than the disk has
            slot.make_slot(layout, release(file), mirror.fetch)
        assert list((disk.folder / "slots").iterdir()) == []


def test_a_release_that_is_not_for_this_board_is_bad(tmp_path, published):
    """Without wheels for this Python nothing is installed, and the error lists what there is."""
    repository, file = published
    mirror = reader(tmp_path, repository.folder)
    mirror.refresh()
    layout = Layout(tmp_path / "opt")
    layout.root.mkdir()
    with pytest.raises(ReleaseError, match=r"must have wheels for Python"):
        slot.make_slot(layout, release(file, python="3.99"), mirror.fetch)
    assert not layout.slot("2").exists()


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('repository = "http://releases.example"', "repository must start with https:// or be an absolute path"),
        ('repository = "releases"', "repository must start with https://"),
        ('repository = "/media/usb"\nspeed = 1', "unknown key 'speed'"),
        ('repository = "/media/usb"\ntrial_s = 0', "key 'trial_s': must be >= 1, is 0"),
        ('repository = "/media/usb"\nlook_s = 0', "key 'look_s': must be >= 1, is 0"),
        ("", "missing key 'repository'"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path, capsys, lines, says):
    """Exit code 2, and a sentence with the file, the key and what is allowed."""
    path = tmp_path / "update.toml"
    path.write_text(f'site = "shop-1"\ndevice = "door"\n{lines}\n')
    assert main(["run", "--config", str(path)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"facetally-update: {path}: ")
    assert says in printed


def test_a_missing_root_is_named(tmp_path):
    """Without the trusted root nothing can be verified."""
    with pytest.raises(SettingsError, match=r"key 'root': .*root.json: No such file"):
        reader(tmp_path, tmp_path)
