"""Tell whether new data has arrived in a store, without reading it."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from collector.web.shared_result import SharedResults

CHECK_EVERY_S = 5.0
"""Shortest time between two looks for new data, as often as a page asks."""
AGES = (timedelta(0), timedelta(days=1))


class Freshness:
    """Stamps of a store: equal stamps mean equal answers. Safe for any number of threads."""

    def __init__(self, root: Path, now: Callable[[], datetime]) -> None:
        self._root, self._now = root, now
        self._checks: SharedResults[str] = SharedResults(1)

    def stamp(self) -> str:
        """Return a text that changes when new data has arrived, and each minute, because gaps grow."""
        return self._checks.get(int(time.monotonic() // CHECK_EVERY_S), self._check)

    def _check(self) -> str:
        now = self._now()
        patterns = [
            "devices*.json",
            "_recount/recounts.csv",
            *(f"date={(now - age).date()}/site=*/counts-*" for age in AGES),
        ]
        stats = [path.stat() for pattern in patterns for path in self._root.glob(pattern)]
        latest = max((stat.st_mtime_ns for stat in stats), default=0)
        return f"{latest}-{sum(stat.st_size for stat in stats)}-{int(now.timestamp() // 60)}"
