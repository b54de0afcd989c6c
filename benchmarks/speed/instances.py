"""Measure CPU time and memory of one device that runs 1, 2 and 4 instances of the daemon, one per camera.

``python -m benchmarks.speed.instances --seconds 60 [--clip CLIP]``

Each instance is the real daemon with a configuration, a spool and a broker login of its own, as
``facetally-edge@NAME`` is. Its camera is the stand-in of `benchmarks.faults`, which gives 10 frames a second of 640 x
480 from a mapped file: a busy clip, or an empty scene with a sensor's noise. The broker is Mosquitto. Every window must
have full coverage, else the machine was too busy and the figures mean nothing.

Memory is counted by what maps it (proc(5), smaps). Pages of files, such as libraries, are in memory once however many
instances map them. All others are each instance's own. The frames of the stand-in are left out.
"""

import argparse
import contextlib
import csv
import json
import math
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.faults import processes
from benchmarks.faults.processes import RestartableProcess
from benchmarks.faults.rig import CAMERA
from benchmarks.faults.scripted_walks import WALKS
from benchmarks.machines.nspawn import wait_until
from benchmarks.simulation.process_usage import cpu_seconds
from demo.clip import render
from demo.mosquitto import Mosquitto
from edge.camera.file_source import read_frames, to_grey
from edge.camera_settings import File
from edge.values import Pixels
from edge.vision.bundle import DEFAULT_DETECTOR

FPS, SECONDS = 10, 20
"""Frame rate of the cameras, and duration of the loop that they show, seconds."""
SIZE = (640, 480)
NOISE = 2.0
"""Standard deviation of the empty scene's noise, grey levels."""
WINDOW_S = 5.0
WARM_UP_S = 10.0
"""Time between the start of all daemons and the measurement, in which the scene becomes the usual one."""
START_LIMIT_S = 120.0
MIN_COVERAGE = 0.97
SCENES = ("busy", "empty")
REFERENCE = "benchmarks/reference/instances.csv"


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of one process, 10^6 bytes, without the frames of its camera."""

    own: float
    """Pages that no file backs, or that were changed."""
    of_files: float
    """Pages of libraries and other files, which all processes that map them share."""
    pss: float
    """Proportional set size: the own pages, and of each shared page the share of this process."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What some instances used together."""

    scene: str
    instances: int
    cores: float
    """CPU time of all instances over elapsed time."""
    own_mb: float
    """`Memory.own`, mean of the instances, 10^6 bytes."""
    files_mb: float
    """`Memory.of_files`, the largest of the instances, 10^6 bytes."""
    pss_mb: float
    """`Memory.pss`, mean of the instances, 10^6 bytes."""
    coverage: float
    """Lowest coverage of a window, 0 to 1."""

    @property
    def memory_mb(self) -> float:
        """Memory that all instances take together, 10^6 bytes: own pages, and pages of files once."""
        return self.instances * self.own_mb + self.files_mb


def read_memory(pid: int) -> Memory:
    """Read the memory of a process from smaps."""
    sums, skipped = {"Rss": 0, "Anonymous": 0, "Pss": 0}, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        key, _, rest = line.partition(":")
        if key in sums and not skipped:
            sums[key] += int(rest.split()[0]) * 1024
        elif " " in key:  # the first line of a mapping: its addresses, and the path of its file
            skipped = line.endswith(".npy")
    own, total = sums["Anonymous"] / 1e6, sums["Rss"] / 1e6
    return Memory(own=own, of_files=total - own, pss=sums["Pss"] / 1e6)


def busy_frames(clip: Path | None) -> Iterator[Pixels]:
    """Frames of a clip, fitted to `SIZE`, or of the scripted walks; endless, or as long as the loop."""
    if clip is None:
        yield from (to_grey(image) for image in render(WALKS, SECONDS, FPS))
        return
    while True:
        for frame in read_frames(File(path=str(clip), fps=FPS)):
            yield np.asarray(cv2.resize(frame.pixels, SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def empty_frames() -> Iterator[Pixels]:
    """A scene without people, with noise."""
    rng, scene = np.random.default_rng(0), np.tile(np.linspace(40, 200, SIZE[0]), (SIZE[1], 1))
    while True:
        yield np.clip(scene + rng.normal(0, NOISE, scene.shape), 0, 255).astype(np.uint8)


def write_frames(path: Path, frames: Iterator[Pixels]) -> None:
    """Write one loop of frames."""
    np.save(path, np.stack([next(frames) for _ in range(FPS * SECONDS)]))


def instance(folder: Path, name: str, frames: Path, port: int) -> RestartableProcess:
    """Return the daemon of one camera, with the detector that replayed files get.

    No collector confirms its windows, so all of them stay in the spool.
    """
    made = processes.daemon(
        folder,
        name,
        capture=f'source = "picamera2"\nfps = {FPS}',
        window_s=WINDOW_S,
        port=port,
        spool=folder / f"{name}.sqlite",
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(CAMERA), os.environ.get("PYTHONPATH", ""))).rstrip(os.pathsep),
        "FACETALLY_IMAGES": str(frames),
        "FACETALLY_IMAGES_FPS": str(FPS),
    }
    detector = ("--set", f"detect.bundle={DEFAULT_DETECTOR.stem}")
    return replace(made, command=(*made.command, *detector), environment=environment)


