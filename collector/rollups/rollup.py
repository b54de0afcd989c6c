"""Serve the cells of a store from roll-up files, so that a year is read within a second.

``<root>/_rollup/<seconds>/YYYY-MM.parquet`` holds the cells of a month (`collector.rollups.rollup_month`). Other
readers of the store ignore the folder for its underscore. It may be deleted at any time, except that it is the only
place that holds the cells of deleted days.
"""

import logging
import threading
from collections.abc import Callable
from datetime import date, datetime, timezone
from pathlib import Path

import pandas as pd

from base.logs import line
from collector.rollups.fleet import Fleet, FleetSums, Range, sums_of
from collector.rollups.fleet_month import FleetMonth, FleetUnavailable
from collector.rollups.fleet_senders import SenderNames
from collector.rollups.groups import Groups
from collector.rollups.rollup_file import FileIdentity
from collector.rollups.rollup_month import CELLS_LOST, DAMAGED_SUFFIX, WAS_DAMAGED, MonthRollup
from collector.rollups.rollup_site import SiteCells
from collector.rollups.rollup_update import Files, no_cells
from collector.store.damage import Damage, DamageCallback, Fault, file_damage, log_damage
from collector.store.source_files import stored_days

FOLDER = "_rollup"
MAX_JOINED = 4
"""Tables of several months that are kept in memory."""
MAX_SITES = 32
"""Sites that are kept in memory apart from the others: a year of five devices has 44,000 cells, some 9 MB."""

_log = logging.getLogger(__name__)


