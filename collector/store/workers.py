"""Whoever works on the folders of a store: this process, or the workers of a cluster (`collector.scale.cluster`)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Workers(Protocol):
    """Whoever works on folders."""

    def map(self, function: Callable[[Path], Result], folders: Sequence[Path]) -> Iterator[Result]:
        """Yield the result of a function for each folder, in their order."""
        ...


class ThisProcess:
    """Works on one folder after the other, when its result is asked for."""

    def map(self, function: Callable[[Path], Result], folders: Sequence[Path]) -> Iterator[Result]:
        """Yield the result of a function for each folder, in their order."""
        return map(function, folders)
