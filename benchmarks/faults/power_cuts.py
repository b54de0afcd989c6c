"""Cut the power of a device at each step of a switch, on a real file system that loses what was not synced.

``python -m benchmarks.faults.power_cuts``, as root

`tests/edge/update/test_power_cuts.py` ends a process, which loses nothing that it wrote. Here the device's folder is an
ext4 file system in an image. When the process ends, the image is copied as it is: what the kernel still holds in memory
is not in the copy, as after a power cut. The copy is mounted, its journal is replayed, and the device boots from it.

Exit code 1 if a device does not come up with exactly one good setup.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.simulation.switched_device import (
    Machine,
    cut_before,
    goes_back,
    goes_back_by_hand,
    keeps,
    new_device,
    problems,
)
from edge.update.state import State

SIZE_MB = 16
LAZY = "loop,commit=600"
"""Mount options: the kernel itself writes nothing for ten minutes, so that only what is synced reaches the disk."""


def main() -> int:
    """Cut each kind of switch at each of its steps, and print a line for it; return 0 if every device came up."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="facetally-cuts-") as scratch:
        for act, allowed in ((keeps, "12"), (goes_back, "1"), (goes_back_by_hand, "12")):
            steps, failures = _cut_everywhere(Path(scratch), act, allowed)
            print(f"{act.__name__}: {steps} steps, {len(failures)} failures", *failures, sep="\n  ", flush=True)
            wrong += len(failures)
    return 1 if wrong else 0


def _cut_everywhere(folder: Path, act: Callable[[Machine], State], allowed: str) -> tuple[int, list[str]]:
    """Return the number of steps, and what was wrong after which."""
    fresh, image, after = (folder / name for name in ("fresh", "image", "after"))
    with fresh.open("wb") as file:
        file.truncate(SIZE_MB * 1_000_000)
    subprocess.run([_program("mkfs.ext4"), "-q", "-F", str(fresh)], check=True)
    with _mounted(fresh, folder / "disk") as disk:
        new_device(disk)
        os.sync()
    step, failures = 0, []
    while True:
        step += 1
        shutil.copyfile(fresh, image)
        with _mounted(image, folder / "disk") as disk:
            was_cut = cut_before(step, act, disk)
            shutil.copyfile(image, after)
        if not was_cut:
            return step - 1, failures
        with _mounted(after, folder / "disk") as disk:
            try:
                problem = problems(disk, allowed)
            except (OSError, RuntimeError, AssertionError) as error:
                problem = repr(error)
        if problem:
            failures.append(f"step {step}: {problem}")


def _program(name: str) -> str:
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") or name


@contextmanager
def _mounted(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    subprocess.run([_program("mount"), "-o", LAZY, str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run([_program("umount"), str(folder)], check=True)


if __name__ == "__main__":
    sys.exit(main())