class Rollups:
    """The cells of a store, brought up to date at each call. Safe for use by several threads."""

    def __init__(
        self, root: Path, cell_s: int, now: Callable[[], datetime], on_damage: DamageCallback = log_damage
    ) -> None:
        self._root, self._cell_s, self._now, self._on_damage = root, cell_s, now, on_damage
        self._folder = root / FOLDER / str(cell_s)
        self._months: dict[str, MonthRollup] = {}
        self._joined: dict[tuple[int, ...], tuple[list[pd.DataFrame], pd.DataFrame]] = {}
        self._sites: dict[str, SiteCells] = {}
        self._verified: dict[Path, FileIdentity | None] = {}
        self._fleet = Fleet(cell_s, self._fleet_month)
        self._lock, self._fleet_lock = threading.Lock(), threading.Lock()

    def cells(
        self, since: datetime | None = None, until: datetime | None = None, site: str | None = None
    ) -> pd.DataFrame:
        """Return the cells of windows that begin in ``[since, until)``, of one site if named.

        Columns are those of `collector.rollups.cells.cells`. The range is rounded outwards to whole cells. Rows and
        files that cannot be used are left out and reported to ``on_damage``.
        """
        with self._lock:
            names = self._month_names(since, until)
            frames = None if site is None else self._of_site(site, names)
            if frames is None:
                months = [self._month(name) for name in names]
                for month in months:
                    month.refresh()
                frames = [month.frame for month in months]
            frame = self._join(frames)
        step = pd.Timedelta(seconds=self._cell_s)
        keep = pd.Series(True, index=frame.index)
        if since is not None:
            keep &= frame["begin"] >= pd.Timestamp(since).tz_convert("UTC").floor(step)
        if until is not None:
            keep &= frame["begin"] < pd.Timestamp(until).tz_convert("UTC").ceil(step)
        if site is not None:
            keep &= frame["site"] == site
        return frame if keep.all() else frame[keep].reset_index(drop=True)

    def fleet_of(self, site: str, asked: Range, groups: Groups) -> tuple[FleetSums, SenderNames]:
        """Return the sums of one site, with the names that `fleet` returns."""
        cells = self.cells(asked.since, asked.until, site)
        with self._fleet_lock:
            return sums_of(cells, asked, groups, self._fleet.names), self._fleet.names

    def fleet(self, asked: Range, groups: Groups) -> tuple[FleetSums, SenderNames] | None:
        """Return the sums of all sites, and the names of the devices in them; None if `cells` must be read.

        Unlike `cells` it may be behind by some minutes in a fleet whose files take long to read.
        """
        with self._fleet_lock:
            try:
                found = self._fleet.sums(self._month_names(asked.since, asked.until), asked, groups)
            except FleetUnavailable as error:
                _log.warning(line("fleet_not_summed", folder=self._folder, reason=error))
                return None
            return found, self._fleet.names

    def retire(self, day: date) -> None:
        """Make the cells of a day final and save them, so that its folder may be deleted.

        If the day was deleted before, the windows that have come since are added to its cells. Raises StoreFailed if
        the cells are incomplete or cannot be saved, and FileNotFoundError if there is no such folder.
        """
        with self._lock:
            self._month(f"{day:%Y-%m}").retire(day.isoformat())

    def mark_deleted(self, day: date) -> None:
        """Record that the folder of a retired day is gone.

        Windows that come for it from now on are not in its cells.
        """
        with self._lock:
            self._month(f"{day:%Y-%m}").mark_deleted(day.isoformat())

    def damages(self) -> tuple[Damage, ...]:
        """Return what is or was wrong with roll-up files; ``on_damage`` receives what is wrong with rows."""
        renamed = damaged_files(self._root, self._cell_s)
        with self._lock:
            return (*renamed, *(month.damage for month in self._months.values() if month.damage is not None))

    def _of_site(self, site: str, names: list[str]) -> list[pd.DataFrame] | None:
        """Return the months of a site; None if all sites are in memory or must be brought up to date."""
        if all(name in self._months for name in names):
            return None
        kept = self._sites.pop(site, None) or SiteCells(
            Files(self._root, self._cell_s, self._on_damage), self._folder, site, self._verified
        )
        self._sites[site] = kept
        while len(self._sites) > MAX_SITES:
            del self._sites[next(iter(self._sites))]
        days = stored_days(self._root)
        frames = []
        for name in names:
            frame = kept.frame(name, [day for day in days if day.startswith(name)])
            if frame is None:
                return None
            frames.append(frame)
        return frames

    def _month(self, name: str) -> MonthRollup:
        """Return the month ``YYYY-MM``."""
        if name not in self._months:
            self._months[name] = self._new_month(name)
        return self._months[name]

    def _new_month(self, name: str) -> MonthRollup:
        return MonthRollup(
            self._root,
            self._folder / f"{name}.parquet",
            cell_s=self._cell_s,
            now=self._now,
            on_damage=self._on_damage,
        )

    def _fleet_month(self, name: str) -> FleetMonth:
        files = Files(self._root, self._cell_s, self._on_damage)
        return FleetMonth(files, self._folder / f"{name}.parquet", self._now, lambda: self._new_month(name))

    def _month_names(self, since: datetime | None, until: datetime | None) -> list[str]:
        """Return the months ``YYYY-MM`` that may hold cells of the range, in order."""
        saved = {path.stem for path in self._folder.glob("????-??.parquet")}
        names = saved | {day[: len("2026-03")] for day in stored_days(self._root)}
        if since is not None:
            names = {name for name in names if name >= _month_name(since)}
        if until is not None:
            names = {name for name in names if name <= _month_name(until)}
        return sorted(names)

    def _join(self, frames: list[pd.DataFrame]) -> pd.DataFrame:
        """Join months to one table. The last few tables are kept, because a page asks for the same ones repeatedly."""
        key = tuple(map(id, frames))  # valid as long as the frames are kept
        if key not in self._joined:
            table = pd.concat(frames, ignore_index=True) if frames else no_cells(self._cell_s)
            self._joined[key] = (frames, table.drop(columns="date"))
            while len(self._joined) > MAX_JOINED:
                del self._joined[next(iter(self._joined))]
        return self._joined[key][1].copy(deep=False)


def damaged_files(root: Path, cell_s: int | None = None) -> tuple[Damage, ...]:
    """Return the damaged roll-up files that were renamed: of cells of one length, or of all."""
    paths = sorted((root / FOLDER).glob(f"{cell_s or '*'}/*{DAMAGED_SUFFIX}*"))
    return tuple(file_damage(path, Fault.of(CELLS_LOST, reason=WAS_DAMAGED)) for path in paths)


def _month_name(time: datetime) -> str:
    return f"{time.astimezone(timezone.utc):%Y-%m}"
