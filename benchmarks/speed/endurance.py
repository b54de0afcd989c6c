"""Run the daemon for two hours, and measure the slope of its memory and what it writes per day.

``python -m benchmarks.speed.endurance --minutes 120 --fps 15``

The real daemon counts a camera, by default as fast as it can. The camera is that of `benchmarks.faults`, which plays a
loop of scripted walks. Windows last a minute, k is 1, the spool is on this disk; Mosquitto and collector are real.
Every few seconds the daemon's resident memory and ``write_bytes`` of proc(5) are read. The latter counts whole pages
written back; write amplification in flash memory is not included. The slope of memory after the warm-up is that of
Theil and Sen (Sen 1968), with its 95 % interval. The samples of one run are not independent, so the interval is too
narrow. Samples are written as they are taken, so a run that is stopped early keeps them.
"""

import argparse
import csv
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from scipy.stats import theilslopes
from tqdm import tqdm

from benchmarks.faults import processes, scripted_walks
from benchmarks.faults.rig import live_daemon
from collector.devices.registry import read_devices
from demo.mosquitto import Mosquitto

SAMPLE_INTERVAL_S = 5.0
WARM_UP = 0.2
"""Fraction of the time that is excluded from the slope, because caches and pools fill."""
WINDOW_S = 60.0
FULL_SPEED_FPS = 1000
REFERENCE = Path(__file__).parents[1] / "reference" / "endurance.csv"


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory and writes of a process at one moment."""

    seconds: float
    """Since the start of the process."""
    rss_mb: float
    """Resident memory, 10^6 bytes."""
    written: int
    """Bytes written to disk."""
    spool: int
    """Bytes of the files of the spool."""


def sample(pid: int, spool: Path, since: float) -> Sample:
    """Read the memory and writes of a process, and the size of its spool's files."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    io = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    size = sum(path.stat().st_size for path in spool.parent.glob(spool.name + "*"))
    rss_mb = pages * os.sysconf("SC_PAGESIZE") / 1e6
    return Sample(round(time.monotonic() - since, 1), round(rss_mb, 3), int(io["write_bytes"]), size)


def watch(
    minutes: float, fps: int, folder: Path, keep: Callable[[Sample], object]
) -> tuple[list[Sample], float | None]:
    """Run daemon, broker and collector; return samples, and the latest frames per second in the daemon's health.

    ``keep`` is called with each sample as it is taken.
    """
    samples: list[Sample] = []
    scripted_walks.write_loop(folder / "loop")
    broker = Mosquitto(folder, shipped=True)
    collector, daemon = processes.collector(folder, broker.port), live_daemon(folder, broker.port, WINDOW_S)
    daemon.command += ("--set", f"capture.fps={fps}")
    with ExitStack() as stack:
        for close in (broker.stop, collector.close, daemon.close):
            stack.callback(close)
        broker.start()
        collector.start()
        daemon.start()
        since = time.monotonic()
        for number in tqdm(range(round(minutes * 60 / SAMPLE_INTERVAL_S)), desc="measuring", unit="sample"):
            time.sleep(max(0.0, since + (number + 1) * SAMPLE_INTERVAL_S - time.monotonic()))
            if not daemon.running:
                raise SystemExit(f"endurance: the daemon has ended: {daemon.log.read_text()}")
            samples.append(sample(daemon.pid, folder / "live.sqlite", since))
            keep(samples[-1])
    return samples, _frames_per_s(folder)


def _frames_per_s(folder: Path) -> float | None:
    healths = [device.health for device in read_devices(folder / "store")]
    return next((health.frames_per_s for health in healths if health), None)


def main() -> int:
    """Run the benchmark, print the figures, and write the samples."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.endurance", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=120.0, help="duration (default: %(default)s)")
    parser.add_argument(
        "--fps", type=int, default=FULL_SPEED_FPS, help="frames a second, at most (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=REFERENCE, help="CSV of the samples (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="folder for spool and store; must be on a disk, not in memory")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="facetally-endurance-", dir=arguments.folder) as scratch,
        arguments.out.open("w", newline="", buffering=1) as file,
    ):
        table = csv.writer(file)
        table.writerow(field.name for field in fields(Sample))
        samples, frames_per_s = watch(
            arguments.minutes, arguments.fps, Path(scratch), lambda each: table.writerow(astuple(each))
        )
        windows = sum(row["device"] == processes.LIVE_DEVICE for row in processes.csv_rows(Path(scratch)))
    print(report(samples))
    print(f"windows stored: {windows}; frames a second: {frames_per_s}")
    return 0


def report(samples: list[Sample]) -> str:
    """Return the figures as text: slope of memory with its interval, memory, and megabytes written per day."""
    measured = [each for each in samples if each.seconds >= WARM_UP * samples[-1].seconds]
    hours = [each.seconds / 3600 for each in measured]
    slope, _, low, high = theilslopes([each.rss_mb for each in measured], hours)
    first, last = measured[0], measured[-1]
    per_day = (last.written - first.written) / (last.seconds - first.seconds) * 86_400 / 1e6
    return "\n".join(
        (
            f"{len(samples)} samples in {last.seconds / 60:.1f} minutes, the first {WARM_UP:.0%} excluded",
            f"memory: {slope:+.3f} MB per hour, 95 % interval {low:+.3f} to {high:+.3f}",
            f"  {first.rss_mb:.1f} MB after the warm-up, {last.rss_mb:.1f} MB at the end,"
            f" {_peak_mb(samples):.1f} MB at most",
            f"written: {last.written} bytes in total, {per_day:.1f} MB a day at one window a minute",
            f"  files of the spool: {last.spool} bytes at the end",
        )
    )


def _peak_mb(samples: list[Sample]) -> float:
    return max(each.rss_mb for each in samples)


if __name__ == "__main__":
    sys.exit(main())
