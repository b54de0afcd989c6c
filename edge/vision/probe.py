"""A bundle that is not ours -> whether the runtime survives it, found out in a process of its own.

A damaged model can pass its hash (whoever damaged it may have written the card) and then end the process that loads it,
fill its memory or never return. The daemon would be started again for ever. So a bundle from outside the package is
first loaded by a child, golden samples and batches of several faces included; what that says is the error.
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

LIMIT_S = 120.0
"""For the slowest board."""
MOST_MEMORY = 4_000_000_000
"""Bytes of address space of the child."""
BATCHES = (2, 3, 1)
REFUSED = 2


def check_in_subprocess(card: Path, task: str, threads: int) -> None:
    """The path of a card, its task (``detect`` or ``classify``) -> nothing; BundleError if the bundle does not load,
    or ends, fills or stops the process that tries.
    """
    command = [sys.executable, "-B", "-m", "edge.vision.probe", str(card), task, str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{card}: the runtime does not come back from the model within {LIMIT_S:g} s") from error
    except OSError as error:
        raise BundleError(f"{card}: no process to try the model in: {error}") from error
    if done.returncode == 0:
        return
    said = done.stderr.strip().splitlines()
    if done.returncode == REFUSED and said:
        raise BundleError(said[-1])
    ended = f"exit code {done.returncode}"
    with contextlib.suppress(ValueError):
        ended = signal.Signals(-done.returncode).name
    raise BundleError(f"{card}: the model ends the process that runs it ({ended}): {said[-1][:300] if said else ''}")


def _try(card: Path, task: str, threads: int) -> None:
    """In the child: load the bundle and run it as the daemon would."""
    from contract.card import ClassifierCard, DetectorCard  # noqa: PLC0415 - the parent has no use for them here
    from edge.vision import bundle  # noqa: PLC0415

    for kind_of_limit, most in ((resource.RLIMIT_AS, MOST_MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it, or have set a lower one
            resource.setrlimit(kind_of_limit, (most, most))
    kind: type[DetectorCard | ClassifierCard] = DetectorCard if task == "detect" else ClassifierCard
    loaded = bundle.load(card, kind, threads, vetted=True)  # type: ignore[type-var]
    shape = loaded.model.input.shape[1:]
    for batch in BATCHES if task == "classify" else (1,):
        for grey in (0, 128, 255):
            loaded.model.run(np.full((batch, *shape), grey, np.uint8))


def main(arguments: list[str]) -> int:
    """0: it runs; 2: it does not, and standard error says why in its last line."""
    card, task, threads = arguments
    try:
        _try(Path(card), task, int(threads))
    except FacetallyError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except (MemoryError, RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
        print(f"{card}: the runtime refuses the model: {type(error).__name__}: {error}", file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
