"""Changes are told once, and neither blips nor values near a bound are told."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from collector.alert_settings import Alerts, Threshold, Webhook
from collector.alerts.changes import Held, step
from collector.alerts.conditions import Condition, of_hours
from contract.hour import Hour

NOW = datetime(2026, 3, 28, 12, tzinfo=timezone.utc)
HOLD = timedelta(minutes=10)
OFFLINE = Condition("shop-1", "door", "offline", "Offline")


def told(minutes: list[bool]) -> list[tuple[int, str]]:
    """Return minute and state of each change, for a condition that holds in these minutes."""
    held: dict[str, Held] = {}
    found = []
    for minute, holds in enumerate(minutes):
        present = {OFFLINE.key: OFFLINE} if holds else {}
        held, changes = step(held, present, NOW + timedelta(minutes=minute), HOLD)
        found += [(minute, change.state) for change in changes]
    return found


def test_a_change_is_told_once_after_it_has_held() -> None:
    assert told([True] * 30 + [False] * 30) == [(10, "needs_person"), (40, "recovered")]


def test_a_device_that_comes_and_goes_is_not_told() -> None:
    """Nine minutes away, one minute back, for hours; and blips of a device that is known to be away."""
    assert told(([True] * 9 + [False]) * 30) == []
    assert told([True] * 11 + ([False] * 9 + [True]) * 30) == [(10, "needs_person")]


def test_a_clock_that_is_set_back_delays_a_change_and_loses_none() -> None:
    held, _ = step({}, {OFFLINE.key: OFFLINE}, NOW, HOLD)
    held, changes = step(held, {OFFLINE.key: OFFLINE}, NOW - timedelta(days=1), HOLD)
    assert changes == []
    _, changes = step(held, {OFFLINE.key: OFFLINE}, NOW - timedelta(days=1) + HOLD, HOLD)
    assert [change.state for change in changes] == ["needs_person"]


def hour(unknown: int, happiness: int = 80, coverage: float = 1.0, site: str = "shop-1") -> Hour:
    visits = {"happiness": float(happiness), "unknown": float(unknown)}
    return Hour(
        schema=1, site=site, device="door", start=NOW, end=NOW + timedelta(hours=1), windows=60, coverage=coverage,
        visits=visits, doubtful_low=0.0, doubtful_high=0.0,
    )  # fmt: skip


def runs(of: list[Hour], **threshold: Any) -> list[int]:
    """Return the number of consecutive hours beyond a threshold, after each hour."""
    settings = Alerts(thresholds=(Threshold(name="t", **threshold),))
    known: dict[str, int] = {}
    found = []
    for each in of:
        known |= {key: number for key, (number, _) in of_hours([each], settings, known).items()}
        found.append(known.get("shop-1/door/threshold:t", 0))
    return found


def test_a_share_must_be_beyond_its_bound_for_hours_and_come_back_by_the_margin() -> None:
    """Shares are 50, 50, 38, 50, 30 %. An hour with few visits changes nothing."""
    hours = [hour(80), hour(3, 1), hour(80), hour(49), hour(80), hour(34)]
    found = runs(hours, figure="share", label="unknown", above=0.4, margin=0.05, hours=2)
    assert found == [1, 1, 2, 3, 4, 0]


def test_visits_and_coverage_have_bounds_too() -> None:
    """An hour that nobody watched says nothing about visits."""
    assert runs([hour(0, 2), hour(0, 0, coverage=0.0), hour(0, 50)], figure="visits", below=5) == [1, 1, 0]
    assert runs([hour(0, coverage=0.4)], figure="coverage", below=0.5) == [1]
    assert runs([hour(0, 2)], figure="visits", below=5, sites=("shop-2",)) == [0]


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        (Threshold, {"name": "t", "figure": "visits"}, "exactly one"),
        (Threshold, {"name": "t", "figure": "share", "above": 0.5}, "label"),
        (Threshold, {"name": "t", "figure": "visits", "label": "joy", "above": 5}, "label"),
        (Webhook, {"url": "http://chat.example/", "secret_file": "s"}, "https"),
        (Webhook, {"url": "https://user:word@chat.example/", "secret_file": "s"}, "password"),
        (Webhook, {"url": "ftp://chat.example/", "secret_file": "s"}, "https"),
    ],
)
def test_settings_that_cannot_work_are_refused(kind: Any, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**keys)
