"""A container that has booted Debian's systemd, with the units installed on it by the installer."""

import json
import os
import platform
import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks.machines import nspawn
from benchmarks.machines.debian import BUILD, Target, build_wheel, debian_root, download_wheels

ROOT = Path(__file__).parents[2]
DEBIAN = Target("bookworm", "3.11", platform.machine())
UNIT = "facetally-edge"
FRAMES = 50_000
"""Links to a few images: more frames than the daemon can process during a test."""
WATCHDOG_S, WINDOW_S = 5, 2
DROP_IN = f"[Service]\nWatchdogSec={WATCHDOG_S}\nRestartSec=1\n"
CONFIG = f"""\
site = "shop-1"
device = "door"
[capture]
source = "file"
path = "{{path}}"
[admit]
staff_zones = []
[tally]
window_s = {WINDOW_S}
[privacy]
k = 1
[broker]
host = "127.0.0.1"
confirm = "broker"
[spool]
path = "/var/lib/facetally/spool.sqlite"
"""


def clips(folder):
    """Write two folders of images: ``long`` outlasts a test; the last image of ``stuck`` is a pipe without writer."""
    cv2 = pytest.importorskip("cv2")
    data = pytest.importorskip("skimage.data", reason="scikit-image provides the portrait")
    folder.chmod(0o755)  # the daemon has a user of its own
    portrait = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
    for name, frames in (("long", FRAMES), ("stuck", 20)):
        (folder / name).mkdir()
        for shift in range(10):
            cv2.imwrite(str(folder / f"{shift}.png"), np.roll(portrait, 8 * shift, 1))
        for index in range(frames):
            (folder / name / f"{index:06}.png").symlink_to(f"../{index % 10}.png")
    os.mkfifo(folder / "stuck" / "999999.png")
    return folder


@contextmanager
def installed(folder, clip_folder):
    """Boot a container with all three units installed from wheels and the broker running; no unit is started.

    ``clip_folder`` is at /srv/clips in the container.
    """
    wheel = build_wheel()
    wheels = download_wheels(DEBIAN, BUILD / "wheels-nspawn", f"{wheel}[edge,update,collector,report]")
    binds = {
        wheels: "/srv/wheels",
        wheel.parent: "/srv/ours",
        ROOT / "systemd": "/srv/systemd",
        clip_folder: "/srv/clips",
    }
    try:
        with nspawn.boot(debian_root(DEBIAN, "minbase", nspawn.SERVER), folder / "boot.log", binds) as container:
            for part in ("edge", "collector"):
                container.run(*nspawn.INSTALL, part, f"/srv/ours/{wheel.name}")
            container.run("mkdir", f"/etc/systemd/system/{UNIT}.service.d")
            container.write(f"/etc/systemd/system/{UNIT}.service.d/test.conf", DROP_IN)
            container.run("systemctl", "daemon-reload")
            yield container
    except nspawn.NotBooted as error:
        pytest.skip(f"systemd-nspawn does not boot here: {error}")


def stopped(debian):
    """Stop the unit, and reset its failures."""
    debian.run("systemctl", "kill", "--signal=KILL", UNIT, check=False)
    debian.run("systemctl", "stop", UNIT, check=False)
    debian.run("systemctl", "reset-failed", UNIT, check=False)


def started(debian, clip):
    """Start the unit on a clip; `systemctl start` returns once the daemon has reported that it is ready."""
    debian.write("/etc/facetally/edge.toml", CONFIG.format(path=f"/srv/clips/{clip}"))
    stopped(debian)
    debian.run("sh", "-c", f"systemctl start {UNIT} || {{ journalctl --no-pager --unit={UNIT}; exit 1; }}")


def shown(debian, key, unit=UNIT):
    """Return a property of a unit, as `systemctl show` prints it."""
    return debian.run("systemctl", "show", "--property", key, "--value", unit)


def next_counts(debian, name):
    """Wait for a window of a device that is sent from now on."""
    received = debian.run("mosquitto_sub", "-h", "127.0.0.1", "-t", f"facetally/v1/shop-1/{name}/counts", "-C", "1")
    return json.loads(received)


def journal(debian):
    """Return the log of the unit."""
    return debian.run("journalctl", "--no-pager", "--output=cat", f"--unit={UNIT}")


def in_the_sandbox(debian, code):
    """Run one line of Python in place of the daemon, and return its output."""
    drop_in = f"/etc/systemd/system/{UNIT}.service.d/zz-other.conf"
    program = f'ExecStart=\nExecStart=/opt/facetally/bin/python -c "{code}"\nStandardOutput=truncate:/run/printed\n'
    stopped(debian)
    debian.write(drop_in, f"[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\n{program}")
    debian.run("systemctl", "daemon-reload")
    try:
        debian.run("systemctl", "start", UNIT)
        return debian.run("cat", "/run/printed")
    finally:
        debian.run("rm", drop_in)
        debian.run("systemctl", "daemon-reload")


def blocks(section, language):
    """Return the code blocks of a language in a section of docs/installer.md."""
    guide = (ROOT / "docs/installer.md").read_text()
    return re.findall(
        rf"^```{language}\n(.*?)^```", guide.partition(f"\n## {section}\n")[2].partition("\n## ")[0], re.M | re.S
    )


def run_guide(debian, section):
    """Run the commands of a section of the guide as root, in a checkout."""
    for commands in blocks(section, "bash"):
        debian.run("bash", "-euo", "pipefail", "-c", f"cd /srv\n{commands}")
