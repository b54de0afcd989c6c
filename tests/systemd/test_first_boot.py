"""A card prepared by `systemd/card/card.py`, and its first boot with the real cloud-init."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.machines import nspawn
from benchmarks.machines.debian import Target, build_wheel, debian_root, missing_requirements
from benchmarks.machines.nspawn import wait_until
from benchmarks.simulation.device_slots import shared_packages
from benchmarks.simulation.release_repository import ReleaseRepository
from tests.support.commands import SMALLEST, packages
from tests.support.waiting import LIMIT_S

ROOT = Path(__file__).parents[2]
TRIXIE = Target("trixie", "3.13", platform.machine())
MISSING = missing_requirements(*nspawn.PROGRAMS)
boots = pytest.mark.skipif(bool(MISSING), reason=f"cannot boot a container: {MISSING}")
pytestmark = pytest.mark.timeout(1800)
SEED = """\
datasource_list: [ NoCloud, None ]
datasource:
  NoCloud:
    seedfrom: file:///boot/firmware
"""
"""The cloud-init configuration of Raspberry Pi OS."""
IMAGER = {
    "meta-data": "dsmode: local\ninstance-id: rpi-imager-1\n",
    "user-data": "#cloud-config\nhostname: door\nruncmd:\n- [ touch, /srv/the-owners-file ]\n",
}
"""Files that Raspberry Pi Imager writes to a card, shortened."""
SPOOL = "/var/lib/facetally/spool.sqlite"
CONFIG = f"""{SMALLEST}
[tally]
window_s = 2
[privacy]
release_s = 2
[broker]
host = "127.0.0.1"
confirm = "broker"
username = "shop-1/door"
password_file = "/etc/facetally/password"
[spool]
path = "{SPOOL}"
unsynced_hold_h = 0
"""


UPDATE = """\
site = "shop-1"
device = "door"
repository = "/srv/repository"
trial_s = 8
require_synchronised_clock = false
"""
"""The updater's configuration on the card of a fleet. The repository is a folder, as on a USB stick."""
INSTALLED = "/opt/facetally/slots/installed/lib/python3.13/site-packages"


@pytest.fixture
def card(tmp_path):
    """The boot partition of a card written by Raspberry Pi Imager, with a configuration and a password beside it."""
    boot = tmp_path / "bootfs"
    boot.mkdir()
    for name, text in IMAGER.items():
        (boot / name).write_text(text)
    (tmp_path / "edge.toml").write_text(CONFIG)
    (tmp_path / "till.toml").write_text(
        TILL.replace('source = "v4l2"', 'source = "v4l2"\ndevice = 2').replace(f'path = "{SPOOL}"\n', "")
    )
    for name in ("password", "till.password"):
        (tmp_path / name).write_text("secret")
    (tmp_path / "update.toml").write_text(UPDATE)
    return boot


TILL = CONFIG.replace('"door"', '"till"').replace("shop-1/door", "shop-1/till").replace("/password", "/till.password")
"""The configuration of a second camera."""


def fleet(folder):
    """Publish release 2 for the device, whose packages are those that the card has installed; return the folder."""
    repository = ReleaseRepository(folder / "repository")
    repository.add_release("2", [build_wheel(), shared_packages(folder, INSTALLED)], python=TRIXIE.python)
    repository.assign("shop-1", "door", 1, "2", CONFIG.encode())
    repository.publish()
    (folder / "root.json").write_bytes(repository.trusted_root)
    return repository.folder


def takes_its_first_update(device):
    """Wait until the daemon runs release 2 from its own slot, with the signed configuration."""
    device.run("systemctl", "start", "facetally-update")
    assert device.run("readlink", "-f", "/opt/facetally/current/program") == "/opt/facetally/slots/2", device.run(
        "journalctl", "--no-pager", "--output=cat", "--unit=facetally-update"
    )
    assert '"release":"2"' in device.run("cat", "/run/facetally-edge/progress.json")
    assert device.run("systemctl", "is-active", "facetally-edge") == "active"
    assert device.run("systemctl", "is-enabled", "facetally-update.timer", "facetally-update-recover").split() == [
        "enabled",
        "enabled",
    ]
    device.run("systemctl", "start", "facetally-update-recover")  # as at each boot
    assert device.run("readlink", "-f", "/opt/facetally/current/program") == "/opt/facetally/slots/2"
    config = device.run("stat", "-L", "-c", "%a %U:%G", "/opt/facetally/current/edge.toml")
    assert config == "640 facetally-update:video"
    assert "event=kept" in device.run("journalctl", "--no-pager", "--output=cat", "--unit=facetally-update")


