"""The daemon for an hour and a half at full speed -> the slope of its memory, and megabytes written in a day.

``python -m benchmarks.speed.endurance --minutes 90``: the real daemon looks at a camera (the stand-in of `benchmarks.faults`,
which plays a loop of passers-by and always has a frame) as fast as it can, with windows of a minute, k = 1, the spool
on this disk, a real Mosquitto and the collector. Every few seconds its resident memory is read, and what it has handed
to the disk (``write_bytes`` of proc(5): whole pages, as they are written back; what flash memory makes of them is not
seen). The slope is Theil's and Sen's (Sen 1968), with its 95 % interval, of what follows the warm-up. Samples of one
run are not independent, so the interval is narrower than chance would make it.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from scipy.stats import theilslopes
from tqdm import tqdm

from benchmarks.faults import scripted_walks

from benchmarks.faults import processes
from benchmarks.faults.rig import pane
from demo.broker import free_port

EVERY_S = 5.0
WARM_UP = 0.2
"""Of the time, so much is left out of the slope: caches and pools fill."""
WINDOW_S = 60.0
FULL_SPEED = ("--set", "capture.fps=1000")
REFERENCE = Path(__file__).parents[1] / "reference" / "endurance.csv"


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process was like after so many seconds: resident megabytes (10^6), bytes written, size of its spool."""

    seconds: float
    rss_mb: float
    written: int
    spool: int


def sample(pid: int, spool: Path, since: float) -> Sample:
    """Look at a process and at the files of its spool."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    io = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    size = sum(path.stat().st_size for path in spool.parent.glob(spool.name + "*"))
    rss_mb = pages * os.sysconf("SC_PAGESIZE") / 1e6
    return Sample(round(time.monotonic() - since, 1), round(rss_mb, 3), int(io["write_bytes"]), size)


def watch(minutes: float, folder: Path) -> tuple[list[Sample], float | None]:
    """Run daemon, broker and collector for so long; samples, and the frames a second that the daemon told last."""
    port, samples = free_port(), []
    scripted_walks.draw(folder / "loop")
    broker, collector, daemon = (
        processes.broker(folder, port),
        processes.collector(folder, port),
        pane(folder, port, WINDOW_S),
    )
    daemon.command += FULL_SPEED
    with ExitStack() as stack:
        for part in (broker, collector, daemon):
            stack.callback(part.close)
        broker.start()
        processes.wait_for_broker(port)
        collector.start()
        daemon.start()
        since = time.monotonic()
        for number in tqdm(range(round(minutes * 60 / EVERY_S)), desc="looked at", unit="sample"):
            time.sleep(max(0.0, since + (number + 1) * EVERY_S - time.monotonic()))
            samples.append(sample(daemon.pid, folder / "pane.sqlite", since))
    return samples, _frames_per_s(folder)


def _frames_per_s(folder: Path) -> float | None:
    devices = json.loads((folder / "store" / "devices.json").read_text())["devices"]
    return next((float(each["health"]["frames_per_s"]) for each in devices if each["health"]), None)


def main() -> int:
    """Run, print the figures, write the samples."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.endurance", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=90.0, help="how long (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=REFERENCE, help="CSV of the samples (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where spool and store are; a real disk, not one in memory")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="facetally-endurance-", dir=chosen.folder) as scratch:
        samples, frames_per_s = watch(chosen.minutes, Path(scratch))
        windows = sum(row["device"] == processes.PANE for row in processes.rows(Path(scratch)))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    with chosen.out.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(field.name for field in fields(Sample))
        table.writerows(map(astuple, samples))
    print(report(samples))
    print(f"windows stored: {windows}; frames a second: {frames_per_s}")
    return 0


def report(samples: list[Sample]) -> str:
    """Samples -> the figures: slope with its interval, memory, megabytes a day."""
    settled = [each for each in samples if each.seconds >= WARM_UP * samples[-1].seconds]
    hours = [each.seconds / 3600 for each in settled]
    slope, _, low, high = theilslopes([each.rss_mb for each in settled], hours)
    first, last = settled[0], settled[-1]
    per_day = (last.written - first.written) / (last.seconds - first.seconds) * 86_400 / 1e6
    return "\n".join(
        (
            f"{len(samples)} samples in {last.seconds / 60:.1f} minutes, the first {WARM_UP:.0%} left out",
            f"memory: {slope:+.3f} MB an hour, 95 % interval {low:+.3f} to {high:+.3f}",
            f"  {first.rss_mb:.1f} MB after the warm-up, {last.rss_mb:.1f} MB at the end, {_most(samples):.1f} at most",
            f"written: {last.written} bytes in all, {per_day:.1f} MB a day at one window a minute",
            f"  the spool's files: {last.spool} bytes at the end",
        )
    )


def _most(samples: list[Sample]) -> float:
    return max(each.rss_mb for each in samples)


if __name__ == "__main__":
    sys.exit(main())
