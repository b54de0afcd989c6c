"""Give a real device bad releases, each signed as it should be, and measure how long it runs them.

``python -m benchmarks.faults.bad_releases`` takes forty minutes, and mostly waits: its limits are the defaults of a
device. ``--only crashes`` tries one release, and ``--crash-after 20 --trial 30`` shortens all.

The device, its daemon, the updater, broker and web server are those of `benchmarks.faults.device_fleet`. A release
cannot be imported, crashes after some minutes, processes no frame or half of the frames, finishes no window, has a
detector that is too slow, or a configuration that it refuses. Exit code 1 if the device keeps one of them, does not
count afterwards, or counts on the old release later than ten minutes after the switch.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.faults.device_fleet import FIRST, Fleet, is_well, running_fleet
from benchmarks.machines.debian import build_wheel
from benchmarks.simulation.device_slots import changed_wheel, shared_packages
from edge.update.settings import TRIAL_S
from edge.update.state import StateFile

CRASH = """
import os, sys, threading
if "run" in sys.argv:
    threading.Timer({after}, lambda: os._exit(3)).start()
"""
SLOW = """
import time
_detect = Detector.detect
def _slow(self, pixels):
    time.sleep(0.5)
    return _detect(self, pixels)
Detector.detect = _slow
"""
HALF = """
_analyse = Pipeline._analyse
def _half(self, item):
    _half.skips = not _half.skips
    return [] if _half.skips else _analyse(self, item)
_half.skips = False
Pipeline._analyse = _half
"""
LIMIT_S = 600.0
"""Time from the switch to a bad release until the old one counts again, seconds."""


def bad_releases(crash_after_s: float) -> dict[str, tuple[dict[str, str], str]]:
    """Return lines that are added to files of the wheel, and to the configuration, by the name of a release."""
    return {
        "cannot-import": ({"edge/values.py": "\nraise ImportError('broken')\n"}, ""),
        "wrong-configuration": ({}, "speed = 3\n"),
        "no-frames": ({"edge/pipeline.py": "\nPipeline._analyse = lambda self, item: []\n"}, ""),
        "half-the-frames": ({"edge/pipeline.py": HALF}, ""),
        "no-windows": ({"edge/counting/tally.py": "\nTally.add_frame = lambda self, time: []\n"}, ""),
        "too-slow": ({"edge/vision/detect.py": SLOW}, ""),
        "crashes": ({"edge/pipeline.py": CRASH.format(after=crash_after_s)}, ""),
    }


def main() -> int:
    """Try each bad release, and print a line for it; return 0 if the device went back from all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.bad_releases")
    parser.add_argument("--crash-after", type=float, default=300.0, metavar="S", help="(default: %(default)s)")
    parser.add_argument(
        "--trial", type=float, default=TRIAL_S, metavar="S", help="length of the trial (default: %(default)s)"
    )
    parser.add_argument("--only", metavar="RELEASE", help="one of the releases, such as crashes")
    arguments = parser.parse_args()
    failed = 0
    with (
        tempfile.TemporaryDirectory(prefix="facetally-bad-") as scratch,
        running_fleet(Path(scratch), 1, random.Random(0), trial_s=arguments.trial) as fleet,  # noqa: S311
    ):
        wheels = [build_wheel(), shared_packages(Path(scratch))]
        while not is_well(fleet.members[0].device):
            fleet.step(looking=False)
        for number, (name, (changes, lines)) in enumerate(bad_releases(arguments.crash_after).items(), 1):
            if arguments.only not in (None, name):
                continue
            wheel = changed_wheel(wheels[0], Path(scratch) / name, changes)
            fleet.repository.add_release(name, [wheel, wheels[1]], disk_mb=25)
            failed += not _goes_back(fleet, name, number, lines)
    return 1 if failed else 0


def _goes_back(fleet: Fleet, name: str, number: int, lines: str) -> bool:
    """Give the device a release, and print what became of it. Returns whether it counts on the first one."""
    device, repository = fleet.members[0].device, fleet.repository
    config = lines.encode() + (device.folder / "etc/edge.toml").read_bytes()
    repository.assign(device.site, device.name, number, name, config)
    repository.publish()
    starts, switched, returned = device.starts, None, None
    device.update()
    while device.is_updating:
        fleet.step(looking=False)
        if switched is None and device.release != FIRST:
            switched = time.monotonic()
        if switched is not None and returned is None and is_well(device):
            returned = time.monotonic()
    state = StateFile(device.state).read()
    seconds = 0.0 if switched is None else (returned or time.monotonic()) - switched
    back = is_well(device) and device.release == FIRST and not state.wants(number) and seconds <= LIMIT_S
    reason = state.failure.reason if state.failure else ""
    print(
        f"{'ok    ' if back else 'FAILED'}  {name}: counts on the old release {seconds:.0f} s after the switch,"
        f" {device.starts - starts} restarts: {reason}",
        flush=True,
    )
    return back


if __name__ == "__main__":
    sys.exit(main())
