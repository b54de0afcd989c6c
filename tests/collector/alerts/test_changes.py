"""Changes are told once, and neither blips nor values near a bound are told."""

from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from collector.alert_settings import Alerts, Threshold, Webhook
from collector.alerts.changes import Held, step
from collector.alerts.conditions import Subject, Text, Wording, of_devices, of_hours
from collector.devices.device import Device
from collector.language.language import english, language
from collector.mail.settings import Recipient
from collector.settings import Settings
from contract.health import Health
from contract.hour import Hour
from tests.support.messages import MESSAGES

NOW = datetime(2026, 3, 28, 12, tzinfo=timezone.utc)
HOLD = timedelta(minutes=10)
OFFLINE = Subject(site="shop-1", device="door", kind="offline")
TEXTS = {"en": Text(title="Offline", detail="")}
WORDING = Wording([english(), language("de")], ZoneInfo("Europe/Berlin"))
FIGURE = Subject(site="shop-1", device="door", kind="threshold", threshold="t")


def told(minutes: list[bool]) -> list[tuple[int, str]]:
    """Return minute and state of each change, for a condition that holds in these minutes."""
    held: dict[Subject, Held] = {}
    found: list[tuple[int, str]] = []
    for minute, holds in enumerate(minutes):
        present = {OFFLINE: TEXTS} if holds else {}
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
    held, _ = step({}, {OFFLINE: TEXTS}, NOW, HOLD)
    held, changes = step(held, {OFFLINE: TEXTS}, NOW - timedelta(days=1), HOLD)
    assert changes == []
    _, changes = step(held, {OFFLINE: TEXTS}, NOW - timedelta(days=1) + HOLD, HOLD)
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
    known: dict[Subject, int] = {}
    found = []
    for each in of:
        known |= {key: number for key, (number, _) in of_hours([each], settings, known, WORDING).items()}
        found.append(known.get(FIGURE, 0))
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


def test_a_figure_is_written_as_its_reader_does() -> None:
    """Bound and value keep a decimal, so that 40.4 % and its bound of 40 % do not look alike; hours are local."""
    share = Threshold(name="t", figure="share", label="unknown", above=0.4)
    ((_, texts),) = of_hours([hour(68, 100)], Alerts(thresholds=(share,)), {}, WORDING).values()
    assert texts["en"].title == "Share of unknown above 40.0 %"
    assert texts["en"].detail == "40.5 % in the hour from 28 March 2026 13:00 (Europe/Berlin)"
    assert texts["de"].title.replace("\N{NO-BREAK SPACE}", " ") == "Anteil unbekannt über 40,0 %"
    few = Alerts(thresholds=(Threshold(name="t", figure="visits", below=5),))
    ((_, texts),) = of_hours([hour(0, 4)], few, {}, WORDING).values()
    assert texts["de"].title == "Besuche in einer Stunde unter 5,0"


def test_a_device_cannot_add_lines_to_a_message() -> None:
    health = MESSAGES["health-4"]
    assert isinstance(health, Health)
    health = replace(health, update_failed="no space\n\n* shop-2/door: Offline")
    found = of_devices((Device(site="shop-1", device="door", health=health),), Alerts(), NOW, WORDING)
    text = found[Subject(site="shop-1", device="door", kind="update")]["de"]
    assert text == Text(title="Update fehlgeschlagen", detail="no space * shop-2/door: Offline")


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        (Threshold, {"name": "t", "figure": "visits"}, "exactly one"),
        (Threshold, {"name": "t", "figure": "share", "above": 0.5}, "label"),
        (Threshold, {"name": "t", "figure": "visits", "label": "joy", "above": 5}, "label"),
        (Webhook, {"url": "http://chat.example/", "secret_file": "s"}, "https"),
        (Webhook, {"url": "https://user:word@chat.example/", "secret_file": "s"}, "password"),
        (Webhook, {"url": "ftp://chat.example/", "secret_file": "s"}, "https"),
        (Alerts, {"recipients": (Recipient(address="a@b.example"),) * 2}, "addresses must be unique"),
        (Settings, {"alerts": Alerts(recipients=(Recipient(address="a@b.example"),))}, r"mail\.sender: must be"),
    ],
)
def test_settings_that_cannot_work_are_refused(kind: Any, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**keys)
