"""Tell whether new data has arrived in a store, without reading it."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from collector.live.windows import LiveWindows
from collector.web.shared_result import SharedResults

CHECK_EVERY_S = 5.0
"""Shortest time between two looks for new data, as often as a page asks."""
PATTERNS = ("devices*.json", "_recount/recounts.csv")
"""Files besides those of the windows."""


class Freshness:
    """Stamps of a store: equal stamps mean equal answers. Safe for any number of threads."""

    def __init__(self, root: Path, live: LiveWindows, now: Callable[[], datetime]) -> None:
        self._root, self._live, self._now = root, live, now
        self._checks: SharedResults[str] = SharedResults(1)

    def stamp(self) -> str:
        """Return a text that changes when new data has arrived, and each minute, because gaps grow."""
        return self._checks.get(int(time.monotonic() // CHECK_EVERY_S), self._check)

    def _check(self) -> str:
        stats = [path.stat() for pattern in PATTERNS for path in self._root.glob(pattern)]
        latest = max((stat.st_mtime_ns for stat in stats), default=0)
        return (
            f"{latest}-{sum(stat.st_size for stat in stats)}-{self._live.stamp()}-{int(self._now().timestamp() // 60)}"
        )
