"""The code blocks of docs/analyst.md, and the collector's command that they use."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import LIMIT_S

REPOSITORY = Path(__file__).parents[2]

GUIDE = (REPOSITORY / "docs" / "analyst.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
SUBSCRIBERS = ("mosquitto_sub", "import json\n")
"""Beginnings of the blocks that listen to a broker until they are stopped."""


@contextmanager
def endless(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Run a program until the context ends; its output so far is in the file returned."""
    output = folder / f"output-{time.monotonic_ns()}"
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield output
    finally:
        process.terminate()
        process.wait(LIMIT_S)


def collector(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the collector's command with warnings as errors; its exit status must be ``status``."""
    command = [sys.executable, "-W", "error", "-m", "collector", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=REPOSITORY, check=False)
    assert done.returncode == status, done.stderr
    return done
