"""One pass: copy to PostgreSQL what is new in a store, then bring devices and shares up to date."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from base.logs import line
from collector.analysis.confusion import confusions
from collector.devices.registry import read_devices
from collector.devices.registry_file import damages as device_damages
from collector.postgresql.connection import Connection, connected, only_one
from collector.postgresql.corrected_shares import mark_changes, update_shares
from collector.postgresql.devices import update_devices, update_label_names
from collector.postgresql.insert import insert, prepare
from collector.postgresql.long_form import long_form
from collector.postgresql.progress import Progress, store_name
from collector.postgresql.retention import delete_retired
from collector.postgresql.schema import migrate
from collector.postgresql.store_changes import batches, store_files
from collector.store.damage import Damage, DamageLog, file_damage, unreadable_folder

MAX_SCANS = 3
"""Scans of the store in one pass, where compaction moves windows from file to file."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a store is copied to, and how."""

    root: Path
    """Folder of the store."""
    url: str
    """URL of the database, without a password."""
    password_file: str | None
    zone: ZoneInfo
    """Time zone of days, weeks and months."""
    label_map: Mapping[str, str] = field(default_factory=dict)
    """Names of labels on the page."""
    follow_retention: bool = False
    """Whether windows of days that the store has deleted are deleted from PostgreSQL too."""


@dataclass(frozen=True, slots=True)
class Synchronised:
    """What a pass has done."""

    files: int
    """Files that were read."""
    windows: int
    """Windows that were new."""
    shares: int
    """Periods of sites whose shares were computed."""
    deleted: int
    """Windows that were deleted, because the store has deleted their day."""
    unreadable: tuple[Damage, ...]
    """Files and folders that the system does not let us read; the others were read."""


class _Reports:
    """Collects what readers report in one scan of a store."""

    def __init__(self, root: Path, damages: DamageLog) -> None:
        self._root, self._damages = root, damages
        self.unreadable: dict[Path, Damage] = {}
        """By path."""

    def note(self, path: Path, damage: Damage | None) -> None:
        """Take a report of a file or folder."""
        if damage is not None and damage.is_unreadable:
            self.unreadable[path] = damage
        self._damages.note(path, damage)

    def note_folder(self, folder: Path, error: OSError) -> None:
        """Take a report of a folder that cannot be read."""
        self.note(folder, unreadable_folder(self._root, folder, error))

    def hides(self, file: str) -> bool:
        """Whether a file, by its path below the store, is in a folder that cannot be read: it may still be there."""
        return not self.unreadable.keys().isdisjoint((self._root / file).parents)


class Synchroniser:
    """Makes passes. Between passes it holds no connection."""

    def __init__(self, target: Target, is_stopped: Callable[[], bool], damages: DamageLog | None = None) -> None:
        self._target, self._is_stopped = target, is_stopped
        self._damages = damages or DamageLog()

    def run(self, *, read_again: bool = False) -> Synchronised:
        """Make one pass. ``read_again`` reads all files from their start.

        Ends early when it is stopped; the next pass goes on from there. Raises SyncFailed if PostgreSQL is away or
        refuses.
        """
        target = self._target
        with connected(target.url, target.password_file) as connection, only_one(connection):
            migrate(connection)
            prepare(connection)
            progress = Progress(connection, store_name(target.root))
            if read_again:
                progress.forget_all()
            files, windows, unread = self._copy_windows(connection, progress)
            update_label_names(connection, target.label_map)
            shares = self._update_devices_and_shares(connection)
            deleted = delete_retired(connection, target.root) if target.follow_retention else 0
        return Synchronised(files, windows, shares, deleted, tuple(unread.values()))

    def _copy_windows(self, connection: Connection, progress: Progress) -> tuple[int, int, dict[Path, Damage]]:
        """Copy what is new; return the number of files read, and of new windows, and what could not be read."""
        read, windows = 0, 0
        self._damages.forget_past()
        for _ in range(MAX_SCANS):
            reports = _Reports(self._target.root, self._damages)
            known, found = progress.read(), store_files(self._target.root, reports.note_folder)
            changed = [file for path, file in found.items() if not file.is_read(known.get(path))]
            gone = [path for path in known if path not in found and not reports.hides(path)]
            for file in changed:
                left_out = None
                for batch in batches(self._target.root, file, known, reports.note):
                    if self._is_stopped():
                        return read, windows, reports.unreadable
                    rows = None if batch.table is None else long_form(batch.table)
                    if rows is not None and rows.left_out:
                        path = self._target.root / file.path
                        damage = file_damage(path, "text must be short and without NUL", rows.left_out)
                        reports.note(path, damage)
                        left_out = str(damage)
                    done = batch.progress if left_out is None else replace(batch.progress, damage=left_out)
                    windows += insert(connection, rows, progress, done, self._target.label_map)
                read += 1
            progress.forget(gone)
            if all(_is_there(self._target.root / file.path) for file in changed):
                break
        return read, windows, reports.unreadable

    def _update_devices_and_shares(self, connection: Connection) -> int:
        """Update devices and shares; return the number of periods of sites whose shares were computed.

        If the devices cannot be read, both stay as they are: without confusion matrices, shares would be lost.
        """
        devices = read_devices(self._target.root)
        if not devices and device_damages(self._target.root):
            _log.warning(line("shares_kept", reason="the devices of the store cannot be read"))
            return 0
        update_devices(connection, devices)
        matrices = confusions(devices)
        mark_changes(connection, self._target.zone, matrices)
        return update_shares(connection, self._target.zone, matrices, self._is_stopped)


def _is_there(path: Path) -> bool:
    """Whether a file was not moved or deleted, as far as the system tells."""
    try:
        return path.exists()
    except OSError:  # its folder has become unreadable
        return True
