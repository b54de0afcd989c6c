"""A least-recently-used cache of results, limited by their memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """A result that says how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""


Value = TypeVar("Value", bound=Sized)


class Kept(Generic[Value]):
    """A cache that drops the least recently used results when it is full.

    A key must name everything that its result depends on, so a result never becomes wrong. Safe for use by several
    threads; two of them may compute the same result at once.
    """

    def __init__(self, max_bytes: int, max_number: int = 10_000) -> None:
        """Keep results of at most so many bytes, and so many results; the latest stays even if it alone is larger."""
        self._max_bytes, self._max_number, self._bytes = max_bytes, max_number, 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the result of a key; ``make`` computes it if it is not in the cache."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        made = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = made
                self._bytes += made.nbytes
            while self._is_full() and len(self._values) > 1:
                self._bytes -= self._values.popitem(last=False)[1].nbytes
            return made

    def forget(self, is_outdated: Callable[[Hashable], bool]) -> None:
        """Drop the results whose key is outdated, because nobody asks for them again."""
        with self._lock:
            for key in [key for key in self._values if is_outdated(key)]:
                self._bytes -= self._values.pop(key).nbytes

    def _is_full(self) -> bool:
        return self._bytes > self._max_bytes or len(self._values) > self._max_number
