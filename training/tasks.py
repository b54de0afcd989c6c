"""A recipe -> what preparing, training and evaluating it means."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from training.data.fer2013 import Broken
from training.recipe import DetectorRecipe, Recipe


class Task(Protocol):
    """The three steps of one model; each reads and writes the run's folder."""

    def prepare(self, data: Path, run: Path, broken: Broken) -> None:
        """Data -> ``run/cache.npz``."""

    def train(self, run: Path) -> None:
        """``run/cache.npz`` -> ``run/model.keras``."""

    def evaluate(self, run: Path, card: Path | None, beside: Sequence[Path]) -> None:
        """``run/model.keras``, beside a card's int8 model and other runs -> ``run/report.json`` and pictures."""


def of(recipe: Recipe) -> Task:
    """The task that a recipe is a recipe for."""
    if isinstance(recipe, DetectorRecipe):
        from training.fit.detector_task import DetectorTask  # noqa: PLC0415

        return DetectorTask(recipe)
    from training.fit.classifier_task import ClassifierTask  # noqa: PLC0415

    return ClassifierTask(recipe)
