"""Count clips with the daemon, and print the counts beside those made by hand.

``python -m benchmarks.accuracy.clips FOLDER`` counts each clip of tests/golden/clip_truth.csv that is in FOLDER three
times with `facetally-edge run` and k = 1.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TRUTH = Path(__file__).parents[2] / "tests" / "golden" / "clip_truth.csv"
CONFIG = 'site = "bench"\ndevice = "clip"\n[capture]\nsource = "v4l2"\n[admit]\nstaff_zones = []\n[privacy]\nk = 1\n'


@dataclass(frozen=True, slots=True)
class Row:
    """A clip: visits counted by hand (``truth``), and visits by label of each run."""

    clip: str
    truth: int
    runs: list[Counter[str]]


def measure(folder: Path, times: int) -> Iterator[Row]:
    """Count every clip of the truth file that is in the folder ``times`` times."""
    with TRUTH.open(newline="") as file, tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "edge.toml"
        config.write_text(CONFIG)
        for row in csv.DictReader(file):
            if (folder / row["clip"]).exists():
                runs = [count(folder / row["clip"], config) for _ in range(times)]
                yield Row(row["clip"], int(row["visits"]), runs)


def count(clip: Path, config: Path) -> Counter[str]:
    """Run the daemon on a clip; return the visits by label."""
    command = [sys.executable, "-m", "edge", "run", "--config", str(config), "--clip", str(clip), "--stdout"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    visits: Counter[str] = Counter()
    for line in printed.splitlines():
        visits.update({label: number for label, number in json.loads(line)["visits"].items() if number})
    return visits


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.clips", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of the clips")
    parser.add_argument("--times", type=int, default=3, help="runs of each clip (default: %(default)s)")
    arguments = parser.parse_args()
    print(f"{'clip':46}{'truth':>6}{'counted':>8}  labels; whether all runs agree")
    for row in measure(arguments.folder, arguments.times):
        agreement = "all runs agree" if all(run == row.runs[0] for run in row.runs) else f"RUNS DIFFER: {row.runs}"
        labels = ", ".join(f"{label} {number}" for label, number in row.runs[0].items()) or "-"
        print(f"{row.clip:46}{row.truth:6}{row.runs[0].total():8}  {labels}; {agreement}")


if __name__ == "__main__":
    main()