def prepare(card, *files, boot="bootfs", config="edge.toml", wheel=None):
    """Run card.py for this machine's processor, in the folder of configuration and password."""
    command = [sys.executable, str(ROOT / "systemd/card/card.py"), boot, config, wheel or str(build_wheel()), *files]
    command += ["--machine", platform.machine()]
    return subprocess.run(command, cwd=card.parent, capture_output=True, text=True, check=False)


def contents(folder):
    """Return the relative paths of all files in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_wrong_arguments_are_refused_and_the_card_is_unchanged(card):
    """A wrong folder, another program's vendor-data, an invalid configuration, or a missing file: exit code 2."""
    (card.parent / "wrong.toml").write_text(CONFIG.replace("staff_zones = []\n", "").replace("[admit]\n", ""))
    own = '[classify]\nbundle = "/etc/facetally/mood.json"\n'
    (card.parent / "own.toml").write_text(CONFIG + own)
    (card.parent / "check.toml").write_text(CONFIG + '[detect]\ncheck = "/etc/facetally/mood.json"\n')
    hours = 'hours = { timezone = "Europe/Berln", open = "09:00", close = "20:00" }\n'
    (card.parent / "zone.toml").write_text(CONFIG.replace("staff_zones = []\n", "staff_zones = []\n" + hours))
    (card.parent / "deep.toml").write_text(CONFIG.replace("facetally/password", "facetally/secret/password"))
    (card.parent / "mood.json").write_text("{}")
    for name in ("same", "collector"):
        (card.parent / f"{name}.toml").write_text(CONFIG)
    for done, message in (
        (prepare(card, "password", boot="."), "must be the first partition of a card with cloud-init"),
        (prepare(card, "passwort"), "passwort: file not found"),
        (prepare(card), "edge.toml: names /etc/facetally/password; add these files"),
        (prepare(card, "password", config="wrong.toml"), "wrong.toml"),
        (
            prepare(card, "password", "mood.json", config="own.toml"),
            "own.toml: names /etc/facetally/mood.tflite; add these files",
        ),
        (
            prepare(card, "password", "mood.json", config="check.toml"),
            "check.toml: names /etc/facetally/mood.tflite; add these files",
        ),
        (prepare(card, "password", wheel="password"), "password: must be a wheel"),
        (prepare(card, "password", "./password"), "password: must be given once, is given 2 times"),
        (prepare(card, "password", str(build_wheel())), "another wheel"),
        (prepare(card, "password", config="zone.toml"), "must be an IANA time zone, is 'Europe/Berln'"),
        (prepare(card, "password", config="deep.toml"), "must be /etc/facetally/password"),
        (prepare(card, "password", "till.toml"), "till.toml: names /etc/facetally/till.password; add these files"),
        (
            prepare(card, "password", "same.toml"),
            "edge.toml and same.toml: must not both have site and device shop-1/door",
        ),
        (prepare(card, "password", "collector.toml"), "and not collector or update, is 'collector'"),
        (prepare(card, "password", "edge.toml"), "but the first configuration becomes edge.toml"),
    ):
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert "admit" in prepare(card, "password", config="wrong.toml").stderr
    assert contents(card) == set(IMAGER)
    (card / "vendor-data").write_text("#!/bin/sh\necho another program\n")
    assert "is of another program" in prepare(card, "password").stderr
    assert contents(card) == {*IMAGER, "vendor-data"}
    (card / "vendor-data").unlink()
    (card / "facetally").mkdir()
    (card / "facetally/first-boot.log").touch()
    assert "must not have booted yet" in prepare(card, "password").stderr


