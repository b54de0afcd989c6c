"""The cells of one site, without those of the others: time and memory do not grow with the fleet.

A site's rows are read from the roll-up file of a month; folders of the site that have changed since are computed again,
and kept in memory only. `collector.rollups.rollup_month` saves them when all sites are next read.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from collector.rollups import rollup_file
from collector.rollups.rollup_file import DamagedRollup, FileIdentity, MonthCells
from collector.rollups.rollup_update import Files, changes, no_cells, unread, update
from collector.store.source_files import scan_site

MAX_UNSAVED = 3
"""Folders of one month that may be missing in the roll-up file: today, yesterday, and a late one. With more of them
the whole month is brought up to date and saved."""


@dataclass(slots=True)
class _Month:
    """A month of the site, and the roll-up file that it was read from."""

    identity: FileIdentity | None
    cells: MonthCells
    saved: int = 0
    """Folders whose cells came from the file."""


@dataclass(slots=True)
class SiteCells:
    """The months of one site. Not safe for use by several threads."""

    files: Files
    folder: Path
    """Folder of the roll-up files."""
    site: str
    verified: dict[Path, FileIdentity | None]
    """Roll-up files whose checksum was compared; shared by all sites."""
    _months: dict[str, _Month] = field(default_factory=dict)

    def frame(self, name: str, days: list[str]) -> pd.DataFrame | None:
        """Return the cells of a month, of which these days have folders, with the column ``date`` in front.

        None if too many of them are not in the roll-up file, or the file is of an older version or cannot be read.
        """
        path = self.folder / f"{name}.parquet"
        identity = rollup_file.identity(path)
        month = self._months.get(name)
        if month is None or month.identity != identity:
            read = self._read(path, identity)
            if read is None:
                return None
            month = self._months[name] = _Month(identity, read, len(read.sources))
            for found in read.damages.values():
                for each in found:
                    self.files.on_damage(self.files.root / each.file, each)
        unreadable: list[tuple[Path, OSError]] = []
        present = scan_site(self.files.root, days, self.site, lambda *each: unreadable.append(each))
        changed, gone = changes(month.cells, present | unread(month.cells.sources, self.files, unreadable))
        if len({*month.cells.sources, *changed}) - month.saved > MAX_UNSAVED or len(changed) > MAX_UNSAVED:
            return None
        if changed or gone:
            update(month.cells, self.files, changed, gone)
        return month.cells.frame

    def _read(self, path: Path, identity: FileIdentity | None) -> MonthCells | None:
        if identity is None:
            return MonthCells(no_cells(self.files.cell_s))
        try:
            month = rollup_file.read_site(path, self.site, is_verified=self.verified.get(path) == identity)
        except (OSError, DamagedRollup):
            return None
        self.verified[path] = identity
        return month if month.version == rollup_file.VERSION else None
