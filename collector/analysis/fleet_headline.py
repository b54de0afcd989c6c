"""The figures of the first screen for all sites of a store, and of each site, from sums (`FleetPeriod`).

They are those of `collector.analysis.headline`, for a fleet. Shares of single sites come without intervals: these cost
some milliseconds each, and a page lists few sites. `FleetFigures.with_intervals` adds them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.analysis.bootstrap import fixed_rng
from collector.analysis.change import UNKNOWN_CHANGE, Change, fraction_change, rate_change, strata
from collector.analysis.correction import CLEAR_Z, DRAWS, LabelShares, compare, label_shares, left_out
from collector.analysis.fleet_change import Changes, fraction_changes, rate_changes
from collector.analysis.fleet_period import FleetPeriod
from collector.analysis.headline import (
    NAN,
    Figure,
    Headline,
    Trend,
    figures,
    is_comparable,
    of_all,
    share_of,
    stratum_edges,
    unit_buckets,
)
from collector.analysis.intervals import with_known_time
from collector.analysis.summarise import by_site_sums, by_total
from contract.labels import UNKNOWN


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """The figures of two periods, of all sites and of each."""

    now: FleetPeriod
    before: FleetPeriod
    label: str | None
    headline: Headline
    sites: dict[str, Headline]
    """By name; their shares have no intervals."""
    same_sites: bool
    """Whether each site is compared with itself, and not with nothing."""

    def with_intervals(self, names: Iterable[str]) -> dict[str, Headline]:
        """Return the figures of some sites, of those that have rows, with the intervals of their shares."""
        chosen = [name for name in names if name in self.sites]
        shares = _label_shares(self, chosen, DRAWS)
        return {name: replace(self.sites[name], share=share) for name, share in zip(chosen, shares, strict=True)}


def fleet_figures(
    now: FleetPeriod, before: FleetPeriod, label: str | None, zone: ZoneInfo, *, same_cameras: bool
) -> FleetFigures:
    """Return the figures of all sites, compared camera by camera at equal watched time, else as counted."""
    one, other = (each.strata(stratum_edges(each.span, now.span, zone)) for each in (before, now))
    unit = unit_buckets(now.span)
    everything, of_sites = rate_changes(one, other, now.names, unit)
    total = by_total(now.frame, now.span, now.devices).iloc[0]
    former = by_total(before.frame, before.span, before.devices).iloc[0]
    changes = UNKNOWN_CHANGE, UNKNOWN_CHANGE
    if is_comparable(total, former):
        former_strata, strata_now = (
            strata(with_known_time(each.frame), stratum_edges(each.span, now.span, zone)) for each in (before, now)
        )
        rate = _change(everything, 0)
        if not same_cameras:
            rate = rate_change(of_all(former_strata), of_all(strata_now), unit)
        changes = rate, fraction_change(former_strata, strata_now, UNKNOWN, unit)
    matrices = {**before.matrices, **now.matrices}
    both = compare(before.frame, now.frame, matrices, fixed_rng())
    headline = replace(
        figures(total, former, share_of(both, label), changes, label), left_out=left_out(now.frame, now.matrices)
    )
    found = FleetFigures(now, before, label, headline, {}, same_cameras)
    fractions = fraction_changes(one, other, now.names, unit) if same_cameras else None
    found.sites.update(_site_figures(found, (of_sites if same_cameras else None, fractions)))
    return found


def _site_figures(found: FleetFigures, changes: tuple[Changes | None, Changes | None]) -> dict[str, Headline]:
    now, before = found.now, found.before
    totals = by_site_sums(now.sites(), now.frame, now.span, now.device_counts())
    formers = totals.iloc[:0]
    if found.same_sites:
        formers = by_site_sums(before.sites(), before.frame, before.span, before.device_counts())
    at = {site: number for number, site in enumerate(now.names.sites)}
    names = [str(name) for name in totals.index]
    shares = _label_shares(found, names, 0)
    rows, former_rows = _rows(totals), _rows(formers)
    nothing = dict.fromkeys(totals.columns, NAN)
    result = {}
    for name, share in zip(names, shares, strict=True):
        total, former = rows[name], former_rows.get(name, nothing)
        pair = UNKNOWN_CHANGE, UNKNOWN_CHANGE
        if found.same_sites and is_comparable(total, former):
            pair = _change(changes[0], at[name]), _change(changes[1], at[name])
        result[name] = figures(total, former, share, pair, found.label)
    return result


def _rows(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the rows by name. Rows of pandas take far longer."""
    values = table.to_numpy(np.float64).tolist()
    columns = [str(name) for name in table.columns]
    return {str(name): dict(zip(columns, row, strict=True)) for name, row in zip(table.index, values, strict=True)}


def _label_shares(found: FleetFigures, names: Sequence[str], draws: int) -> list[Figure]:
    now, before = found.now.sites(), found.before.sites()
    sides = (before if found.same_sites else now.iloc[:0], now)
    matrices = {**found.before.matrices, **found.now.matrices}
    shares = label_shares(sides, names, found.label, matrices, fixed_rng(), draws)
    return [_share(shares, at) for at in range(len(names))]


def _share(shares: LabelShares, at: int) -> Figure:
    one, other = float(shares.one[at]), float(shares.other[at])
    difference, error = other - one, float(shares.error[at])
    trend: Trend = "random"
    if np.isnan(difference):
        trend = "unknown"
    elif abs(difference) > CLEAR_Z * error:
        trend = "more" if difference > 0 else "less"
    return Figure(other, one, difference, trend, float(shares.low[at]), float(shares.high[at]))


def _change(changes: Changes | None, at: int) -> Change:
    if changes is None:
        return UNKNOWN_CHANGE
    return Change(float(changes.value[at]), float(changes.low[at]), float(changes.high[at]))
