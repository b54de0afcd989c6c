"""Roll releases out with the operator's own command: ``python -m benchmarks.faults.rollout_chain``.

Nothing is replaced by a stand-in. `facetally-fleet` makes a fleet, enrols devices, prepares their cards, signs releases
with all packages from the package index, and rolls them out in stages. Mosquitto and nginx run with the shipped
configurations and the fleet's certificates. Each device is what its card holds: the daemon counts a camera's images
over TLS, and the updater installs releases offline. Every device has its own /etc/facetally, /opt/facetally and
/var/lib, by a mount namespace, so root is needed. Empty folders of these names stay behind on this machine.

In turn: the first release reaches all devices; the second is rolled out in stages and stays. Three more crash: in their
trial, in their first minute, and later. The rollout takes each of them back in its first stage, as a failed release,
and not because too few devices take it. At the end all devices run the second. Exit code 1 otherwise.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults import scripted_walks
from benchmarks.faults.device_fleet import camera_environment
from benchmarks.machines.debian import build_wheel
from benchmarks.machines.fleet_servers import HOST, broker, release_server
from benchmarks.machines.nspawn import wait_until
from benchmarks.simulation.device_slots import Device, changed_wheel
from demo.mosquitto import free_port
from fleet.__main__ import main as fleet
from fleet.folder import Folder
from fleet.rollout.state import read_rollout

SITE, DEVICES = "shop-1", ("d0", "d1", "d2")
FIRST, SECOND = "1", "2"
CRASHES_S = {"crashes-in-trial": 3, "crashes-in-first-minute": 30, "crashes-later": 75}
"""Bad releases, and when they crash after each start, seconds: before the trial of 8 s ends, after the first health
message, and after the second one."""
TRIAL_S, LIMIT_S = 8, 900.0
LAYER = """
[capture]
fps = 2
[detect]
bundle = "face-320x240"
[tally]
window_s = 2.0
[privacy]
k = 1
"""
BOUNDS = """
[rollout.bounds]
min_speed_ratio = 0.3
max_latency_ratio = 5.0
"""
"""The devices share the cores of one machine, which other work may slow down: only a crash shall be a reason."""
UPDATER = "\ntrial_s = {trial_s}\nrequire_synchronised_clock = false\nruntime = '{runtime}'\n"
CRASH = """
_started = time.monotonic()
def _crash(self, publisher, write=ProgressFile.write):
    write(self, publisher)
    if time.monotonic() - _started > {after}:
        os._exit(3)
