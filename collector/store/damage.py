"""Files and rows of a store that cannot be used: left out by every reader, and reported.

A damaged row or file never stops the others. Whoever reads says for each file what is wrong with it, or that nothing
is; `DamageLog` keeps the last word on each file and logs each change once.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from base.logs import line

MOST = 1000
"""Damaged files that are remembered; of more, only the log tells."""

_log = logging.getLogger(__name__)


class Damage(Struct, frozen=True, order=True):
    """What is wrong with one file."""

    file: str
    """Path below the store."""
    rows: int
    """Rows left out; 0 if the whole file is."""
    reason: str
    """What was found first."""

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.file}: left out: {self.reason}"
        return f"{self.file}: {self.rows} row{'s'[: self.rows > 1]} left out: {self.reason}"


Noted = Callable[[Path, Damage | None], None]
"""Called with each file that was read, and what is wrong with it, None if nothing is."""


def of_file(path: Path, reason: object, rows: int = 0) -> Damage:
    """The damage of a file ``<root>/<folder>/<folder>/<name>``."""
    return Damage("/".join(path.parts[-3:]), rows, str(reason))


def log_damage(_path: Path, damage: Damage | None) -> None:
    """Say what is wrong with a file, each time."""
    if damage is not None:
        _log.warning(line("left_out", file=damage.file, rows=damage.rows or "all", reason=damage.reason))


class DamageLog:
    """The last word on each damaged file. For any number of threads."""

    def __init__(self) -> None:
        self._found: dict[Path, Damage] = {}
        self._lock = threading.Lock()

    def note(self, path: Path, damage: Damage | None) -> None:
        """Take in what a reader says of a file; a change is logged."""
        with self._lock:
            before = self._found.pop(path, None)
            if damage is None:
                return
            if before != damage:
                log_damage(path, damage)
            if len(self._found) < MOST:
                self._found[path] = damage

    def all(self) -> tuple[Damage, ...]:
        """The damaged files that are still there, in order."""
        with self._lock:
            found = dict(self._found)
        return tuple(sorted(damage for path, damage in found.items() if path.exists()))
