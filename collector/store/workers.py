"""Whoever does work that can be divided: this process, or the workers of a cluster (`collector.scale.cluster`).

An item of work is anything that can be sent to another process. If it is a path, it is a folder of the store.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
GROUP = 64
"""Items of a group at most."""


class Workers(Protocol):
    """Whoever does the work."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the result of a function for each item, in their order."""
        ...

    def map_groups(self, function: Callable[[Sequence[Item]], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the result of a function for each of the groups that the items are divided into, in their order.

        One result of a group is less to transfer than the results of its items.
        """
        ...


class ThisProcess:
    """Works on one item after the other, when its result is asked for."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the result of a function for each item, in their order."""
        return map(function, items)

    def map_groups(self, function: Callable[[Sequence[Item]], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the result of a function for each group of items, in their order."""
        return (function(items[first : first + GROUP]) for first in range(0, len(items), GROUP))