ProgressFile.write = _crash
"""
BINDS = {"etc": "/etc/facetally", "disk/opt": "/opt/facetally", "disk/update": "/var/lib/facetally-update"}
"""Folder of a device, and where its programs find it. The spool is in /var/lib/facetally."""


def private_folders(folder: Path) -> tuple[str, ...]:
    """Return the start of a command that runs a program with the folders of one device."""
    binds = {**{folder / ours: theirs for ours, theirs in BINDS.items()}, folder / "spool": "/var/lib/facetally"}
    for ours, theirs in binds.items():
        ours.mkdir(parents=True, exist_ok=True)
        Path(theirs).mkdir(parents=True, exist_ok=True)
    script = " && ".join(f"mount --bind '{ours}' {theirs}" for ours, theirs in binds.items())
    return "unshare", "--mount", "--propagation", "private", "sh", "-c", f'{script} && exec "$@"', "sh"


def run_fleet(of: Path, *arguments: object) -> int:
    """Run ``facetally-fleet`` in the folder of the fleet; return its exit code."""
    return fleet([*map(str, arguments), "--fleet", str(of)])


def new_fleet(folder: Path) -> tuple[Path, int, int]:
    """Make a fleet with three devices; return its folder, and the ports of broker and release server."""
    of, ports = folder / "fleet", (free_port(), free_port())
    assert fleet(["init", str(of), "--broker", HOST, "--repository", f"https://{HOST}:{ports[1]}"]) == 0
    for path in (of / "fleet.toml", of / "configuration/common.toml"):
        path.write_text(path.read_text().replace("port = 8883", f"port = {ports[0]}"))
    for path, lines in ((of / "fleet.toml", BOUNDS), (of / "configuration/common.toml", LAYER)):
        with path.open("a") as file:
            file.write(lines)
    board = f"{sys.version_info.major}.{sys.version_info.minor}/x86_64"
    rows = [f"{SITE},{name},north,none,picamera2:0,{board}" for name in DEVICES]
    (folder / "devices.csv").write_text("\n".join(["site,device,group,zones,camera,board", *rows]) + "\n")
    assert run_fleet(of, "enrol", folder / "devices.csv") == 0
    return of, *ports


def device_of_card(of: Path, folder: Path, name: str) -> Device:
    """Prepare the card of a device, and install what it holds; this checkout stands for its first program."""
    boot, place = folder / f"card-{name}", folder / name
    boot.mkdir()
    for file in ("user-data", "meta-data"):
        (boot / file).touch()
    assert run_fleet(of, "card", f"{SITE}/{name}", boot, "--release", FIRST) == 0
    environment = camera_environment(folder)
    device = Device(place, SITE, name, environment, private_folders(place))
    shutil.rmtree(place / "disk")  # `install` makes it
    shutil.rmtree(place / "etc")
    device.install((boot / "facetally/configs/edge.toml").read_text())
    for file in (boot / "facetally/files").iterdir():
        shutil.copy(file, place / "etc")
    with (place / "etc/update.toml").open("a") as file:
        file.write(UPDATER.format(trial_s=TRIAL_S, runtime=device.runtime))
    return device


@contextmanager
def supervised(devices: Sequence[Device]) -> Iterator[None]:
    """Do what systemd does on each device, in a thread: keep the daemon running, and start the updater now and then."""
    stop = threading.Event()

    def run(device: Device) -> None:
        due = time.monotonic()
        while not stop.wait(0.1):
            device.supervise()
            if not device.is_updating and time.monotonic() >= due:
                due = time.monotonic() + 10
                device.update()

    threads = [threading.Thread(target=run, args=(device,)) for device in devices]
    for device in devices:
        device.enabled = True
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for device in devices:
            device.enabled = False
            device.kill_updater()
            device.stop()


def running(devices: Sequence[Device]) -> Counter[str | None]:
    """Return how many daemons report each release."""
    reports = [device.progress() for device in devices]
    return Counter(None if report is None else report.release for report in reports)


def everywhere(devices: Sequence[Device], release: str) -> bool:
    """Whether the daemons of all devices report a release."""
    return running(devices) == {release: len(devices)}


def was_taken_back(of: Path, release: str) -> bool:
    """Whether the rollout of a release went back in its first stage."""
    rollout = read_rollout(Folder.of(of), release)
    return rollout is not None and (rollout.phase, rollout.stage) == ("back", 0)


def roll(of: Path, release: str, devices: Sequence[Device], bake: str) -> int:
    """Roll a release out; print how it ended and how long it took. Returns the command's exit code."""
    began = time.monotonic()
    code = run_fleet(of, "rollout", release, "--stages", "1,100%", "--bake", bake, "--take-limit", "10m")
    placed = ", ".join(f"{count} on {name}" for name, count in sorted(running(devices).items(), key=str))
    print(f"rollout of {release}: exit code {code} after {time.monotonic() - began:.0f} s; {placed}", flush=True)
    return code


def crashes(of: Path, folder: Path, wheel: Path, devices: Sequence[Device], release: str) -> bool:
    """Roll out a release that crashes; return whether it was taken back. All devices run the second release then."""
    bad = changed_wheel(wheel, folder / release, {"edge/system/progress.py": CRASH.format(after=CRASHES_S[release])})
    assert run_fleet(of, "release", release, "--wheel", bad) == 0
    roll(of, release, devices, "5m")
    wait_until(lambda: everywhere(devices, SECOND), LIMIT_S, "on the second release again")
    return was_taken_back(of, release)


def chain(folder: Path) -> bool:
    """Run everything; return whether each rollout ended as it should."""
    scripted_walks.write_loop(folder / "loop")
    of, broker_port, web_port = new_fleet(folder)
    wheel = build_wheel()
    assert run_fleet(of, "release", FIRST, "--wheel", wheel) == 0
    devices = [device_of_card(of, folder, name) for name in DEVICES]
    with broker(of, folder, broker_port), release_server(of, folder, web_port), supervised(devices):
        wait_until(lambda: everywhere(devices, FIRST), LIMIT_S, "on the first release")
        assert run_fleet(of, "release", SECOND, "--wheel", changed_wheel(wheel, folder / "second", {})) == 0
        good = roll(of, SECOND, devices, "70s") == 0 and everywhere(devices, SECOND)
        back = all(crashes(of, folder, wheel, devices, name) for name in CRASHES_S)
        run_fleet(of, "status")
    return good and back


def main() -> int:
    """Run the benchmark; return 0 if every rollout ended as it should."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults.rollout_chain", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in FOLDER, and keep it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facetally-rollout-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        passed = chain(folder)
    print("PASSED" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
