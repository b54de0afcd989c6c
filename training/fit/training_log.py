"""The log of a run: a CSV file with the training loss and validation metrics of each epoch."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

NAME = "training_log.csv"
METRIC = "validation_"
"""Prefix of the columns with validation metrics."""


class TrainingLog:
    """Rows of step, loss and validation metrics. The first metric decides which epoch is the best."""

    def __init__(self, path: Path, step: int) -> None:
        """Continue a log. Rows after ``step`` were written by a run that was killed before its next checkpoint; they
        are dropped.
        """
        self._path = path
        self._rows = [row for row in read(path) if int(row["step"]) <= step]

    def append(self, step: int, loss: float, metrics: Mapping[str, float]) -> None:
        """Add a row and replace the file."""
        row = {"step": str(step), "loss": f"{loss:.6f}"}
        self._rows.append(row | {METRIC + name: f"{value:.6f}" for name, value in metrics.items()})
        columns = list(dict.fromkeys(column for row in self._rows for column in row))
        partial = self._path.with_suffix(".writing")
        with partial.open("w", newline="") as file:
            rows = csv.DictWriter(file, columns, restval="")
            rows.writeheader()
            rows.writerows(self._rows)
        partial.replace(self._path)

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self._path.parent

    @property
    def best(self) -> float:
        """The best value of the first metric so far, minus infinity without one."""
        return max(self._values(), default=-math.inf)

    @property
    def epochs_since_best(self) -> int:
        """Number of epochs since the best value of the first metric."""
        values = self._values()
        return len(values) - 1 - values.index(max(values)) if values else 0

    def _values(self) -> list[float]:
        name = next((column for row in self._rows for column in row if column.startswith(METRIC)), "")
        return [value for _, value in curve(self._rows, name)]


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a log; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def curve(rows: Sequence[Mapping[str, str]], column: str) -> list[tuple[int, float]]:
    """Steps and values of a column, without the rows that have none."""
    return [(int(row["step"]), float(row[column])) for row in rows if row.get(column)]
