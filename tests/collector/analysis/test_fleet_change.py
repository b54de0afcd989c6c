"""The changes of a fleet, compared from arrays, are those that `collector.analysis.change` finds in the cells."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from collector.analysis.change import Change, fraction_change, rate_change, strata
from collector.analysis.fleet_change import Changes, Strata, fraction_changes, rate_changes
from collector.analysis.fleet_period import FleetPeriod, fleet_period, midnights
from collector.analysis.headline import stratum_edges, unit_buckets
from collector.analysis.intervals import Span, with_known_time
from collector.rollups.fleet import Range, sums_of
from collector.rollups.fleet_senders import SenderNames
from collector.rollups.groups import Groups
from contract.labels import UNKNOWN

ZONE = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 1, tzinfo=timezone.utc)
SITES = ("south", "north", "west")


def cells(rng: np.random.Generator, span: Span, devices: int) -> pd.DataFrame:
    """Random hourly cells of some devices, of which each is away for some hours or days; some clocks were never set."""
    hours = int((span[1] - span[0]) / timedelta(hours=1))
    away = rng.random((devices, hours)) < 0.2
    for device in range(devices):
        away[device, rng.integers(hours) :][: rng.integers(hours // 2)] = True
    device, hour = np.nonzero(~away)
    start = pd.DatetimeIndex([span[0] + timedelta(hours=int(at)) for at in hour])
    visits = rng.poisson(rng.uniform(0, 9, devices)[device])
    unknown = rng.binomial(visits, 0.2)
    columns = {
        "site": np.array(SITES)[device % len(SITES)], "device": [f"door-{at}" for at in device],
        "model_expression": "seven@1", "clock": rng.choice(["synced", "unsynced"], len(device), p=[0.9, 0.1]),
        "begin": start, "start": start, "end": start + timedelta(hours=1), "windows": 60, "seconds": 3600.0,
        "coverage": rng.choice([0.0, 0.33, 1.0], len(device)), "degraded": 0.0, "doubtful_low": 0.0,
        "doubtful_high": 0.0, "happiness": (visits - unknown) / 3, UNKNOWN: unknown / 3,
    }  # fmt: skip
    return pd.DataFrame(columns).drop_duplicates(["device", "start", "clock"])


def period(frame: pd.DataFrame, span: Span, names: SenderNames, *, hourly: bool) -> FleetPeriod:
    """Sums of cells."""
    groups = Groups({})
    asked = Range(*span, None if hourly else midnights(ZONE, span))
    return fleet_period((sums_of(frame, asked, groups, names), names), span, {}, {}, None)[0]


def assert_equal(found: Changes, at: int, expected: Change) -> None:
    """Compare one change with its interval."""
    values = [float(each[at]) for each in (found.value, found.low, found.high)]
    assert values == pytest.approx([expected.value, expected.low, expected.high], rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("days", [2, 9, 80])
def test_changes_of_a_fleet_are_those_of_its_cells(days: int) -> None:
    """By hour, by hour in units of days, and by day; with devices that only one of the periods has."""
    rng, names = np.random.default_rng(days), SenderNames()
    now = (START + timedelta(days=days), START + timedelta(days=2 * days))
    before = (START, START + timedelta(days=days))
    frames = cells(rng, before, 7), cells(rng, now, 9)
    unit = unit_buckets(now)
    one, other = (
        strata(with_known_time(frame), stratum_edges(span, now, ZONE))
        for frame, span in zip(frames, (before, now), strict=True)
    )
    hourly = days < 80
    periods = [period(frame, span, names, hourly=hourly) for frame, span in zip(frames, (before, now), strict=True)]
    first, second = (each.strata(stratum_edges(each.span, now, ZONE)) for each in periods)
    for _ in range(2):  # the second time from what was kept
        everything, of_sites = rate_changes(first, second, names, unit)
        assert_equal(everything, 0, rate_change(one, other, unit))
        fractions = fraction_changes(first, second, names, unit)
        for at, site in enumerate(names.sites):
            pair = [each[each.index.get_level_values("site") == site] for each in (one, other)]
            assert_equal(of_sites, at, rate_change(pair[0], pair[1], unit))
            assert_equal(fractions, at, fraction_change(pair[0], pair[1], UNKNOWN, unit))
    assert not np.isnan(everything.value[0])


def test_a_day_that_has_changed_is_compared_again() -> None:
    """Also if a new device of a known site appears, which moves the columns of others."""
    rng, names = np.random.default_rng(1), SenderNames()
    now, before = (START + timedelta(days=9), START + timedelta(days=18)), (START, START + timedelta(days=9))
    frames = [cells(rng, before, 5), cells(rng, now, 5)]

    def found() -> list[Strata]:
        return [
            period(frame, span, names, hourly=True).strata(stratum_edges(span, now, ZONE))
            for frame, span in zip(frames, (before, now), strict=True)
        ]

    for devices in (5, 5, 12):
        frames[1] = cells(rng, now, devices)
        frames[0] = frames[0] if devices == 5 else cells(rng, before, devices)
        one, other = (
            strata(with_known_time(frame), stratum_edges(span, now, ZONE))
            for frame, span in zip(frames, (before, now), strict=True)
        )
        everything, _ = rate_changes(*found(), names, 24)
        assert_equal(everything, 0, rate_change(one, other, 24))
