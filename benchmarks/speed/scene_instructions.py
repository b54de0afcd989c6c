"""How many instructions a second of video costs, with and without motion, on the cores of Raspberry Pi 3, 4 and 5.

``python -m benchmarks.speed.scene_instructions CLIPS [--out FILE.csv]``: ``CLIPS`` is the folder of the clips in
tests/golden/clip_truth.csv. Each scene is `SECONDS` of video, 640 x 480, 15 frames a second, and is counted twice: with a detection
on every frame, and as the daemon runs by default, where work follows motion (`edge.vision.motion_gate`). Counted is the whole loop
but decoding, disk and broker, from the second second on. Needs what `benchmarks.speed.frame_instructions` needs.
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machines import arm64
from benchmarks.machines.debian import lacking
from benchmarks.speed.frame_instructions import HERE, PROGRAMS, SYSTEM, run
from edge.camera.file_source import clip
from edge.settings import File
from edge.values import Pixels

SIZE, FPS, SECONDS = (640, 480), 15, 3
EMPTY = "one-by-one-person-detection.mp4"
"""Its place without anybody, the median of frames over time, is the empty scene."""
NOISE = 4.0
"""Sensor noise of the empty scene, standard deviation in grey levels."""
BUSY = ("store-aisle-detection.gif", "face-demographics-walking-and-pause.gif")
PATHS = ("every", "motion")


@dataclass(frozen=True, slots=True)
class Row:
    """A scene on a core by one path: instructions and detections for a second of video."""

    core: str
    scene: str
    path: str
    instructions: int
    detections: float


def empty(folder: Path) -> Sequence[Pixels]:
    """Frames of a real place in which nobody is, with a sensor's noise."""
    frames = [frame.pixels for frame in clip(File(path=str(folder / EMPTY)))][::20]
    still = cv2.resize(np.median(np.stack(frames), axis=0).astype(np.uint8), SIZE, interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(0)
    noisy = (still + rng.normal(0, NOISE, still.shape) for _ in range(SECONDS * FPS))
    return [np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in noisy]


def busy(path: Path) -> Sequence[Pixels]:
    """Frames of a clip, one after the other at the scene's rate; a clip that is too short runs to and fro."""
    frames = [np.asarray(cv2.resize(frame.pixels, SIZE), np.uint8) for frame in clip(File(path=str(path)))]
    there_and_back = [*frames, *frames[-2:0:-1]]
    return [there_and_back[index % len(there_and_back)] for index in range(SECONDS * FPS)]


def measure(board: arm64.Board, core: str, scene: str, frames: Path, path: str) -> Row:
    """One scene by one path."""
    printed, totals = run(board, frames.parent, HERE / "marked_scene.py", frames, str(FPS), path)
    spent = totals[-1] - totals[FPS]
    return Row(core, scene, path, round(spent / (SECONDS - 1)), int(printed[-1]) / (SECONDS - 1))


def table(rows: Sequence[Row]) -> str:
    """Rows -> the Markdown table of docs/accuracy.md: for each scene and core both paths and their ratio."""
    lines = [
        "| scene | core | detection on every frame | by motion | ratio | detections a second |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for every, motion in zip(rows[::2], rows[1::2], strict=True):
        before, after = (f"{row.instructions / 1e6:,.0f}" for row in (every, motion))
        ratio = motion.instructions / every.instructions
        detections = f"{every.detections:.0f}, {motion.detections:.0f}"
        lines.append(f"| {every.scene} | {every.core} | {before} | {after} | {ratio:.2f} | {detections} |")
    return "\n".join(lines)


def read(path: Path) -> list[Row]:
    """The rows of a CSV file that `main` wrote."""
    with path.open(newline="") as file:
        return [
            Row(row["core"], row["scene"], row["path"], int(row["instructions_per_s"]), float(row["detections_per_s"]))
            for row in csv.DictReader(file)
        ]


def main() -> int:
    """Count, and print or write one row for each core, scene and path."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.scene_instructions", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("clips", type=Path, help="folder of the clips")
    parser.add_argument("--out", type=Path, help="CSV file; without it the rows are printed")
    chosen = parser.parse_args()
    if reason := lacking(*PROGRAMS):
        print(f"no arm64 board can be made: {reason}", file=sys.stderr)
        return 2
    scenes = {"empty": empty(chosen.clips)} | {name: busy(chosen.clips / name) for name in BUSY}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, frames in scenes.items():
            file = Path(folder) / "frames.npy"
            np.save(file, np.stack(frames))
            for core in arm64.CORES:
                board = arm64.board(SYSTEM, core)
                rows += [measure(board, core, name, file, path) for path in PATHS]
    with chosen.out.open("w", newline="") if chosen.out else sys.stdout as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("core", "scene", "path", "instructions_per_s", "detections_per_s"))
        writer.writerows((row.core, row.scene, row.path, row.instructions, f"{row.detections:.2f}") for row in rows)
    if chosen.out:
        print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
