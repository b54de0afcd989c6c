"""Count the instructions for a second of video, with and without motion, on the cores of Raspberry Pi 3, 4 and 5.

``python -m benchmarks.speed.scene_instructions CLIPS [--out FILE.csv]``

``CLIPS`` is the folder of the clips in tests/golden/clip_truth.csv. Each scene is `SECONDS` of video, 640 x 480, 15
frames per second. It is counted twice: with a detection on every frame, and as the daemon works by default, where
detections follow motion (`edge.vision.motion_gate`). The whole loop is counted from the second second on, without
decoding, disk and broker. It needs what `benchmarks.speed.frame_instructions` needs.
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
from benchmarks.machines.debian import missing_requirements
from benchmarks.speed.frame_instructions import HERE, PROGRAMS, SYSTEM, run
from edge.camera.file_source import read_frames
from edge.camera_settings import File
from edge.values import Pixels

SIZE, FPS, SECONDS = (640, 480), 15, 3
EMPTY = "one-by-one-person-detection.mp4"
"""The median of its frames over time shows the place without people: the empty scene."""
NOISE = 4.0
"""Standard deviation of the sensor noise in the empty scene, grey levels."""
BUSY = ("store-aisle-detection.gif", "face-demographics-walking-and-pause.gif")
PATHS = ("every", "motion")


@dataclass(frozen=True, slots=True)
class Row:
    """Instructions and detections for a second of video: one scene on one core, with one of `PATHS`."""

    core: str
    scene: str
    path: str
    instructions: int
    detections: float


def empty(folder: Path) -> Sequence[Pixels]:
    """Return frames of a real place without people, with sensor noise."""
    frames = [frame.pixels for frame in read_frames(File(path=str(folder / EMPTY)))][::20]
    background = cv2.resize(np.median(np.stack(frames), axis=0).astype(np.uint8), SIZE, interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(0)
    noisy = (background + rng.normal(0, NOISE, background.shape) for _ in range(SECONDS * FPS))
    return [np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in noisy]


def busy(path: Path) -> Sequence[Pixels]:
    """Return frames of a clip at the scene's rate; a clip that is too short is played forwards and backwards."""
    frames = [np.asarray(cv2.resize(frame.pixels, SIZE), np.uint8) for frame in read_frames(File(path=str(path)))]
    forwards_and_backwards = [*frames, *frames[-2:0:-1]]
    return [forwards_and_backwards[index % len(forwards_and_backwards)] for index in range(SECONDS * FPS)]


def measure(board: arm64.Board, core: str, scene: str, frames: Path, path: str) -> Row:
    """Count one scene with one of `PATHS`."""
    printed, totals = run(board, frames.parent, HERE / "run_scene.py", frames, str(FPS), path)
    executed = totals[-1] - totals[FPS]
    return Row(core, scene, path, round(executed / (SECONDS - 1)), int(printed[-1]) / (SECONDS - 1))


def table(rows: Sequence[Row]) -> str:
    """Return the Markdown table of docs/accuracy.md: both paths and their ratio, for each scene and core."""
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
    """Read the rows of a CSV file that `main` has written."""
    with path.open(newline="") as file:
        return [
            Row(row["core"], row["scene"], row["path"], int(row["instructions_per_s"]), float(row["detections_per_s"]))
            for row in csv.DictReader(file)
        ]


def main() -> int:
    """Count, and print or write one row for each core, scene and path; return 2 if a program is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.scene_instructions", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("clips", type=Path, help="folder of the clips")
    parser.add_argument("--out", type=Path, help="CSV file to write (default: print)")
    arguments = parser.parse_args()
    if reason := missing_requirements(*PROGRAMS):
        print(f"cannot emulate an arm64 board: {reason}", file=sys.stderr)
        return 2
    scenes = {"empty": empty(arguments.clips)} | {name: busy(arguments.clips / name) for name in BUSY}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, frames in scenes.items():
            file = Path(folder) / "frames.npy"
            np.save(file, np.stack(frames))
            for core in arm64.CORES:
                board = arm64.board(SYSTEM, core)
                rows += [measure(board, core, name, file, path) for path in PATHS]
    with arguments.out.open("w", newline="") if arguments.out else sys.stdout as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("core", "scene", "path", "instructions_per_s", "detections_per_s"))
        writer.writerows((row.core, row.scene, row.path, row.instructions, f"{row.detections:.2f}") for row in rows)
    if arguments.out:
        print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
