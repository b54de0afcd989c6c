"""A card that `systemd/card/card.py` has prepared, and the first boot of what is on it, by the real cloud-init."""

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
from tests.support.commands import SMALLEST

ROOT = Path(__file__).parents[2]
TRIXIE = Target("trixie", "3.13", platform.machine())
LACKING = missing_requirements(*nspawn.PROGRAMS)
boots = pytest.mark.skipif(bool(LACKING), reason=f"no machine can be booted: {LACKING}")
pytestmark = pytest.mark.timeout(1800)
SEED = """\
datasource_list: [ NoCloud, None ]
datasource:
  NoCloud:
    seedfrom: file:///boot/firmware
"""
"""What Raspberry Pi OS tells its cloud-init."""
IMAGER = {
    "meta-data": "dsmode: local\ninstance-id: rpi-imager-1\n",
    "user-data": "#cloud-config\nhostname: door\nruncmd:\n- [ touch, /srv/the-owners-own ]\n",
}
"""What Raspberry Pi Imager leaves on a card, shortened."""
CONFIG = f"""{SMALLEST}
[tally]
window_s = 2
[privacy]
release_s = 2
[publish]
host = "127.0.0.1"
confirm = "broker"
username = "shop-1/door"
password_file = "/etc/facetally/password"
[spool]
path = "/var/lib/facetally/spool.sqlite"
unsynced_hold_h = 0
"""


@pytest.fixture
def card(tmp_path):
    """The boot partition of a card that Raspberry Pi Imager has written, a configuration and a password beside it."""
    boot = tmp_path / "bootfs"
    boot.mkdir()
    for name, text in IMAGER.items():
        (boot / name).write_text(text)
    (tmp_path / "edge.toml").write_text(CONFIG)
    (tmp_path / "password").write_text("geheim")
    return boot


def prepare(card, *files, boot="bootfs", config="edge.toml", of=None):
    """The command, in the folder where configuration and password lie, for this machine's processor."""
    command = [sys.executable, str(ROOT / "systemd/card/card.py"), boot, config, of or str(build_wheel()), *files]
    command += ["--machine", platform.machine()]
    return subprocess.run(command, cwd=card.parent, capture_output=True, text=True, check=False)


def contents(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_wrong_is_said_and_the_card_left_alone(card):
    """No card; another's seed; a configuration that the daemon would refuse, or whose files are not given."""
    (card.parent / "wrong.toml").write_text(CONFIG.replace("staff_zones = []\n", "").replace("[admit]\n", ""))
    own = '[classify]\nbundle = "/etc/facetally/mood.json"\n'
    (card.parent / "own.toml").write_text(CONFIG + own)
    hours = 'hours = { timezone = "Europe/Berln", open = "09:00", close = "20:00" }\n'
    (card.parent / "zone.toml").write_text(CONFIG.replace("staff_zones = []\n", "staff_zones = []\n" + hours))
    (card.parent / "deep.toml").write_text(CONFIG.replace("facetally/password", "facetally/secret/password"))
    (card.parent / "mood.json").write_text("{}")
    for done, said in (
        (prepare(card, "password", boot="."), "no meta-data; not the first partition"),
        (prepare(card, "passwort"), "passwort: no such file"),
        (prepare(card), "edge.toml names /etc/facetally/password: give such files, too"),
        (prepare(card, "password", config="wrong.toml"), "wrong.toml"),
        (prepare(card, "password", "mood.json", config="own.toml"), "own.toml names /etc/facetally/mood.tflite: give"),
        (prepare(card, "password", of="password"), "password: not a wheel"),
        (prepare(card, "password", "./password"), "password: given twice"),
        (prepare(card, "password", str(build_wheel())), "another wheel"),
        (prepare(card, "password", config="zone.toml"), "'Europe/Berln' is no time zone"),
        (prepare(card, "password", config="deep.toml"), "a file from the card is named /etc/facetally/password"),
    ):
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "admit" in prepare(card, "password", config="wrong.toml").stderr
    assert contents(card) == set(IMAGER)
    (card / "vendor-data").write_text("#!/bin/sh\necho of somebody else\n")
    assert "another's" in prepare(card, "password").stderr
    assert contents(card) == {*IMAGER, "vendor-data"}
    (card / "vendor-data").unlink()
    (card / "facetally").mkdir()
    (card / "facetally/first-boot.log").touch()
    assert "has booted already" in prepare(card, "password").stderr


def test_the_cards_wheels_are_those_of_a_raspberry_pi(card):
    """As the guide says it: 64-bit arm, Python 3.13, wherever the card is prepared, and all that is needed."""
    guide = (ROOT / "docs/installer.md").read_text().partition("\n## Cards\n")[2].partition("\n## ")[0]
    (commands,) = re.findall(r"^```bash\n(.*?)^```", guide, re.M | re.S)
    checkout = card.parent / "checkout"
    checkout.mkdir()
    for name in ("edge", "contract", "collector", "systemd", "pyproject.toml", "README.md", "LICENSE.md"):
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
    """The daemon is installed, configured and started with nobody logged in; what the card's owner asked of cloud-init
    is done, too. The boot partition tells how it went, and no longer holds a password. What fails is tried again, here
    until a wheel is there that was missing at first; the password is in its place by then.
    """
    assert prepare(card, "password").returncode == 0
    (missing,) = (card / "facetally/wheels").glob("msgspec-*")
    missing = missing.rename(tmp_path / missing.name)
    (tmp_path / "99_raspberry-pi.cfg").write_text(SEED)
    binds = {tmp_path / "99_raspberry-pi.cfg": "/etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg"}
    system = debian_root(TRIXIE, "minbase", (*nspawn.PACKAGES, "cloud-init"))
    try:
        with nspawn.boot(system, tmp_path / "boot.log", binds, {card: "/boot/firmware"}) as device:
            said_so = card / "facetally/first-boot.log"
            wait_until(lambda: said_so.exists() and said_so.read_text().endswith("it is tried again\n"), 300, "tried")
            assert "No matching distribution found for msgspec" in said_so.read_text()
            assert not list((card / "facetally/files").iterdir())
            shutil.copy(missing, card / "facetally/wheels")
            wait_until(lambda: said_so.read_text().endswith("\ninstalled\n"), 300, "installed")
            log = said_so.read_text()
            wait_until(
                lambda: device.run("systemctl", "is-active", "facetally-edge", check=False) == "active", 60, "active"
            )
            assert device.run("systemctl", "is-enabled", "facetally-edge") == "enabled"
            assert device.run("test", "-e", "/srv/the-owners-own") == ""
            assert device.run("stat", "-c", "%a %U:%G", "/etc/facetally/password") == "640 root:video"
            said = device.run("mosquitto_sub", "-h", "127.0.0.1", "-t", "facetally/v1/shop-1/door/counts", "-C", "1")
            assert '"no_camera"' in said
            view = ("/opt/facetally/view.py", "/etc/facetally/edge.toml", "view.png")
            assert "is /dev/video0 there?" in device.run("/opt/facetally/bin/python", *view, check=False)
            assert contents(card) == {*IMAGER, "facetally/first-boot.log"}
            left = device.run("systemctl", "list-unit-files", "--no-legend", "facetally-*")
            assert [line.split()[0] for line in left.splitlines()] == ["facetally-edge.service"]
    except nspawn.NotBooted as error:
        pytest.skip(f"systemd-nspawn does not boot here: {error}")
    assert "ok      detector" in log
    assert "FAILED  camera" in log, "there is none in that machine"
