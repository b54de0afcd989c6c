"""Results that several threads ask for at the same time, computed once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class _Entry(Generic[V]):
    """A result, and the lock held by the thread that computes it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.result: list[V] = []


class SharedResults(Generic[V]):
    """Cache of the results asked for last, by key. Safe for any number of threads. A failure is not cached."""

    def __init__(self, max_results: int) -> None:
        self._max_results = max_results
        self._entries: OrderedDict[Hashable, _Entry[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], V]) -> V:
        """Return the result of a key. The first thread that asks computes it, the others wait."""
        with self._lock:
            entry = self._entries.pop(key, None) or _Entry()
            self._entries[key] = entry
            while len(self._entries) > self._max_results:
                self._entries.popitem(last=False)
        with entry.lock:
            if not entry.result:
                entry.result.append(compute())
            return entry.result[0]

    def forget(self, key: Hashable) -> None:
        """Drop the result of a key. Threads that wait for it still get it."""
        with self._lock:
            self._entries.pop(key, None)
