"""Answer views of all sites from sums that are kept beside the roll-ups (`collector.rollups.fleet_sums`).

Days that lie entirely in a range are read as sums. Cells are read for the first and the last day, for days that have
changed since they were saved, and for days on which the clocks of the zone change. So a year of a fleet needs the cells
of few days, and memory does not grow with the length of the range times the devices.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from collector.rollups import sender_file
from collector.rollups.day_files import DayFiles, Maker, decode_table, encode_table
from collector.rollups.fleet_month import FleetMonth, FleetUnavailable
from collector.rollups.fleet_senders import SenderBlock, SenderNames, sender_block, sender_tables
from collector.rollups.fleet_sums import DAY_US, GROUP, LABEL_SET, SITES_KEYS, GroupOf, Measured, summed
from collector.rollups.groups import Groups
from collector.rollups.kept import Kept
from collector.rollups.rollup_file import DamagedRollup
from collector.rollups.rollup_update import no_cells
from collector.store.intervals import US_PER_S, Ints
from contract.fields import LONGEST_WINDOW

MAX_BYTES = 800_000_000
"""Memory of the two caches of sums, bytes; half for each."""
MAX_PARTS = 2000
"""Maximum number of results in each cache, because a result takes some 40 kB beside its values."""
HOURS_TEXTS = (LABEL_SET, GROUP, "model_expression", "clock")
Adjust = Callable[[pd.DataFrame], pd.DataFrame]
"""Changes cells at the end of a range, see `collector.analysis.intervals.prorated`."""
ATTEMPTS = 3
HOUR_US = 3600 * US_PER_S
LONGEST_WINDOW_US = LONGEST_WINDOW // timedelta(microseconds=1)
Split = int | Literal["cells"]
"""How the saved sums of devices are divided: by cell, or by day of the zone. The number is the second of the UTC day at
which a day of the zone begins."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is asked for."""

    since: datetime
    until: datetime
    midnights: Ints | None
    """Midnights of the zone from four days before the range to four after the end of the longest window that may begin
    in it, microseconds since 1970: the parts of `FleetSums.senders` are days. None if they are cells."""
    adjust: Adjust | None = None
    """Changes the cells that contain ``until``."""


