"""Try a bundle in a subprocess, so that a damaged model cannot end the daemon.

A damaged model can pass its hash check, since whoever damaged it may have written the card too. It can then crash the
process that runs it, exhaust its memory or never return, and the daemon would restart for ever. A bundle from outside
the package is therefore first loaded by a child process, which replays the golden samples and runs batches.
"""

import contextlib
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from base.errors import FacetallyError
from contract.errors import BundleError

TIMEOUT_S = 120.0
"""Time limit of the child; enough for the slowest board."""
MAX_MEMORY = 4_000_000_000
"""Limit of the child's address space, bytes."""
BATCH_SIZES = (2, 3, 1)
"""Batches of faces that the child classifies."""
GREY_LEVELS = (0, 128, 255)
"""Uniform images that the child runs the model on."""
REFUSED = 2
"""Exit code of the child if it refuses the bundle."""


def check_in_subprocess(card: Path, task: str, threads: int) -> None:
    """Load and run the bundle of a card in a child process; ``task`` is one of `edge.vision.bundle.TASKS`.

    Raises `BundleError` if the bundle cannot be loaded, or if the model crashes, exhausts or blocks the child.
    """
    command = [sys.executable, "-B", "-m", "edge.vision.probe", str(card), task, str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{card}: running the model must take at most {TIMEOUT_S:g} s, takes longer") from error
    except OSError as error:
        raise BundleError(f"{card}: cannot start a subprocess to try the model in: {error}") from error
    if done.returncode == 0:
        return
    printed = done.stderr.strip().splitlines()
    last = printed[-1] if printed else ""
    if done.returncode == REFUSED and last:
        raise BundleError(last)
    ending = f"exit code {done.returncode}"
    with contextlib.suppress(ValueError):
        ending = signal.Signals(-done.returncode).name
    raise BundleError(f"{card}: the model ends the process that runs it ({ending}): {last[:300]}")


def main(arguments: list[str]) -> int:
    """Run the child; returns 0, or `REFUSED` with the reason in the last line of standard error."""
    card, task, threads = arguments
    try:
        _try(Path(card), task, int(threads))
    except FacetallyError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except (MemoryError, RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
        print(f"{card}: the runtime cannot run the model: {type(error).__name__}: {error}", file=sys.stderr)
        return REFUSED
    return 0


def _try(card: Path, task: str, threads: int) -> None:
    """Load the bundle and run it as the daemon would."""
    from edge.vision.bundle import TASKS, load  # noqa: PLC0415 (only the child needs these)

    for limit, value in ((resource.RLIMIT_AS, MAX_MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it, or have set a lower limit
            resource.setrlimit(limit, (value, value))
    kind = next(each for each, name in TASKS.items() if name == task)
    model = load(card, kind, threads, trusted=True).model
    for size in BATCH_SIZES if task == "classify" else (1,):
        for level in GREY_LEVELS:
            model.run(np.full((size, *model.input.shape[1:]), level, np.uint8))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
