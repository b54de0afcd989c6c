"""A change is called clear only if random variation alone would rarely show it, and never because a camera was off."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from collector.analysis.change import fraction_change, rate_change, strata, t_quantile
from collector.analysis.intervals import bucket_edges

UTC = ZoneInfo("UTC")
START = datetime(2026, 3, 2, tzinfo=timezone.utc)
WEEK = (START, START + timedelta(days=7))


def week(visits: "np.ndarray", coverage: "np.ndarray | float" = 1.0, unknown: float = 0.1) -> pd.DataFrame:
    """Strata of a week of hourly windows of some devices; ``visits`` is (devices, 168)."""
    devices, hours = visits.shape
    start = np.tile(
        np.datetime64(START.replace(tzinfo=None), "us") + np.arange(hours) * np.timedelta64(1, "h"), devices
    )
    flat = visits.reshape(-1).astype(float)
    of_unknown = np.round(flat * unknown)
    frame = pd.DataFrame(
        {
            "site": "shop", "device": np.repeat([f"d{n}" for n in range(devices)], hours),
            "start": pd.DatetimeIndex(start, tz="UTC"),
            "end": pd.DatetimeIndex(start + np.timedelta64(1, "h"), tz="UTC"),
            "clock": "synced", "coverage": np.broadcast_to(coverage, visits.shape).reshape(-1), "degraded": "",
            "model_expression": "seven@1", "happiness": flat - of_unknown, "unknown": of_unknown,
        }
    )  # fmt: skip
    return strata(frame, bucket_edges(frame.iloc[:0], 3600, UTC, WEEK))


def shop(rng: np.random.Generator, level: float = 1.0, day_spread: float = 0.15) -> "np.ndarray":
    """Visits of three devices in a week; every day has its own weather."""
    weather = np.repeat(rng.lognormal(0, day_spread, 7), 24)
    hourly = np.tile(np.where((np.arange(24) >= 9) & (np.arange(24) < 20), 12.0, 0.0), 7)
    return rng.poisson(level * hourly * weather, (3, 168))


def test_equal_weeks_are_rarely_called_different() -> None:
    """Of 120 pairs of weeks of one shop, whose days vary by 15 %, at most 5 % are called clearly different. Half as
    many visits again mostly are.
    """
    rng = np.random.default_rng(1)
    same = [rate_change(week(shop(rng)), week(shop(rng)), 24).clear for _ in range(120)]
    assert np.mean(same) <= 0.05
    more = [rate_change(week(shop(rng)), week(shop(rng, level=1.5)), 24) for _ in range(40)]
    assert np.mean([each.clear for each in more]) > 0.7
    assert np.mean([each.value for each in more]) == pytest.approx(0.5, abs=0.08)


def test_a_camera_that_was_off_is_no_change() -> None:
    """One of three cameras is off for two days. A fifth of the visits is missing, and the rate has not changed."""
    rng = np.random.default_rng(2)
    on = np.ones((3, 168))
    on[0, 24:72] = 0
    before, now = shop(rng, day_spread=0.0), shop(rng, day_spread=0.0)
    change = rate_change(week(before), week(now * on, on), 24)
    assert change.value == pytest.approx(0, abs=0.08)
    assert not change.clear
    counted = (now * on).sum() / before.sum() - 1
    assert counted < -0.05


def test_a_fraction_changes_clearly_or_not() -> None:
    rng = np.random.default_rng(3)
    one, two = week(shop(rng)), week(shop(rng), unknown=0.3)
    change = fraction_change(one, two, "unknown", 24)
    assert change.clear
    assert change.low < change.value < change.high
    assert not fraction_change(one, week(shop(rng)), "unknown", 24).clear
    assert np.isnan(fraction_change(one, two, "absent", 24).value)


def test_too_few_days_say_nothing() -> None:
    """Two days as units are too few; an empty period has no change."""
    frame = week(np.full((1, 48), 5))
    assert np.isnan(rate_change(frame, frame, 24).value)
    assert np.isnan(rate_change(frame.iloc[:0], frame, 24).value)


@pytest.mark.parametrize("degrees", [4, 6, 13, 60])
def test_quantiles_are_those_of_student(degrees: int) -> None:
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.995, degrees), rel=0.01)
