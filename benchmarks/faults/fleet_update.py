"""Roll a release out to a fleet of real devices while they count and everything fails, and check that each one is well.

``python -m benchmarks.faults.fleet_update --devices 50 --kills 200 --seed N``

Each device is a folder with real slots, a real daemon that counts a camera at a low rate, and the real updater, which
makes a real environment from signed wheels. All share a real Mosquitto, collector and web server. In stages the devices
are told to run release 2, and then again and again another configuration with it. At seeded random moments updaters and
daemons are killed, the power of a device is cut (both at once, then it boots), its disk is filled to the last byte, and
the network is cut.

At the end every device must run, by its link and by its daemon's own report, either the first release or release 2,
with no trial open. Each start of a daemon must have its windows in the store: from 0 to at least the last one that the
daemon had reported, each once.

What it does not prove: a killed process leaves the kernel's page cache intact. `tests/edge/update/test_power_cuts.py`
cuts the switch at each of its steps.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.faults import processes
from benchmarks.faults.device_fleet import CAMERA_FPS, Fleet, running_fleet
from benchmarks.simulation.device_slots import Device

FAULT_EVERY_S, REST_LIMIT_S = 1.0, 900.0


def roll(fleet: Fleet, kills: int, stages: int, fault_every_s: float = FAULT_EVERY_S) -> None:
    """Roll out in stages, with faults until there were enough kills, and let the fleet come to rest."""
    waiting = list(fleet.members)
    _step_until(fleet, lambda: all(m.device.progress() for m in fleet.members), REST_LIMIT_S)
    size = -(-len(waiting) // stages)
    next_fault = time.monotonic()
    while fleet.kills < kills:
        if waiting and fleet.kills >= kills * (len(fleet.members) - len(waiting)) / len(fleet.members):
            fleet.roll_out(waiting[:size])
            del waiting[:size]
        if again := [member for member in fleet.members if fleet.has_decided(member)]:
            fleet.roll_out(again)
        if time.monotonic() >= next_fault:
            next_fault = time.monotonic() + fleet.rng.expovariate(1.0 / fault_every_s)
            fleet.fail()
        fleet.step()
    _step_until(fleet, lambda: all(map(fleet.has_decided, fleet.members)) and not fleet.ends, REST_LIMIT_S)
    at_rest = lambda: not any(member.device.is_updating for member in fleet.members) and not fleet.unwell()  # noqa: E731
    _step_until(fleet, at_rest, REST_LIMIT_S, looking=False)


def _step_until(fleet: Fleet, condition: Callable[[], object], limit_s: float, *, looking: bool = True) -> None:
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        fleet.step(looking=looking)


def check(fleet: Fleet) -> list[str]:
    """Return what is wrong: devices that are not well, and windows that are lost or stored twice."""
    wrong = [f"{name}: is not well" for name in fleet.unwell()]
    for member in fleet.members:
        member.device.enabled = False
        member.device.kill_updater()
        member.device.stop()
    stored: dict[str, Counter[int]] = defaultdict(Counter)
    end = time.monotonic() + 60
    while time.monotonic() < end:  # the collector stores what it has received within seconds
        before = sum(sum(counter.values()) for counter in stored.values())
        stored = defaultdict(Counter)
        for row in processes.csv_rows(fleet.folder):
            stored[row["boot"]][int(row["seq"])] += 1
        if before and before == sum(sum(counter.values()) for counter in stored.values()):
            break
        time.sleep(3)
    for member in fleet.members:
        wrong += _window_errors(member.device, stored)
    return wrong


def _window_errors(device: Device, stored: dict[str, "Counter[int]"]) -> Iterator[str]:
    """Yield the windows of a device that are lost or doubled."""
    for number in range(1, device.starts + 1):
        boot = processes.read_log(device.folder / f"daemon-{number:03d}.log").boot
        rows = stored.get(boot, Counter())
        least = device.windows.get(number, 0)
        expected = range(max(least, max(rows, default=-1) + 1))
        if lost := [seq for seq in expected if not rows[seq]]:
            yield f"{device.name}, start {number}: lost windows {lost} of {len(expected)}"
        if doubled := [seq for seq, times in rows.items() if times > 1]:
            yield f"{device.name}, start {number}: doubled windows {doubled}"


def main() -> int:
    """Run the benchmark and print its report; return 0 if every device is well and no window is lost or doubled."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults.fleet_update", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--devices", type=int, default=50, help="number of devices (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=200, help="number of kills (default: %(default)s)")
    parser.add_argument("--stages", type=int, default=4, help="number of stages (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices (default: %(default)s)")
    parser.add_argument(
        "--fps", type=int, default=CAMERA_FPS, help="frames a second of each camera (default: %(default)s)"
    )
    parser.add_argument(
        "--fault-every", type=float, default=FAULT_EVERY_S, help="mean seconds between faults (default: %(default)s)"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in FOLDER, and keep it")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="facetally-fleet-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rng = random.Random(arguments.seed)  # noqa: S311
        with running_fleet(folder, arguments.devices, rng, fps=arguments.fps) as fleet:
            begin = time.monotonic()
            roll(fleet, arguments.kills, arguments.stages, arguments.fault_every)
            seconds = time.monotonic() - begin
            wrong = check(fleet)
            print(report(fleet, seconds))
    for text in wrong:
        print(f"WRONG  {text}")
    return 1 if wrong else 0


def report(fleet: Fleet, seconds: float) -> str:
    """Return the result in a few lines."""
    releases = Counter(member.device.release for member in fleet.members)
    windows = sum(1 for _ in processes.csv_rows(fleet.folder))
    starts = sum(member.device.starts for member in fleet.members)
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(fleet.faults.items()))
    placed = ", ".join(f"{count} on release {name}" for name, count in sorted(releases.items(), key=str))
    numbers = sum(fleet.numbers.values())
    return (
        f"{len(fleet.members)} devices: {placed}; {numbers} manifests\n"
        f"faults: {faults}; {fleet.kills} kills in {seconds:.0f} s\n"
        f"daemons started {starts} times; {windows} windows stored"
    )


if __name__ == "__main__":
    sys.exit(main())
