"""Results that are computed again in the background, so that nobody waits for them twice."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from base.logs import line
from collector.web.shared_result import SharedResults, V

MAX_COMPUTED = 64
"""Results that may be computed at the same time, each once."""
ENTRY_BYTES = 1000
"""What a result costs beside its content, at most."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kept:
    """A result, what it was computed for, and when."""

    stamp: str
    made_s: float
    result: object
    size: int
    renewing: bool = False


class RecentResults:
    """Cache of results by key and stamp, bounded by their size. Safe for any number of threads.

    A result whose stamp has changed is still returned for ``max_age_s``, while a new one is computed. One thread at a
    time computes such results, so that those who ask for others have the rest of the processor.
    """

    def __init__(
        self, max_bytes: int, max_age_s: float, size: Callable[[object], int], *, renew_after_s: float = 0.0
    ) -> None:
        """``size`` returns the bytes of a result; the oldest go when they sum up to more than ``max_bytes``.

        A result younger than ``renew_after_s`` is not computed again.
        """
        self._computed: SharedResults[object] = SharedResults(MAX_COMPUTED)
        self._kept: dict[Hashable, _Kept] = {}
        self._bytes = 0
        self._max_bytes, self._max_age_s, self._size = max_bytes, max_age_s, size
        self._renew_after_s = renew_after_s
        self._lock, self._renewal = threading.Lock(), threading.Lock()

    def get(self, key: Hashable, stamp: str, compute: Callable[[], V]) -> V:
        """Return the result of a key, at most ``max_age_s`` older than the stamp."""
        with self._lock:
            kept = self._kept.get(key)
            age_s = time.monotonic() - kept.made_s if kept else 0.0
            if kept is not None and (kept.stamp == stamp or age_s < self._max_age_s):
                if kept.stamp != stamp and not kept.renewing and age_s >= self._renew_after_s:
                    kept.renewing = True
                    threading.Thread(
                        target=self._renew, args=(key, kept, stamp, compute), name="renew", daemon=True
                    ).start()
                return kept.result  # type: ignore[return-value]
        return self._compute(key, stamp, compute)

    def _compute(self, key: Hashable, stamp: str, compute: Callable[[], V]) -> V:
        result = self._computed.get((stamp, key), compute)
        with self._lock:
            self._drop(key)
            size = self._size(result) + ENTRY_BYTES
            self._kept[key] = _Kept(stamp, time.monotonic(), result, size)
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._kept)))
        self._computed.forget((stamp, key))
        return result  # type: ignore[return-value]

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        self._bytes -= kept.size if kept else 0

    def _renew(self, key: Hashable, kept: _Kept, stamp: str, compute: Callable[[], V]) -> None:
        """Compute a result again when its turn comes, unless a request has done so: threads would queue up."""
        try:
            with self._renewal:
                if self._kept.get(key) is kept:
                    self._compute(key, stamp, compute)
        except Exception as error:  # noqa: BLE001 - the next request computes it and answers with the error
            _log.debug(line("not_renewed", reason=error))
            with self._lock:
                self._drop(key)
