"""Answer views of all sites from sums that are kept beside the roll-ups (`collector.rollups.fleet_sums`).

Days that lie within a range whole are read as sums. Cells are read of the days that it begins and ends in, of those
that have changed since they were saved, and of those on which clocks of the zone are set. So a year of a fleet needs
the cells of few days, and memory does not grow with the length of the range times the devices.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from collector.rollups.day_files import DayFiles
from collector.rollups.fleet_month import FleetMonth, FleetUnavailable
from collector.rollups.fleet_senders import SenderNames, SenderParts
from collector.rollups.fleet_sums import DAY_US, GROUP, LABEL_SET, SITES_KEYS, GroupOf, Measured, summed
from collector.rollups.groups import Groups
from collector.rollups.rollup_file import DamagedRollup
from collector.rollups.rollup_update import no_cells
from collector.store.intervals import US_PER_S, Ints
from contract.fields import LONGEST_WINDOW

MAX_BYTES = 800_000_000
"""Memory of the values of sums that are kept for the next view."""
MAX_PARTS = 2000
"""Days and months whose sums are kept: each takes some 40 kB more than its values."""
HOURS_TEXTS = (LABEL_SET, GROUP, "model_expression", "clock")
Adjust = Callable[[pd.DataFrame], pd.DataFrame]
"""Changes cells at the end of a range, see `collector.analysis.intervals.prorated`."""
ATTEMPTS = 3
HOUR_US = 3600 * US_PER_S
LONGEST_WINDOW_US = LONGEST_WINDOW // timedelta(microseconds=1)


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
    senders: tuple[SenderParts, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """The sums of a day or a month."""

    hours: pd.DataFrame
    sites: pd.DataFrame
    senders: SenderParts

    @property
    def nbytes(self) -> int:
        return 8 * (self.hours.size + self.sites.size) + self.senders.nbytes


class _Parts:
    """The parts that were used last."""

    def __init__(self) -> None:
        self._parts: OrderedDict[Hashable, tuple[Path, Hashable, _Part]] = OrderedDict()
        self._states: dict[Path, set[Hashable]] = {}
        self._bytes = 0

    def get(self, month: Path, state: Hashable, key: Hashable, make: Callable[[], _Part]) -> _Part:
        """Return a part of a month in some state of its files, made if it is not kept."""
        key = (month, state, key)
        if key in self._parts:
            self._parts.move_to_end(key)
        else:
            part = make()
            self._parts[key] = month, state, part
            self._bytes += part.nbytes
            while (self._bytes > MAX_BYTES or len(self._parts) > MAX_PARTS) and len(self._parts) > 1:
                self._drop(next(iter(self._parts)))
        return self._parts[key][2]

    def keep_only(self, month: Path, states: set[Hashable]) -> None:
        """Forget the parts of former states of a month, which nobody asks for again."""
        if self._states.get(month) != states:
            self._states[month] = states
            for key in [key for key, (of, state, _) in self._parts.items() if of == month and state not in states]:
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        self._bytes -= self._parts.pop(key)[2].nbytes


class Fleet:
    """The sums of a store. Not safe for use by several threads; `sums` says what it may raise."""

    def __init__(self, cell_s: int, month: Callable[[str], FleetMonth]) -> None:
        self._cell_s, self._make = cell_s, month
        self._months: dict[str, FleetMonth] = {}
        self._kept = _Parts()
        self._keys: dict[Path, tuple[Path, str, str]] = {}
        """Of each month: the folder of its days, `Groups.all_key`, and the key of its devices."""
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
        tables = ([getattr(part, name) for part in parts] for name in ("hours", "sites"))
        hours, sites = (pd.concat([each for each in table if len(each)] or table[:1]) for table in tables)
        return FleetSums(
            hours.reset_index(drop=True), sites.reset_index(drop=True), tuple(part.senders for part in parts)
        )

    def _of_month(self, month: FleetMonth, asked: Range, groups: Groups) -> list[_Part]:
        for attempt in range(ATTEMPTS):
            try:
                month.refresh()
                self._kept.keep_only(month.path, {month.version, month.days.folder if month.days else None})
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
        whole: dict[int, list[str]] = {}
        for date in sorted(saved | changed):
            begin = _us(pd.Timestamp(date, tz="UTC").to_pydatetime())
            if begin >= past or begin + DAY_US <= first:
                continue
            split = None if date in changed else _split(month.days, date, begin, asked, (first, past))
            if split is None:
                yield from self._of_day(month, date, asked, groups, (first, past))
            else:
                whole.setdefault(split, []).append(date)
        for split, dates in whole.items():
            yield self._of_days(month, dates, split, groups)

    def _of_days(self, month: FleetMonth, dates: list[str], split: int, groups: Groups) -> _Part:
        """Return the sums of whole days of a month."""
        days = month.days
        assert days is not None
        key = self._key(month.path, days, groups)

        def make() -> _Part:
            makers = {
                f"hours-{key}": lambda cells: cells.hours(groups.name, "date"),
                f"sites-{key}": lambda cells: cells.sites(groups.name, "date"),
                f"senders-{split}": lambda cells: cells.senders(_days(cells, split), "date"),
            }
            hours, sites, senders = days.sums(makers).values()
            if len(dates) < len(days.contents.days):
                hours, sites, senders = (each[each["date"].isin(dates)] for each in (hours, sites, senders))
            hours = _texts(hours.drop(columns="date"), HOURS_TEXTS)
            sites = _texts(summed(sites.drop(columns="date"), SITES_KEYS), SITES_KEYS)
            return _Part(hours, sites, SenderParts.of(senders, self.names))

        return self._kept.get(month.path, days.folder, (tuple(dates), split, key), make)

    def _of_day(
        self, month: FleetMonth, date: str, asked: Range, groups: Groups, bounds: tuple[int, int]
    ) -> Iterator[_Part]:
        """Yield the sums of the windows of a day that began in the range."""
        begin = _us(pd.Timestamp(date, tz="UTC").to_pydatetime())
        of_day = np.clip(bounds, begin - DAY_US, begin + 2 * DAY_US)  # equal for ranges that hold the day whole
        ends_in = asked.adjust is not None and begin + 3 * DAY_US > _us(asked.until)
        near = asked.midnights
        if near is not None:  # equal for all ranges that hold the day
            near = near[(near >= begin - 2 * DAY_US) & (near <= begin + 4 * DAY_US + LONGEST_WINDOW_US)]

        def make() -> _Part:
            cells = month.cells(date)
            at = pd.DatetimeIndex(cells["begin"]).as_unit("us").asi8
            cells = cells[(at >= bounds[0]) & (at < bounds[1])]
            if asked.adjust is not None:
                cells = asked.adjust(cells)
            return _part(cells, groups.name, near, self.names)

        key = (
            date, *of_day.tolist(), groups.all_key, asked.until if ends_in else None,
            None if near is None else hashlib.sha256(near.tobytes()).digest(),
        )  # fmt: skip
        yield self._kept.get(month.path, month.version, key, make)

    def _key(self, month: Path, days: DayFiles, groups: Groups) -> str:
        """Return the key of the devices of a month; a fleet takes long to hash."""
        known = self._keys.get(month)
        if known is None or known[:2] != (days.folder, groups.all_key):
            self._keys[month] = known = days.folder, groups.all_key, groups.key(days.contents.senders)
        return known[2]


def sums_of(cells: pd.DataFrame, asked: Range, groups: Groups, names: SenderNames) -> FleetSums:
    """Return the sums of cells that were read for a range."""
    part = _part(cells if asked.adjust is None else asked.adjust(cells), groups.name, asked.midnights, names)
    return FleetSums(part.hours, part.sites, (part.senders,))


def _part(cells: pd.DataFrame, group_of: GroupOf, midnights: Ints | None, names: SenderNames) -> _Part:
    measured = Measured.of(cells)
    parts = measured.times["start"]
    if midnights is not None:
        parts = midnights[np.maximum(np.searchsorted(midnights, parts, "right") - 1, 0)]
    senders = SenderParts.of(measured.senders(parts), names)
    return _Part(measured.hours(group_of), measured.sites(group_of), senders)


def _split(days: DayFiles | None, date: str, begin: int, asked: Range, bounds: tuple[int, int]) -> int | None:
    """Return the second of the day, UTC, at which days of the zone begin around a date; None if its sums do not do."""
    assert days is not None
    day = days.contents.days[date]
    past = begin + DAY_US
    if asked.midnights is None or not (bounds[0] <= begin and past <= bounds[1]):
        return None
    if asked.adjust is not None and past + day.reach_us + HOUR_US > _us(asked.until):
        return None  # one of its cells may contain the end of the range
    near = asked.midnights[(asked.midnights > begin - DAY_US) & (asked.midnights <= past + day.reach_us)]
    seconds = np.unique(near % DAY_US)
    if len(seconds) != 1 or (np.diff(near) != DAY_US).any() or near[0] > begin:
        return None
    return int(seconds[0] // US_PER_S)


def _days(cells: Measured, split: int) -> Ints:
    """Return the start of the day of each cell; days begin at a second of the day, UTC."""
    days: Ints = (cells.times["start"] - split * US_PER_S) // DAY_US * DAY_US + split * US_PER_S
    return days


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * US_PER_S)


def _texts(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return a table whose texts can be joined with those of another."""
    return table.astype(dict.fromkeys(names, "str"))
