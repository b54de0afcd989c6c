"""Choose the task, face detection, face check or expression classification, that a recipe describes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from training.data.fer2013 import OnBroken
from training.recipe import CheckRecipe, DetectorRecipe, Recipe


class Task(Protocol):
    """The three commands of one model; each reads and writes the run's folder."""

    def prepare(self, data: Path, run: Path, broken: OnBroken) -> None:
        """Read a data folder and write ``run/cache.npz``."""

    def train(self, run: Path) -> None:
        """Train on ``run/cache.npz`` and write ``run/model.keras``."""

    def evaluate(self, run: Path, card: Path | None, beside: Sequence[Path]) -> None:
        """Measure ``run/model.keras``, and the int8 model of a card if given; write the report.

        ``beside`` are other runs whose learning curves are drawn, too.
        """


def of(recipe: Recipe) -> Task:
    """The task of a recipe."""
    if isinstance(recipe, DetectorRecipe):
        from training.fit.detector_task import DetectorTask  # noqa: PLC0415

        return DetectorTask(recipe)
    if isinstance(recipe, CheckRecipe):
        from training.fit.check_task import CheckTask  # noqa: PLC0415

        return CheckTask(recipe)
    from training.fit.classifier_task import ClassifierTask  # noqa: PLC0415

    return ClassifierTask(recipe)
