"""A day without a broker -> how soon all windows are stored once it is back, and what a new one waits meanwhile.

``python -m benchmarks.load.outage``: 1,440 windows of a minute are put into a spool by the daemon's own code. The daemon
starts on that spool with no broker there and counts a camera (the stand-in of `benchmarks.faults`) in short windows;
after ``--away`` seconds a real Mosquitto and the collector start. Timed are the last of the old windows in the CSV, and
for each new one how long after its end it stands there. Exit code 1 unless every window is there once.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

from benchmarks.faults import scripted_walks

from benchmarks.faults import processes
from benchmarks.faults.live_windows import seconds
from benchmarks.faults.rig import pane
from contract.message import Counts, Models, Privacy
from demo.broker import free_port
from edge.delivery import spool

MINUTES = 1440
OLD_BOOT = "0" * 15 + "1"
NEW_S = 2.0
LIMIT_S = 300.0


def fill(path: Path) -> None:
    """The windows of a day, finished before the device was started again."""
    begin = (datetime.now(timezone.utc) - timedelta(days=2)).replace(second=0, microsecond=0)
    with spool.opened(path, 10 * MINUTES) as waiting:
        for minute in range(MINUTES):
            start = begin + timedelta(minutes=minute)
            waiting.add(
                Counts(
                    schema=1, site=processes.SITE, device=processes.PANE, boot=OLD_BOOT, seq=0, start=start,
                    end=start + timedelta(minutes=1), clock="synced", coverage=1.0, degraded=(),
                    visits={"happiness": minute % 7, "neutral": 1, "unknown": 0}, merged=1, privacy=Privacy(k=1),
                    model=Models(detector="face@000000000000", expression="expression@000000000000"),
                )
            )  # fmt: skip


def main() -> int:
    """Run, print the figures; 0 if every window is there once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.outage", description=__doc__.partition("\n")[0])
    parser.add_argument("--away", type=float, default=30.0, metavar="S", help="after the daemon's start (30)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facetally-outage-") as scratch, ExitStack() as stack:
        folder, port = Path(scratch), free_port()
        scripted_walks.draw(folder / "loop")
        fill(folder / "pane.sqlite")
        broker, collector = processes.broker(folder, port), processes.collector(folder, port)
        daemon = pane(folder, port, NEW_S)
        for part in (broker, collector, daemon):
            stack.callback(part.close)
        daemon.start()
        time.sleep(chosen.away)
        back, back_utc = time.monotonic(), time.time()
        broker.start()
        collector.start()
        seen, old_s = _until_stored(folder, back)
        return _print(folder, seen, old_s, back_utc)


def _until_stored(folder: Path, back: float) -> tuple[dict[int, float], float | None]:
    """Wait for the old windows; when each new one was first seen (wall clock), and seconds until the old were there."""
    seen: dict[int, float] = {}
    while time.monotonic() - back < LIMIT_S:
        rows = list(processes.rows(folder))
        for row in rows:
            if row["boot"] != OLD_BOOT:
                seen.setdefault(int(row["seq"]), time.time())
        if sum(row["boot"] == OLD_BOOT for row in rows) >= MINUTES:
            return seen, time.monotonic() - back
        time.sleep(0.1)
    return seen, None


def _print(folder: Path, seen: dict[int, float], old_s: float | None, back: float) -> int:
    rows = list(processes.rows(folder))
    keys = Counter((row["boot"], row["seq"]) for row in rows)
    old = {int(seq) for boot, seq in keys if boot == OLD_BOOT}
    ends = {int(row["seq"]): seconds(row["end"]) for row in rows if row["boot"] != OLD_BOOT}
    first = min(seen.values(), default=float("nan")) - back
    waits = [at - ends[seq] for seq, at in seen.items() if ends[seq] > back + first]
    print(
        f"old windows stored: {len(old)} of {MINUTES}, the last {old_s and round(old_s, 1)} s after the broker's return"
    )
    print(f"first row {first:.1f} s after the broker's return")
    if waits:
        print(f"new windows meanwhile: {len(waits)}, stored {statistics.median(waits):.2f} s after their end (median),")
        print(f"  {max(waits):.2f} s at most")
    doubles = sum(times > 1 for times in keys.values())
    print(f"doubles: {doubles}")
    return 0 if old == set(range(MINUTES)) and not doubles else 1


if __name__ == "__main__":
    sys.exit(main())