@dataclass(frozen=True, slots=True)
class FleetSums:
    """The sums of a range."""

    hours: pd.DataFrame
    """`Measured.hours`; a group, begin and start may have several rows."""
    sites: pd.DataFrame
    """`Measured.sites`, likewise."""
    senders: tuple[SenderBlock, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """Sums of a day or a month: all of `FleetSums`, or some of them."""

    hours: pd.DataFrame | None
    sites: pd.DataFrame | None
    senders: tuple[SenderBlock, ...]

    @property
    def nbytes(self) -> int:
        tables = sum(8 * each.size for each in (self.hours, self.sites) if each is not None)
        return tables + sum(block.nbytes for block in self.senders)


@dataclass(frozen=True, slots=True)
class _Day:
    """The sums of a day that is not read as a whole."""

    part: _Part
    last_cells: pd.DataFrame
    """Cells that contain the end of the range. They are not in ``part``, because only a part of them counts."""

    @property
    def nbytes(self) -> int:
        return self.part.nbytes + 8 * self.last_cells.size


class Fleet:
    """The sums of a store. Not safe for use by several threads; `sums` says what it may raise."""

    def __init__(self, cell_s: int, month: Callable[[str], FleetMonth]) -> None:
        self._cell_s, self._make = cell_s, month
        self._months: dict[str, FleetMonth] = {}
        self._kept: Kept[_Part] = Kept(MAX_BYTES // 2, MAX_PARTS)
        self._days: Kept[_Day] = Kept(MAX_BYTES // 2, MAX_PARTS)
        self._states: dict[Path, set[Hashable]] = {}
        self._keys: dict[Path, tuple[Path, str, str]] = {}
        """Of each month: the folder of its days, `Groups.all_key`, and the key of its devices (`Groups.key`)."""
        self.names = SenderNames()
        """Devices and label sets of `FleetSums.senders`."""

    def sums(self, months: list[str], asked: Range, groups: Groups) -> FleetSums:
        """Return the sums of a range, of some months ``YYYY-MM``. Raises FleetUnavailable."""
        parts: list[_Part] = []
        for name in months:
            month = self._months.setdefault(name, self._make(name))
            parts += self._of_month(month, asked, groups)
        if not parts:
            parts = [_part(no_cells(self._cell_s), groups.name, None, self.names)]
        hours = _joined([part.hours for part in parts if part.hours is not None])
        sites = _joined([part.sites for part in parts if part.sites is not None])
        return FleetSums(hours, sites, tuple(block for part in parts for block in part.senders))

    def _of_month(self, month: FleetMonth, asked: Range, groups: Groups) -> list[_Part]:
        for attempt in range(ATTEMPTS):
            try:
                month.refresh()
                self._keep_only(month.path, {month.version, month.days.folder if month.days else None})
                return list(self._parts(month, asked, groups))
            except (DamagedRollup, FileNotFoundError) as error:
                if attempt == ATTEMPTS - 1:
                    raise FleetUnavailable(str(error)) from error
                month.reopen(make_again=attempt > 0 or isinstance(error, DamagedRollup))
            except OSError as error:
                raise FleetUnavailable(str(error)) from error
        raise AssertionError

    def _parts(self, month: FleetMonth, asked: Range, groups: Groups) -> Iterator[_Part]:
        """Yield sums that together are those of the range."""
        step_us = self._cell_s * US_PER_S
        first, past = _us(asked.since) // step_us * step_us, -(-_us(asked.until) // step_us) * step_us
        changed = month.changed_dates()
        saved = set() if month.days is None else set(month.days.contents.days)
        whole: dict[Split, list[str]] = {}
        for date in sorted(saved | changed):
            begin = _begin(date)
            if begin >= past or begin + DAY_US <= first:
                continue
            split = None if date in changed else _split(month.days, date, begin, asked, (first, past))
            if split is None:
                yield from self._of_day(month, date, asked, groups, (first, past))
            else:
                whole.setdefault(split, []).append(date)
        for split, dates in whole.items():
            yield from self._of_days(month, dates, split, groups)

    def _of_days(self, month: FleetMonth, dates: list[str], split: Split, groups: Groups) -> Iterator[_Part]:
        """Yield the sums of whole days of a month."""
        days = month.days
        assert days is not None
        key = self._key(month.path, days, groups)
        makers = _makers(groups.name, split, key)
        whole_month = len(dates) == len(days.contents.days)
        senders = f"senders-{split}.arrays"
        wanted = [f"hours-{key}.parquet", f"{'totals' if whole_month else 'sites'}-{key}.parquet"]
        wanted += [senders] if senders in makers else []

        def make() -> _Part:
            found = days.sums(makers, wanted)
            hours, sites = (decode_table(found[name]) for name in wanted[:2])
            blocks = sender_file.decode(found[senders], self.names, dates) if senders in found else ()
            if not whole_month:
                hours, sites = (each[each["date"].isin(dates)] for each in (hours, sites))
                sites = summed(sites.drop(columns="date"), SITES_KEYS)
            return _Part(_texts(hours.drop(columns="date"), HOURS_TEXTS), _texts(sites, SITES_KEYS), blocks)

        yield self._kept.get((month.path, days.folder, tuple(dates), split, key), make)
        if split == "cells":
            yield from (self._cells_of_day(month.path, days, date) for date in dates)

    def _keep_only(self, month: Path, states: set[Hashable]) -> None:
        """Drop the cached sums of former states of a month."""
        if self._states.get(month) != states:
            self._states[month] = states
            for kept in (self._kept, self._days):
                kept.forget(lambda key: isinstance(key, tuple) and key[0] == month and key[1] not in states)

    def _key(self, month: Path, days: DayFiles, groups: Groups) -> str:
        """Return `Groups.key` of the devices of a month; an equal list of another month is not hashed again."""
        known = self._keys.get(month)
        if known is None or known[:2] != (days.folder, groups.all_key):
            key = self._key_of_equal(days, groups) or groups.key(days.contents.senders)
            self._keys[month] = known = days.folder, groups.all_key, key
        return known[2]

    def _key_of_equal(self, days: DayFiles, groups: Groups) -> str | None:
        """Return the key of another month with the same devices."""
        for other in self._months.values():
            known = self._keys.get(other.path)
            if other.days is None or known is None or known[:2] != (other.days.folder, groups.all_key):
                continue
            if other.days.contents.senders == days.contents.senders:
                return known[2]
        return None

    def _cells_of_day(self, month: Path, days: DayFiles, date: str) -> _Part:
        """Return the sums of devices by cell of a whole day."""

        def make() -> _Part:
            maker = Maker(lambda cells: cells.senders(cells.times["start"]), _encode_senders)
            return _Part(None, None, sender_file.decode(days.day_sums(date, maker), self.names))

        return self._kept.get((month, days.folder, date, "cells"), make)

    def _of_day(
        self, month: FleetMonth, date: str, asked: Range, groups: Groups, bounds: tuple[int, int]
    ) -> Iterator[_Part]:
        """Yield the sums of the windows of a day that began in the range."""
        begin = _begin(date)
        of_day = np.clip(bounds, begin - DAY_US, begin + 2 * DAY_US)  # equal for ranges that hold the day whole
        near = asked.midnights
        if near is not None:  # equal for all ranges that hold the day
            near = near[(near >= begin - 2 * DAY_US) & (near <= begin + 4 * DAY_US + LONGEST_WINDOW_US)]

        last_cell = _us(asked.until) // (self._cell_s * US_PER_S) if asked.adjust is not None else None

        def make() -> _Day:
            cells = month.cells(date)
            at = pd.DatetimeIndex(cells["begin"]).as_unit("us").asi8
            cells = cells[(at >= bounds[0]) & (at < bounds[1])]
            starts = pd.DatetimeIndex(cells["start"]).as_unit("us").asi8
            in_last = starts // (self._cell_s * US_PER_S) == (-1 if last_cell is None else last_cell)
            return _Day(_part(cells[~in_last], groups.name, near, self.names), cells[in_last])

        key = (
            month.path, month.version, date, *of_day.tolist(), groups.all_key, last_cell,
            None if near is None else hashlib.sha256(near.tobytes()).digest(),
        )  # fmt: skip
        day = self._days.get(key, make)
        yield day.part
        adjust = asked.adjust
        if adjust is not None and len(day.last_cells):
            yield self._kept.get(
                (*key, asked.until), lambda: _part(adjust(day.last_cells), groups.name, near, self.names)
            )


def sums_of(cells: pd.DataFrame, asked: Range, groups: Groups, names: SenderNames) -> FleetSums:
    """Return the sums of cells that were read for a range."""
    part = _part(cells if asked.adjust is None else asked.adjust(cells), groups.name, asked.midnights, names)
    assert part.hours is not None and part.sites is not None
    return FleetSums(part.hours, part.sites, part.senders)


def _part(cells: pd.DataFrame, group_of: GroupOf, midnights: Ints | None, names: SenderNames) -> _Part:
    measured = Measured.of(cells)
    parts = measured.times["start"]
    if midnights is not None:
        parts = midnights[np.maximum(np.searchsorted(midnights, parts, "right") - 1, 0)]
    senders = tuple(
        sender_block(table, np.array([names.device(*pair) for pair in table.devices], np.int64), names)
        for table in sender_tables(measured.senders(parts))
    )
    return _Part(measured.hours(group_of), measured.sites(group_of), senders)


def _makers(group_of: GroupOf, split: Split, key: str) -> dict[str, Maker]:
    """Return how the sums of a month are made, by name of their file."""
    makers = {
        f"hours-{key}.parquet": Maker(lambda cells: cells.hours(group_of, "date"), encode_table),
        f"sites-{key}.parquet": Maker(lambda cells: cells.sites(group_of, "date"), encode_table),
        f"totals-{key}.parquet": Maker(
            lambda cells: cells.sites(group_of), lambda sums: encode_table(summed(sums, SITES_KEYS))
        ),
    }
    if split != "cells":
        makers[f"senders-{split}.arrays"] = Maker(
            lambda cells: cells.senders(_days(cells, split), "date"), _encode_senders
        )
    return makers


def _encode_senders(sums: pd.DataFrame) -> bytes:
    return sender_file.encode(sender_tables(sums))


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([each for each in tables if len(each)] or tables[:1], ignore_index=True)


def _split(days: DayFiles | None, date: str, begin: int, asked: Range, bounds: tuple[int, int]) -> Split | None:
    """Return the division of the saved sums of a date that a range needs; None if its cells must be read."""
    assert days is not None
    day = days.contents.days[date]
    past = begin + DAY_US
    if not (bounds[0] <= begin and past <= bounds[1]):
        return None
    if asked.adjust is not None and past + day.reach_us + HOUR_US > _us(asked.until):
        return None  # one of its cells may contain the end of the range
    if asked.midnights is None:
        return "cells"
    first, last = np.searchsorted(asked.midnights, [begin - DAY_US, past + day.reach_us], "right")
    near = asked.midnights[first:last].tolist()
    if not near or near != list(range(near[0], near[-1] + 1, DAY_US)) or near[0] > begin:
        return None
    return int(near[0] % DAY_US // US_PER_S)


def _days(cells: Measured, split: int) -> Ints:
    """Return the start of the day of each cell, microseconds; days begin at second ``split`` of the UTC day."""
    days: Ints = (cells.times["start"] - split * US_PER_S) // DAY_US * DAY_US + split * US_PER_S
    return days


@lru_cache(4096)
def _begin(date: str) -> int:
    """Return the start of a day, UTC."""
    return _us(pd.Timestamp(date, tz="UTC").to_pydatetime())


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * US_PER_S)


def _texts(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return a table whose texts can be joined with those of another."""
    return table.astype(dict.fromkeys(names, "str"))