def measure(folder: Path, scene: str, frames: Path, count: int, seconds: float, warm_up_s: float = WARM_UP_S) -> Usage:
    """Run some instances, and return what they used in ``seconds`` after the warm-up."""
    folder.mkdir()
    broker = Mosquitto(folder)
    names = [f"camera-{number}" for number in range(count)]
    daemons = [instance(folder, name, frames, broker.port) for name in names]
    with ExitStack() as stack:
        for close in (broker.stop, *(daemon.close for daemon in daemons)):
            stack.callback(close)
        broker.start()
        for daemon in daemons:
            daemon.start()
        for daemon in daemons:
            wait_until(lambda log=daemon.log: "event=started" in log.read_text(), START_LIMIT_S, "started")  # type: ignore[misc]
        time.sleep(warm_up_s)
        begin, before = time.monotonic(), sum(cpu_seconds(daemon.pid) for daemon in daemons)
        time.sleep(seconds)
        used, elapsed = sum(cpu_seconds(daemon.pid) for daemon in daemons) - before, time.monotonic() - begin
        memory = [read_memory(daemon.pid) for daemon in daemons]
    return Usage(
        scene=scene,
        instances=count,
        cores=round(used / elapsed, 4),
        own_mb=round(float(np.mean([each.own for each in memory])), 1),
        files_mb=round(max(each.of_files for each in memory), 1),
        pss_mb=round(float(np.mean([each.pss for each in memory])), 1),
        coverage=min(lowest_coverage(folder / f"{name}.sqlite", warm_up_s) for name in names),
    )


def lowest_coverage(spool: Path, warm_up_s: float) -> float:
    """Lowest coverage of the full windows in a spool after the warm-up, 0 to 1; 0 if there are none."""
    with contextlib.closing(sqlite3.connect(spool)) as database:
        rows = database.execute("SELECT payload FROM ready ORDER BY number").fetchall()
    found = [float(json.loads(payload)["coverage"]) for (payload,) in rows]
    return min(found[1 + math.ceil(warm_up_s / WINDOW_S) : -1], default=0.0)


def write(path: Path, found: Sequence[Usage]) -> None:
    """Write the figures as CSV."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(field.name for field in fields(Usage))
        rows.writerows(map(astuple, found))


def read(path: Path) -> list[Usage]:
    """Read the figures that `write` has written."""
    with path.open(newline="") as file:
        return [
            Usage(row.pop("scene"), int(row.pop("instances")), **{key: float(value) for key, value in row.items()})
            for row in csv.DictReader(file)
        ]


def table(found: Sequence[Usage]) -> str:
    """The figures as a table of Markdown. Those in brackets are relative to one instance with the same scene."""
    one = {usage.scene: usage for usage in found if usage.instances == 1}
    rows = [
        "| scene | instances | CPU time, cores | memory of all, MB | own pages of each, MB | pages of files, MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for usage in found:
        first = one[usage.scene]
        rows.append(
            f"| {usage.scene} | {usage.instances} | {usage.cores:.3f} ({usage.cores / first.cores:.2f})"
            f" | {usage.memory_mb:.0f} ({usage.memory_mb / first.memory_mb:.2f})"
            f" | {usage.own_mb:.0f} | {usage.files_mb:.0f} |"
        )
    return "\n".join(rows)


def main() -> int:
    """Run the benchmark and print the table; return 1 if an instance did not see all of its camera's frames."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.instances", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--clip", type=Path, help="the busy scene (default: scripted walks)")
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 2, 4], help="(default: 1 2 4)")
    parser.add_argument("--out", type=Path, help=f"CSV of the figures, such as {REFERENCE}")
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="facetally-instances-") as scratch:
        folder = Path(scratch)
        for scene, frames in (("busy", busy_frames(arguments.clip)), ("empty", empty_frames())):
            write_frames(folder / f"{scene}.npy", frames)
        runs = [(scene, count) for scene in SCENES for count in arguments.instances]
        for scene, count in tqdm(runs, desc="measuring", unit="run"):
            frames = folder / f"{scene}.npy"
            found.append(measure(folder / f"{scene}-{count}", scene, frames, count, arguments.seconds))
    if arguments.out:
        write(arguments.out, found)
    print(table(found))
    seen = min(usage.coverage for usage in found)
    print(f"lowest coverage of a window: {seen:.3f}; must be at least {MIN_COVERAGE}")
    return 0 if seen >= MIN_COVERAGE else 1


if __name__ == "__main__":
    sys.exit(main())
