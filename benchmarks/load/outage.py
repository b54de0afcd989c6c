"""Measure how soon a day of windows is stored after an outage of the broker, and how long new windows wait meanwhile.

``python -m benchmarks.load.outage``

1,440 windows of a minute are written to a spool by the daemon's own code. The daemon starts with that spool, without a
broker, and counts a camera (that of `benchmarks.faults`) in short windows. After ``--outage`` seconds Mosquitto and the
collector start. It prints when the last of the old windows is in the CSV, and how long after its end each new one is.
Exit code 1 unless every window is stored once.
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

from benchmarks.faults import processes, scripted_walks
from benchmarks.faults.live_windows import seconds
from benchmarks.faults.rig import live_daemon
from contract.message import Counts, Models, Privacy
from demo.mosquitto import Mosquitto
from edge.delivery import spool

MINUTES = 1440
OLD_BOOT = "0" * 15 + "1"
NEW_WINDOW_S = 2.0
LIMIT_S = 300.0


def fill(path: Path, site: str, device: str, minutes: int) -> None:
    """Write one-minute windows of a device, of an earlier boot, to a spool; the last ended a day ago."""
    begin = (datetime.now(timezone.utc) - timedelta(days=1, minutes=minutes)).replace(second=0, microsecond=0)
    with spool.opened(path, minutes) as waiting:
        for minute in range(minutes):
            start = begin + timedelta(minutes=minute)
            waiting.add(
                Counts(
                    schema=1, site=site, device=device, boot=OLD_BOOT, seq=0, start=start,
                    end=start + timedelta(minutes=1), clock="synced", coverage=1.0, degraded=(),
                    visits={"happiness": minute % 7, "neutral": 1, "unknown": 0}, merged=1, privacy=Privacy(k=1),
                    model=Models(detector="face@000000000000", expression="expression@000000000000"),
                )
            )  # fmt: skip


def main() -> int:
    """Measure and print the result; return 0 if every window is stored once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.outage", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--outage", type=float, default=30.0, metavar="S", help="time without a broker (default: %(default)s)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facetally-outage-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        scripted_walks.write_loop(folder / "loop")
        fill(folder / "live.sqlite", processes.SITE, processes.LIVE_DEVICE, MINUTES)
        broker = Mosquitto(folder, shipped=True)
        collector, daemon = processes.collector(folder, broker.port), live_daemon(folder, broker.port, NEW_WINDOW_S)
        for close in (broker.stop, collector.close, daemon.close):
            stack.callback(close)
        daemon.start()
        time.sleep(arguments.outage)
        back, back_utc = time.monotonic(), time.time()
        broker.launch()
        collector.start()
        seen, old_s = _wait_for_old_windows(folder, back)
        return _report(folder, seen, old_s, back_utc)


def _wait_for_old_windows(folder: Path, back: float) -> tuple[dict[int, float], float | None]:
    """Return when each new window was first seen (wall clock) by seq, and the seconds until all old ones were stored.

    The seconds are None if not all old windows are stored within `LIMIT_S`.
    """
    seen: dict[int, float] = {}
    while time.monotonic() - back < LIMIT_S:
        rows = list(processes.csv_rows(folder))
        for row in rows:
            if row["boot"] != OLD_BOOT:
                seen.setdefault(int(row["seq"]), time.time())
        if sum(row["boot"] == OLD_BOOT for row in rows) >= MINUTES:
            return seen, time.monotonic() - back
        time.sleep(0.1)
    return seen, None


def _report(folder: Path, seen: dict[int, float], old_s: float | None, back: float) -> int:
    rows = list(processes.csv_rows(folder))
    keys = Counter((row["boot"], row["seq"]) for row in rows)
    old = {int(seq) for boot, seq in keys if boot == OLD_BOOT}
    ends = {int(row["seq"]): seconds(row["end"]) for row in rows if row["boot"] != OLD_BOOT}
    first = min(seen.values(), default=float("nan")) - back
    waits = [at - ends[seq] for seq, at in seen.items() if ends[seq] > back + first]
    last = "never" if old_s is None else f"{old_s:.1f} s after the broker's return"
    print(f"old windows stored: {len(old)} of {MINUTES}; the last one: {last}")
    print(f"first row: {first:.1f} s after the broker's return")
    if waits:
        print(
            f"new windows meanwhile: {len(waits)}; stored after their end: {statistics.median(waits):.2f} s (median),"
            f" {max(waits):.2f} s (maximum)"
        )
    duplicates = sum(times > 1 for times in keys.values())
    print(f"duplicates: {duplicates}")
    return 0 if old == set(range(MINUTES)) and not duplicates else 1


if __name__ == "__main__":
    sys.exit(main())
