"""Bring the cells of some folders up to date with their files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path

import pandas as pd

from collector.rollups.cells import cells
from collector.rollups.rollup_file import MonthCells
from collector.store.columns import KEY_COLUMNS
from collector.store.damage import Damage, DamageCallback, DamageReports, unreadable_folder
from collector.store.load import read, read_folders
from collector.store.source_files import Folder, Source
from collector.store.workers import ThisProcess, Workers

WINDOWS_AT_ONCE = 500_000
"""Windows that are in memory together, unless a folder has more."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the windows are, and how they are summed up."""

    root: Path
    cell_s: int
    """Length of a cell, seconds."""
    on_damage: DamageCallback
    workers: Workers = field(default_factory=ThisProcess)
    """Whoever sums up."""


def changes(month: MonthCells, present: dict[Folder, Source]) -> tuple[dict[Folder, Source], set[Folder]]:
    """Return the folders that differ from those that the cells were computed from, and those that are gone.

    A folder with a file that could not be read counts as changed: reading it may succeed without a change of the file.
    """
    sources = month.sources
    incomplete = incomplete_folders(month.damages)
    changed = {
        folder: source
        for folder, source in present.items()
        if (sources.get(folder) != source or folder in incomplete)
        and not (folder in sources and sources[folder].is_final)
    }
    return changed, {folder for folder in sources if folder not in present and not sources[folder].is_final}


def incomplete_folders(damages: Mapping[Folder, tuple[Damage, ...]]) -> set[Folder]:
    """Return the folders with a file that could not be read."""
    return {folder for folder, found in damages.items() if any(each.is_unreadable for each in found)}


def unread(month: MonthCells, files: Files, unreadable: Iterable[tuple[Path, OSError]]) -> dict[Folder, Source]:
    """Report folders that cannot be read; return those whose cells stay as they are until then."""
    paths = set()
    for path, error in unreadable:
        files.on_damage(path, unreadable_folder(files.root, path, error))
        paths.add(path)
    sources = month.sources.items() if paths else ()
    return {
        folder: source
        for folder, source in sources
        if not paths.isdisjoint({folder.within(files.root), folder.within(files.root).parent})
    }


def update(month: MonthCells, files: Files, changed: dict[Folder, Source], gone: set[Folder]) -> None:
    """Replace the cells of changed folders, and remove those of folders that are gone."""
    outdated = {*changed, *gone}
    kept = month.frame
    if not outdated.isdisjoint(month.sources):
        kept = kept[~pd.MultiIndex.from_frame(kept[["date", "site"]]).isin(list(outdated))]
    month.damages = {folder: found for folder, found in month.damages.items() if folder not in outdated}
    computed = compute(month, files, sorted(changed))
    filled = [frame for frame in (kept, computed) if len(frame)]
    month.frame = pd.concat(filled, ignore_index=True) if filled else no_cells(files.cell_s)
    month.sources = {folder: source for folder, source in month.sources.items() if folder not in gone} | changed


def compute(month: MonthCells, files: Files, folders: Sequence[Folder]) -> pd.DataFrame:
    """Return the cells of some folders; record what is left out in the month."""
    paths = [folder.within(files.root) for folder in folders]
    folder_of = {path.absolute(): folder for path, folder in zip(paths, folders, strict=True)}

    def on_damage(path: Path, damage: Damage | None) -> None:
        is_folder = path.absolute() in folder_of
        folder = folder_of[path.absolute() if is_folder else path.parent.absolute()]
        if damage is not None:
            month.damages[folder] = (*month.damages.get(folder, ()), damage)
        there = folder.within(files.root)
        files.on_damage(there if is_folder else there / path.name, damage)

    tables = []
    for table, reports in files.workers.map_groups(partial(folder_cells, cell_s=files.cell_s), paths):
        reports.pass_on(on_damage)
        tables.append(table)
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else no_cells(files.cell_s)


def folder_cells(
    folders: Sequence[Path], cell_s: int, since: datetime | None = None, until: datetime | None = None
) -> tuple[pd.DataFrame, DamageReports]:
    """Return the cells of windows that start in ``[since, until)``, each once, with the ``date`` of their folder.

    Also returns what was reported of the files.
    """
    reports = DamageReports()
    tables = []
    for day, of_day in groupby(folders, lambda folder: folder.parent.name):
        for windows in read_folders(of_day, WINDOWS_AT_ONCE, reports.note):
            chosen = pd.Series(True, index=windows.index)
            if since is not None:
                chosen &= windows["start"] >= since
            if until is not None:
                chosen &= windows["start"] < until
            table = cells(windows[chosen].drop_duplicates(list(KEY_COLUMNS)), cell_s)
            table.insert(0, "date", day.removeprefix("date="))
            tables.append(table)
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else no_cells(cell_s), reports


@lru_cache
def no_cells(cell_s: int) -> pd.DataFrame:
    """Return an empty table with the columns of `MonthCells.frame`. It is shared and must not be changed."""
    empty = cells(read([]), cell_s)
    empty.insert(0, "date", pd.Series(dtype="str"))
    return empty
