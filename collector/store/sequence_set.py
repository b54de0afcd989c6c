"""A compact set of sequence numbers, kept as runs of consecutive numbers."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class SequenceSet:
    """A set of whole numbers that needs memory per run, not per number.

    Kept as ``[first, past last, first, past last, ...]`` in order.
    """

    __slots__ = ("_bounds",)

    def __init__(self) -> None:
        self._bounds: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last number of each run, in order."""
        return zip(self._bounds[::2], (past - 1 for past in self._bounds[1::2]), strict=True)

    @property
    def run_count(self) -> int:
        """Number of runs."""
        return len(self._bounds) // 2

    def has_any(self, first: int, last: int) -> bool:
        """Whether any of the numbers from ``first`` to ``last`` is there."""
        at = bisect_right(self._bounds, first)
        return at % 2 == 1 or (at < len(self._bounds) and self._bounds[at] <= last)

    def keep_last_runs(self, count: int) -> None:
        """Remove all runs but the ``count`` highest."""
        del self._bounds[: max(0, len(self._bounds) - 2 * count)]

    def add(self, number: int) -> bool:
        """Add a number; False if it is there already."""
        bounds = self._bounds
        if bounds and number == bounds[-1]:  # the next number, as of most windows
            bounds[-1] = number + 1
            return True
        at = bisect_right(bounds, number)
        if at % 2:
            return False
        extends_left = at > 0 and bounds[at - 1] == number
        extends_right = at < len(bounds) and bounds[at] == number + 1
        bounds[at - extends_left : at + extends_right] = [number] * (not extends_left) + [number + 1] * (
            not extends_right
        )
        return True

    def add_run(self, first: int, last: int) -> None:
        """Add the numbers from ``first`` to ``last``; some of them may be there already."""
        bounds, past = self._bounds, last + 1
        left, right = bisect_left(bounds, first), bisect_right(bounds, past)
        # an odd index is the end of a run that the new one continues on the left, or reaches into on the right
        bounds[left:right] = [first] * (left % 2 == 0) + [past] * (right % 2 == 0)
