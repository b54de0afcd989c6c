"""Record store files, and rows of them, that cannot be used. Readers leave these out and go on.

A reader reports every file that it reads: what is wrong with it, or that nothing is. It also reports folders that it
cannot read. `DamageLog` keeps the last report per file and logs each change once.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from base.logs import line
from collector.store.file_names import is_counts_file

MAX_DAMAGES = 1000
"""Damaged files that are remembered. Further ones are only logged."""

_log = logging.getLogger(__name__)


class Fault(Struct, frozen=True):
    """A reason in words, which the page translates."""

    message: str
    """With ``{placeholders}``; English, as in the catalogues."""
    values: tuple[tuple[str, str], ...] = ()
    """What the placeholders stand for. The value of ``{reason}`` may be a message itself."""
    line: int = 0
    """Number of the line; 0 for the whole file."""

    @classmethod
    def of(cls, message: str, **values: object) -> "Fault":
        """Return a fault with these values of its placeholders."""
        return cls(message, tuple((name, str(value)) for name, value in values.items()))

    def __str__(self) -> str:
        text = self.message.format(**dict(self.values))
        return f"line {self.line}: {text}" if self.line else text


class Damage(Struct, frozen=True):
    """What is wrong with one file, or with one folder."""

    file: str
    """Path below the store."""
    rows: int
    """Number of rows left out; 0 if the whole file is left out."""
    reason: str
    """The first fault."""
    is_unreadable: bool = False
    """Whether the system does not let it be read, so that a person is needed. It is read as soon as that is mended."""
    fault: Fault | None = None
    """The reason in parts; None if another program has worded it."""

    @property
    def is_whole_file(self) -> bool:
        """Whether all of the file is left out."""
        return self.rows == 0

    def __str__(self) -> str:
        if self.is_whole_file:
            return f"{self.file}: left out: {self.reason}"
        return f"{self.file}: {self.rows} row{'s'[: self.rows > 1]} left out: {self.reason}"


DamageCallback = Callable[[Path, Damage | None], None]
"""Called with each file that was read and what is wrong with it, or None."""


class DamageReports(list[tuple[Path, Damage | None]]):
    """What a reader has reported of files, to be passed on to another process."""

    def note(self, path: Path, damage: Damage | None) -> None:
        """Take a reader's report of a file."""
        self.append((path, damage))

    def pass_on(self, on_damage: DamageCallback) -> None:
        """Repeat the reports."""
        for path, damage in self:
            on_damage(path, damage)


def file_damage(path: Path, reason: object, rows: int = 0) -> Damage:
    """Return the damage of a file ``<root>/<folder>/<folder>/<name>``."""
    fault = reason if isinstance(reason, Fault) else None
    return Damage("/".join(path.parts[-3:]), rows, str(reason), fault=fault)


def unreadable(path: Path, error: OSError) -> Damage:
    """Return the damage of a file that the system does not let us read."""
    return Damage("/".join(path.parts[-3:]), 0, _reason(error), is_unreadable=True)


def unreadable_folder(root: Path, folder: Path, error: OSError) -> Damage:
    """Return the damage of a folder of a day, or of a site in it, that the system does not let us read."""
    return Damage(str(folder.relative_to(root)), 0, _reason(error), is_unreadable=True)


def _reason(error: OSError) -> str:
    """Return the system's text for an error, because the text of Arrow's errors contains the path."""
    return str(error) if error.errno is None else os.strerror(error.errno)


def log_damage(_path: Path, damage: Damage | None) -> None:
    """Log what is wrong with a file, each time."""
    if damage is not None:
        rows = "all" if damage.is_whole_file else damage.rows
        _log.warning(line("left_out", file=damage.file, rows=rows, reason=damage.reason))


class DamageLog:
    """The last report of each damaged file. Safe for use by several threads."""

    def __init__(self) -> None:
        self._damages: dict[Path, Damage] = {}
        self._lock = threading.Lock()

    def note(self, path: Path, damage: Damage | None) -> None:
        """Take a reader's report of a file, and log it if it has changed."""
        with self._lock:
            before = self._damages.pop(path, None)
            if damage is None:
                return
            if before != damage:
                log_damage(path, damage)
            if len(self._damages) < MAX_DAMAGES:
                self._damages[path] = damage

    def all(self) -> tuple[Damage, ...]:
        """Return the damage of what is still there, in order of the paths. A folder that can be read again has none."""
        self.forget_past()
        with self._lock:
            return tuple(self._damages[path] for path in sorted(self._damages))

    def forget_past(self) -> None:
        """Forget files that are gone and folders that can be read again, which no reader reports."""
        with self._lock:
            paths = list(self._damages)
        past = [path for path in paths if not _may_remain(path)]
        with self._lock:
            for path in past:
                self._damages.pop(path, None)


def _may_remain(path: Path) -> bool:
    """Whether a file is still there, or a folder still cannot be read."""
    try:
        if is_counts_file(path.name):
            return path.exists()
        with os.scandir(path) as entries:
            for entry in entries:
                entry.stat()
    except FileNotFoundError:
        return False
    except OSError:  # it is another file, too
        return True
    return False
