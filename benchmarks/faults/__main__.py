"""``python -m benchmarks.faults --kills 200 --seed N``: break everything, and see that every window arrives, once.

The real daemon counts pictures as fast as it can; the real Mosquitto, kept by `systemd/broker/mosquitto.conf`, and the real
collector take what it sends. At seeded random moments processes are killed (SIGKILL), the connection is cut in the
middle of a message or slowed down, the spool's disk is filled to the last byte, and a second daemon's camera is lost.
Then broker and camera stay away together for ``--away`` seconds, and a disk stays full for longer than memory lasts.

What the oracle is made from. The pictures are drawn from a script of who walks past when, so that it is known what each
window holds. How far a daemon had come when it was killed the kernel says (inotify): whoever has opened a picture has
put the windows before it on disk. So every start of the daemon must have its windows in the CSV, from seq 0 to a number
known to within one (whether the last was committed in the moment of the kill nobody can know), each once, each
with the script's visits; and no other row may be there. No spool is looked into, but that of the live daemon
after its end: a window that it still holds is late, not lost; both are faults. Two things are taken from the
daemon's log: the boot id, which names a start, and how many windows it held in memory when it was killed while its disk
was full.

What it does not prove. A killed process leaves the kernel's cache whole: that what was synchronised is on the medium
when the power goes is SQLite's promise and fsync's, not seen here. Counts are those of drawn walks, told apart as
happy and not; how well faces and expressions are seen is measured elsewhere. The camera is a stand-in for the library
picamera2 (`camera/`), as this machine has none; the daemon that reads it is the real one.

Exit code 1 if a window is lost, comes twice or holds something else, or if camera or broker needed more than 30 s.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from benchmarks.faults import acts
from benchmarks.faults.acts import Back, Full
from benchmarks.faults.live import Live
from benchmarks.faults.oracle import Verdict
from benchmarks.faults.plant import plant
from benchmarks.faults.storm import Storm

BACK_WITHIN_S = 30.0


def main() -> int:
    """Run, print the table; 0 if all is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="processes to kill (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: %(default)s)")
    parser.add_argument(
        "--away", type=float, default=60.0, metavar="S", help="broker and camera (default: %(default)s)"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave logs and store there")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="facetally-faults-") as scratch:
        folder = chosen.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        return _run(folder, chosen.kills, chosen.seed, chosen.away)


def _run(folder: Path, kills: int, seed: int, away_s: float) -> int:
    chance, began = random.Random(seed), time.monotonic()  # noqa: S311 - nothing is secret here
    with plant(folder, chance) as built, tqdm(total=kills, desc="killed", unit="process") as bar:
        storm = Storm(built, chance)
        storm.blow(kills, bar.update)
        acts.close(built)
        verdict = acts.settle(built)
        back = acts.away(built, away_s)
        full = acts.full_disk(built)
        shown = acts.end_pane(built)
    print(f"kills {storm.kills}, seed {seed}, {time.monotonic() - began:.0f} s")
    for kind, times in sorted(storm.faults.items()):
        print(f"  {kind}: {times}")
    good = _print(verdict, full, built.unexpected, len(built.starts))
    good &= _print_live(shown, back)
    print("as it should be" if good else "NOT as it should be")
    return 0 if good else 1


def _print(verdict: Verdict, full: Full | None, unexpected: list[str], starts: int) -> bool:
    print(f"starts of the daemon: {starts}")
    print(f"finished windows in the CSV: {verdict.windows}, each with the script's counts: {not verdict.wrong}")
    print(f"lost: {len(verdict.lost)}")
    print(f"doubles: {len(verdict.doubles)}")
    print(f"open windows cut by a kill: {verdict.cut}")
    print(f"dropped, killed with a full disk (in memory, and said): {verdict.dropped}")
    if full:
        exact = "exactly those are missing" if full.exact else "NOT those that are missing"
        print(f"disk full for {full.windows} windows: {full.rows} in the CSV, {full.told} dropped and said, {exact}")
    else:
        print("disk full: left out, only root can mount a small disk")
    for text in (*verdict.lost, *verdict.doubles, *verdict.wrong, *unexpected):
        print(f"  WRONG {text}")
    return verdict.good and not unexpected and (full is None or full.exact)


def _print_live(shown: Live, back: Back) -> bool:
    print(f"live: {shown.windows} windows, {shown.visits} visits, {shown.least} to {shown.most} by the script")
    for text in shown.wrong:
        print(f"  WRONG {text}")
    soon = True
    for what, seconds in (("broker back: the first row after", back.row_s), ("camera back: after", back.camera_s)):
        print(f"{what} {'(never)' if seconds is None else f'{seconds:.1f} s'}")
        soon &= seconds is not None and seconds <= BACK_WITHIN_S
    gap = f"after {back.whole_s:.1f} s" if back.whole_s is not None else f"not within {acts.PATIENCE_S:g} s"
    print(f"broker back: the last gap in the live windows is filled {gap}")
    return soon and not shown.wrong


if __name__ == "__main__":
    sys.exit(main())
