"""Inject faults into the real daemon, broker and collector, and check that every finished window arrives once.

``python -m benchmarks.faults --kills 200 --seed N``

The replay daemon counts images as fast as it can. It sends through the real Mosquitto, configured by
`systemd/broker/mosquitto.conf`, to the real collector. At seeded random moments processes are killed (SIGKILL), the
connection is cut in the middle of a message or slowed down, the disk of the spool is filled to the last byte, and the
camera of a second daemon is lost. Then broker and camera stay away together for ``--outage`` seconds, and a disk stays
full for longer than memory lasts.

How the expected counts are known. The images show scripted walks, so the counts of each window are known. How far a
daemon had come when it was killed is reported by the kernel (inotify): a daemon that has opened an image has written
the windows before it to disk. So each start of the daemon must have its windows in the CSV, from seq 0 to a number that
is known to within one, each once and with the scripted visits. No other row may be there. No spool is read,
except that of the live daemon after its end, to tell late windows from lost ones; both are errors. Two facts are taken
from the daemon's log: the boot id, and how many windows were in memory when it was killed while its disk was full.

What it does not prove. A killed process leaves the kernel's page cache intact. That synchronised data is on the medium
after a power cut is a promise of SQLite and fsync, and is not tested here. The counts are those of rendered walks, told
apart as happy and other; detection and classification are measured elsewhere. The camera is a replacement for the
picamera2 library (`camera/`); the daemon that reads it is the real one.

Exit code 1 if a window is lost, arrives twice or holds other counts, or if camera or broker take more than 30 s to
recover.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from benchmarks.faults import phases
from benchmarks.faults.expected_counts import Comparison
from benchmarks.faults.fault_schedule import FaultSchedule
from benchmarks.faults.live_windows import LiveResult
from benchmarks.faults.phases import FullDisk, Recovery
from benchmarks.faults.rig import Rig, running_rig

RECOVERY_LIMIT_S = 30.0


def main() -> int:
    """Run the benchmark and print its report; return 0 if all checks passed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="number of processes to kill (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices (default: %(default)s)")
    parser.add_argument(
        "--outage", type=float, default=60.0, metavar="S", help="outage of broker and camera (default: %(default)s)"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write logs and store to FOLDER, and keep them")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="facetally-faults-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        return _run(folder, arguments.kills, arguments.seed, arguments.outage)


def _run(folder: Path, kills: int, seed: int, outage_s: float) -> int:
    rng, began = random.Random(seed), time.monotonic()  # noqa: S311 - not for secrets
    with running_rig(folder, rng) as rig, tqdm(total=kills, desc="killed", unit="process") as bar:
        schedule = FaultSchedule(rig, rng)
        schedule.run(kills, bar.update)
        drains = phases.drain(rig)
        comparison = phases.compare_store(rig)
        recovery = phases.outage(rig, outage_s)
        full_disk = phases.full_disk(rig)
        live = phases.stop_live(rig)
    print(f"processes killed: {schedule.kills}; seed {seed}; {time.monotonic() - began:.0f} s")
    for fault, times in sorted(schedule.faults.items()):
        print(f"  {fault}: {times}")
    print(f"starts that emptied the spool: {drains}")
    passed = _report_replay(rig, comparison, full_disk)
    passed &= _report_live(live, recovery)
    print("PASSED" if passed else "FAILED")
    return 0 if passed else 1


def _report_replay(rig: Rig, comparison: Comparison, full_disk: FullDisk | None) -> bool:
    print(f"starts of the replay daemon: {len(rig.starts)}")
    print(f"finished windows in the CSV: {comparison.windows}; with other counts: {len(comparison.wrong)}")
    print(f"lost: {len(comparison.lost)}")
    print(f"duplicates: {len(comparison.duplicates)}")
    print(f"windows open when the daemon was killed (not expected): {comparison.open_windows}")
    print(f"windows in memory when the daemon was killed with a full disk (logged): {comparison.dropped}")
    if full_disk:
        exact = "exactly these are missing" if full_disk.exact else "OTHERS are missing"
        print(
            f"disk full: {full_disk.windows} windows, {full_disk.rows} in the CSV,"
            f" {full_disk.dropped} logged as dropped, {exact}"
        )
    else:
        print("disk full: skipped, only root can mount a small disk")
    errors = (*comparison.lost, *comparison.duplicates, *comparison.wrong, *rig.unexpected)
    for text in errors:
        print(f"  WRONG {text}")
    return not errors and (full_disk is None or full_disk.exact)


def _report_live(live: LiveResult, recovery: Recovery) -> bool:
    print(f"live daemon: {live.windows} windows, {live.visits} visits, expected {live.least} to {live.most}")
    for text in live.wrong:
        print(f"  WRONG {text}")
    in_time = True
    for what, taken_s in (("broker back, first row", recovery.row_s), ("camera back", recovery.camera_s)):
        print(f"{what} after: {'never' if taken_s is None else f'{taken_s:.1f} s'}")
        in_time &= taken_s is not None and taken_s <= RECOVERY_LIMIT_S
    never = f"never (within {phases.LIMIT_S:g} s)"
    print(f"live windows complete after: {never if recovery.complete_s is None else f'{recovery.complete_s:.1f} s'}")
    return in_time and not live.wrong


if __name__ == "__main__":
    sys.exit(main())
