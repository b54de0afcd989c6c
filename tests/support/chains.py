"""Build the bundles of a chain by `training build --smoke`, as the trainer's guide does."""

import subprocess
import sys
from pathlib import Path

from contract.card import read_card
from edge.vision import bundle
from tests.support.drawings import ROOT


def build(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run `training build`."""
    command = [sys.executable, "-m", "training", "build", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def ends_in_its_bundles_and_is_resumed(folder: Path, name: str, given: str, bundles: list[str]) -> None:
    """Build a chain with an input from the data in ``folder / "data"``; then build it again without its last bundle."""
    out = folder / "out"
    arguments = (name, "--smoke", "--data", folder / "data", "--out", out, "--input", given)
    done = build(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(path.stem for path in (out / "bundles").glob("*.json")) == bundles
    for each in bundles:
        card = out / "bundles" / f"{each}.json"
        bundle.load(card, type(read_card(card.read_bytes(), each)))
    assert build(*arguments).returncode == 2
    (out / "bundles" / f"{bundles[-1]}.json").unlink()
    again = build(*arguments, "--resume")
    assert again.returncode == 0, again.stderr[-3000:]
    steps = [line for line in again.stdout.splitlines() if line.startswith("[")]
    assert ["finished before" in line for line in steps] == [True] * (len(steps) - 1) + [False]
