"""Results that are computed again in the background, so that nobody waits for them twice."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from base.logs import line
from collector.web.shared_result import SharedResults, V

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kept:
    """A result, what it was computed for, and when."""

    stamp: str
    made_s: float
    result: object
    renewing: bool = False


class RecentResults:
    """Cache of results by key and stamp. Safe for any number of threads.

    A result whose stamp has changed is still returned for ``max_age_s``, while one thread computes the new one.
    """

    def __init__(self, max_results: int, max_age_s: float) -> None:
        self._shared: SharedResults[object] = SharedResults(max_results)
        self._kept: dict[Hashable, _Kept] = {}
        self._max_results, self._max_age_s = max_results, max_age_s
        self._lock = threading.Lock()

    def get(self, key: Hashable, stamp: str, compute: Callable[[], V]) -> V:
        """Return the result of a key, at most ``max_age_s`` older than the stamp."""
        with self._lock:
            kept = self._kept.get(key)
            recent = kept is not None and time.monotonic() - kept.made_s < self._max_age_s
            if kept is not None and (kept.stamp == stamp or recent):
                if kept.stamp != stamp and not kept.renewing:
                    kept.renewing = True
                    threading.Thread(target=self._renew, args=(key, stamp, compute), name="renew", daemon=True).start()
                return kept.result  # type: ignore[return-value]
        return self._compute(key, stamp, compute)

    def _compute(self, key: Hashable, stamp: str, compute: Callable[[], V]) -> V:
        result = self._shared.get((stamp, key), compute)
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = _Kept(stamp, time.monotonic(), result)
            while len(self._kept) > self._max_results:
                del self._kept[next(iter(self._kept))]
        return result  # type: ignore[return-value]

    def _renew(self, key: Hashable, stamp: str, compute: Callable[[], V]) -> None:
        try:
            self._compute(key, stamp, compute)
        except Exception as error:  # noqa: BLE001 - the next request computes it and answers with the error
            _log.debug(line("not_renewed", reason=error))
            with self._lock:
                self._kept.pop(key, None)
