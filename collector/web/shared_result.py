"""What several ask for at the same time -> worked out once, and given to all."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class _Place(Generic[V]):
    """A value, or the lock that whoever works it out holds."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: list[V] = []


class Shared(Generic[V]):
    """The last values that were asked for, by key; for any number of threads. A failure is not kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: OrderedDict[Hashable, _Place[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of a key; whoever asks first makes it, and the others wait."""
        with self._lock:
            place = self._places.pop(key, None) or _Place()
            self._places[key] = place
            while len(self._places) > self._most:
                self._places.popitem(last=False)
        with place.lock:
            if not place.value:
                place.value.append(make())
            return place.value[0]
