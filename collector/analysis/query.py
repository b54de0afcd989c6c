"""A place and a span of time -> the tables that the page and the HTTP API answer with."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.correction import Matrices, shares, shares_over
from collector.analysis.summarise import FIGURES, WEEKDAYS, Span, by_time
from collector.devices.registry_file import damages as device_damages
from collector.store.cells import HOUR_S, QUARTER_S, cell_s_for
from collector.store.damage import Damage, DamageLog
from collector.store.load import labels, load
from collector.store.rollup import Rollups
from contract.labels import UNKNOWN

HOURS = tuple(range(24))
DAYS_UP_TO = timedelta(days=62)
MOST_DRAWN = 33
"""Labels of one model and ``unknown``: of more, which no chart can tell apart, the page shows the most frequent. The
downloads have all."""


class Reader:
    """What was counted, from the files of a store. For any number of threads."""

    def __init__(self, root: Path, now: Callable[[], datetime]) -> None:
        self.root = root
        self._damages = DamageLog()
        self._rollups = {cell_s: Rollups(root, cell_s, now, self._damages.note) for cell_s in (HOUR_S, QUARTER_S)}

    def windows(self, span: Span, site: str | None = None) -> pd.DataFrame:
        """The windows that began in ``[since, until)``, as `collector.store.load.load` gives them."""
        return load(self.root, *span, site, self._damages.note)

    def cells(self, span: Span, zone: ZoneInfo, site: str | None = None) -> pd.DataFrame:
        """The same as cells (`collector.store.cells`) that no hour or day of the zone begins within, from roll-ups."""
        return self._rollups[cell_s_for(zone, *span)].cells(*span, site)

    def damages(self) -> tuple[Damage, ...]:
        """What was left out of the answers so far, and files that were damaged."""
        rollups = (damage for each in self._rollups.values() for damage in each.damages())
        return (*self._damages.all(), *rollups, *device_damages(self.root))


def share_steps(frame: pd.DataFrame, zone: ZoneInfo, span: Span, matrices: Matrices) -> pd.DataFrame:
    """Windows or cells -> corrected shares as `collector.analysis.correction.shares_over`: a row a day and label, and in a span of
    more than `DAYS_UP_TO` a row a month and label, for a point takes some milliseconds of work.
    """
    if span[1] - span[0] <= DAYS_UP_TO:
        return shares_over(frame, None, zone, span, matrices, chance())
    timed = frame[frame["clock"] != "unsynced"]
    months = timed["start"].dt.tz_convert(zone).dt.strftime("%Y-%m")
    parts = {pd.Timestamp(month, tz=zone): shares(part, matrices, chance()) for month, part in timed.groupby(months)}
    if not parts:
        return shares_over(frame, None, zone, (span[0], span[0] + timedelta(days=1)), matrices, chance())
    names = pd.Index([name for name in labels(frame) if name != UNKNOWN], name="label")  # a month may lack some
    tables = {start: part.reindex(names).fillna({"visits": 0.0}) for start, part in parts.items()}
    return pd.concat(tables, names=["start", "label"])


def chance() -> np.random.Generator:
    """The bootstrap's chance: the same each time, so that nothing on the page flickers while nothing has come."""
    return np.random.default_rng(0)


def counted(table: pd.DataFrame) -> list[str]:
    """The columns of a table of `collector.analysis.summarise` that are labels."""
    return labels(table.drop(columns=[name for name in FIGURES if name in table]))


def drawn(table: pd.DataFrame) -> list[str]:
    """The labels of a table of `collector.analysis.summarise` that are drawn: all, or the `MOST_DRAWN` counted most often."""
    names = counted(table)
    if len(names) <= MOST_DRAWN:
        return names
    most = set(table[names].sum().nlargest(MOST_DRAWN).index)
    return [name for name in names if name in most]


def hours_of_week(frame: pd.DataFrame, zone: ZoneInfo, span: Span) -> pd.DataFrame:
    """Windows -> seven rows of weekdays by 24 hours of the zone, columns ``(label or "visits", hour)``.

    Values are visits in each watched hour of one camera, the mean over all hours of that name in the span; NaN where
    no camera watched in any of them. Hours that a change of the clock repeats count as two.
    """
    table = by_time(frame, HOUR_S, zone, span)
    starts = pd.DatetimeIndex(table.index)
    watched = (table["coverage"] * table["seconds"] / HOUR_S).to_numpy() * _cameras(frame)
    names = ["visits", *counted(table)]
    keyed = table[names].fillna(0.0).assign(watched=np.nan_to_num(watched), day=starts.day_of_week, hour=starts.hour)
    sums = keyed.groupby(["day", "hour"]).sum().reindex(pd.MultiIndex.from_product([range(7), HOURS]))
    rates = sums[names].div(sums["watched"].where(sums["watched"] > 0), axis=0).unstack()
    return pd.DataFrame(rates).set_axis(pd.Index(WEEKDAYS, name="weekday"))


def of_label(rates: pd.DataFrame, label: str) -> pd.DataFrame:
    """A table of `hours_of_week` -> weekdays by the 24 hours, (7, 24), of one label."""
    return pd.DataFrame(rates[label], columns=list(HOURS))


def _cameras(frame: pd.DataFrame) -> int:
    timed = frame[frame["clock"] != "unsynced"]
    return int(timed.groupby(["site", "device"], sort=False).ngroups)
