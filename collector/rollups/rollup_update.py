"""Bring the cells of some folders up to date with their files."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from collector.rollups.cells import cells
from collector.rollups.rollup_file import MonthCells
from collector.store.columns import KEY_COLUMNS
from collector.store.damage import Damage, DamageCallback, unreadable_folder
from collector.store.load import files_of, read
from collector.store.source_files import Folder, Source

SITES_AT_ONCE = 100
"""Sites of a day whose windows are in memory together."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the windows are, and how they are summed up."""

    root: Path
    cell_s: int
    """Length of a cell, seconds."""
    on_damage: DamageCallback


def changes(month: MonthCells, present: dict[Folder, Source]) -> tuple[dict[Folder, Source], set[Folder]]:
    """Return the folders that differ from those that the cells were computed from, and those that are gone.

    A folder with a file that could not be read counts as changed: reading it may succeed without a change of the file.
    """
    sources = month.sources
    incomplete = {folder for folder, found in month.damages.items() if any(each.is_unreadable for each in found)}
    changed = {
        folder: source
        for folder, source in present.items()
        if (sources.get(folder) != source or folder in incomplete)
        and not (folder in sources and sources[folder].is_final)
    }
    return changed, {folder for folder in sources if folder not in present and not sources[folder].is_final}


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
    computed = [
        compute(month, files, date, sites[at : at + SITES_AT_ONCE])
        for date in sorted({folder.date for folder in changed})
        for sites in [sorted(folder.site for folder in changed if folder.date == date)]
        for at in range(0, len(sites), SITES_AT_ONCE)
    ]
    filled = [frame for frame in (kept, *computed) if len(frame)]
    month.frame = pd.concat(filled, ignore_index=True) if filled else no_cells(files.cell_s)
    month.sources = {folder: source for folder, source in month.sources.items() if folder not in gone} | changed


def compute(month: MonthCells, files: Files, date: str, sites: list[str]) -> pd.DataFrame:
    """Return the cells of a day's folders, each window once; record what is left out in the month."""
    folders = {Folder(date, site).within(files.root): Folder(date, site) for site in sites}

    def on_damage(path: Path, damage: Damage | None) -> None:
        if damage is not None:
            folder = folders[path if path in folders else path.parent]
            month.damages[folder] = (*month.damages.get(folder, ()), damage)
        files.on_damage(path, damage)

    paths = [path for folder in folders for path in files_of(folder, on_damage)]
    table = cells(read(paths, on_damage).drop_duplicates(list(KEY_COLUMNS)), files.cell_s)
    table.insert(0, "date", date)
    return table


@lru_cache
def no_cells(cell_s: int) -> pd.DataFrame:
    """Return an empty table with the columns of `MonthCells.frame`. It is shared and must not be changed."""
    empty = cells(read([]), cell_s)
    empty.insert(0, "date", pd.Series(dtype="str"))
    return empty
