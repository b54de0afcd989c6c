"""How many instructions a frame costs on the cores of Raspberry Pi 3, 4 and 5, counted by qemu.

``python -m benchmarks.speed.frame_instructions [--out FILE.csv]``: the median over frames of the demonstration's clip with one face
in each, one thread. It needs gcc, and a qemu that loads plugins (Debian 12's package qemu-user). A reference that comes
out the same wherever it is counted: a stage that has grown is seen. It is **not** a time: no caches, no memory, no
clock, no instructions side by side.
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
from benchmarks.machines.debian import lacking
from demo.clip import compose

HERE = Path(__file__).parent
SYSTEM = "bookworm"
STAGES = ("condition", "motion", "detect", "track and admit", "classify", "tally")
FRAMES = range(26, 36, 2)
"""Of the demonstration's clip: its first visitor is fully in view, alone."""
PROGRAMS = (*arm64.PROGRAMS, "gcc", "qemu-aarch64")


def run(board: arm64.Board, folder: Path, *arguments: str | Path) -> tuple[list[str], list[int]]:
    """Python with these arguments on a board -> the lines that it printed, and the instructions that had run at each of
    its calls of getsid(2).
    """
    plugin, log = folder / "count.so", folder / "count.log"
    subprocess.run(
        [shutil.which("gcc") or "gcc", "-shared", "-fPIC", "-O2", "-o", plugin, HERE / "count.c"], check=True
    )
    qemu = ("qemu-aarch64", "-plugin", str(plugin), "-d", "plugin", "-D", str(log))
    done = subprocess.run(board.command(*arguments, qemu=qemu), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{board.core.name}: exit code {done.returncode}: {done.stderr}")
    return done.stdout.splitlines(), [int(line) for line in log.read_text().splitlines()]


def count(board: arm64.Board, folder: Path, frames: list[Path], beside: list[str]) -> dict[str, int]:
    """Stage -> instructions, the median over all frames but the first; the marks' own are taken off. ``beside`` are
    options of `marked.py` that name others' networks.
    """
    names, totals = run(board, folder, HERE / "marked_frame.py", *beside, *frames)
    spent = defaultdict(list)
    for name, before, after in zip(names, totals[::2], totals[1::2], strict=True):
        spent[name].append(after - before)
    marks = median(spent.pop("nothing"))
    return {name: round(median(each) - marks) for name, each in spent.items()}


def frames(folder: Path) -> list[Path]:
    """Pictures out of the demonstration's clip, in order."""
    compose(folder / "walk-by.mp4")
    capture, paths = cv2.VideoCapture(str(folder / "walk-by.mp4")), []
    for index in range(FRAMES.stop):
        _, picture = capture.read()
        if index in FRAMES:
            paths.append(folder / f"{index}.png")
            cv2.imwrite(str(paths[-1]), picture)
    capture.release()
    return paths


def main() -> int:
    """Count, and print or write one row for each core and stage."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.frame_instructions", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--out", type=Path, help="CSV file; without it the rows are printed")
    parser.add_argument("--fer", type=Path, help="count the network of the package fer, too (its TFLite file)")
    parser.add_argument("--yunet", type=Path, help="count YuNet at the long side of 320, too (its ONNX file)")
    chosen = parser.parse_args()
    peers = {"--fer": chosen.fer, "--yunet": chosen.yunet}
    beside = [text for option, path in peers.items() if path for text in (option, str(path.resolve()))]
    if reason := lacking(*PROGRAMS):
        print(f"no arm64 board can be made: {reason}", file=sys.stderr)
        return 2
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        pictures = frames(Path(folder))
        for core in arm64.CORES:
            spent = count(arm64.board(SYSTEM, core), Path(folder), pictures, beside)
            spent["a frame"] = sum(spent[name] for name in STAGES)
            rows += [(core, name, value) for name, value in spent.items()]
    with chosen.out.open("w", newline="") if chosen.out else sys.stdout as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("core", "stage", "instructions"))
        writer.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