def test_the_wheels_on_the_card_are_for_a_raspberry_pi(card):
    """The commands of the guide put all wheels for 64-bit arm and Python 3.13 on the card, on any computer."""
    guide = (ROOT / "docs/installer.md").read_text().partition("\n## Cards\n")[2].partition("\n## ")[0]
    (commands,) = re.findall(r"^```bash\n(.*?)^```", guide, re.M | re.S)
    checkout = card.parent / "checkout"
    checkout.mkdir()
    for name in (*packages(), "systemd", "pyproject.toml", "README.md", "LICENSE.md"):
        (checkout / name).symlink_to(ROOT / name)
    for name in ("edge.toml", "password"):
        shutil.copy(card.parent / name, checkout)
    (checkout / "facetally.pem").write_text("a certificate")
    environment = os.environ | {"BOOT": str(card), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-euc", commands], cwd=checkout, env=environment, check=True, capture_output=True)
    wheels = {each.name.partition("-")[0]: each.name for each in (card / "facetally/wheels").iterdir()}
    assert {"facetally", "ai_edge_litert", "numpy", "opencv_python_headless", "msgspec", "paho_mqtt"} <= set(wheels)
    for name in ("ai_edge_litert", "numpy", "opencv_python_headless"):
        assert "aarch64" in wheels[name]
    assert "cp313" in wheels["numpy"]
    assert {"facetally/files/password", "facetally/files/facetally.pem", "vendor-data"} <= contents(card)


@boots
def test_the_first_boot(card, tmp_path):
    """The first boot installs, configures and starts the daemon, and runs the owner's own cloud-init commands.

    The boot partition has a log of it, and no password any more. A failed attempt is repeated: at first a wheel is
    missing, and the password is moved all the same. At the end the device takes a signed release by itself.
    """
    repository = fleet(tmp_path)
    files = ("password", "till.toml", "till.password", "update.toml", "root.json")
    assert prepare(card, *files).returncode == 0
    (missing,) = (card / "facetally/wheels").glob("msgspec-*")
    missing = missing.rename(tmp_path / missing.name)
    (tmp_path / "99_raspberry-pi.cfg").write_text(SEED)
    (tmp_path / "soon.conf").write_text("[Service]\nRestartSec=5\n")  # instead of half a minute
    binds = {
        tmp_path / "99_raspberry-pi.cfg": "/etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg",
        tmp_path / "soon.conf": "/etc/systemd/system/facetally-first-boot.service.d/soon.conf",
        repository: "/srv/repository",
    }
    system = debian_root(TRIXIE, "minbase", (*nspawn.PACKAGES, "cloud-init"))
    try:
        with nspawn.boot(system, tmp_path / "boot.log", binds, {card: "/boot/firmware"}) as device:
            log_file = card / "facetally/first-boot.log"
            wait_until(
                lambda: log_file.exists() and log_file.read_text().endswith("follows in half a minute\n"),
                600,
                "first attempt",
            )
            assert "No matching distribution found for msgspec" in log_file.read_text()
            assert not list((card / "facetally/files").iterdir())
            shutil.copy(missing, card / "facetally/wheels")
            wait_until(lambda: log_file.read_text().endswith("\ninstalled\n"), 600, "installed")
            log = log_file.read_text()
            both = ("facetally-edge", "facetally-edge@till")
            wait_until(
                lambda: device.run("systemctl", "is-active", *both, check=False).split() == ["active"] * 2,
                LIMIT_S,
                "active",
            )
            assert device.run("systemctl", "is-enabled", *both).split() == ["enabled"] * 2
            assert device.run("test", "-e", "/srv/the-owners-file") == ""
            private = ("password", "till.password", "edge.toml", "till.toml")
            modes = device.run("stat", "-c", "%a %U:%G", *(f"/etc/facetally/{name}" for name in private))
            assert modes.splitlines() == ["640 root:video"] * 4
            for name in ("door", "till"):
                counts = f"facetally/v1/shop-1/{name}/counts"
                assert '"no_camera"' in device.run("mosquitto_sub", "-h", "127.0.0.1", "-t", counts, "-C", "1")
            view = ("/etc/facetally/edge.toml", "view.png")
            assert "is /dev/video0 there?" in device.run("/opt/facetally/bin/facetally-view", *view, check=False)
            aim = device.run("/opt/facetally/bin/facetally-aim", "/etc/facetally/edge.toml", check=False)
            assert "stop it first: sudo systemctl stop facetally-edge" in aim
            assert contents(card) == {*IMAGER, "facetally/first-boot.log"}
            left = device.run("systemctl", "list-unit-files", "--no-legend", "facetally-*")
            assert "facetally-first-boot.service" not in left
            assert "facetally-edge.service" in left
            takes_its_first_update(device)
    except nspawn.NotBooted as error:
        pytest.skip(f"systemd-nspawn does not boot here: {error}")
    assert re.findall(r"^(facetally-edge.*):$", log, re.M) == list(both)
    assert len(re.findall(r"^ok +detector", log, re.M)) == 2
    assert len(re.findall(r"^FAILED +camera", log, re.M)) == 2, "the container has no camera"
