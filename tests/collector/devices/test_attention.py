"""Whatever needs a person is found in the last messages and windows of the devices."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from collector.devices.attention import TITLES, LastWindow, concerns
from collector.devices.device import Device
from collector.language.language import english
from tests.support.messages import MESSAGES

NOW = datetime(2026, 3, 28, 12, tzinfo=timezone.utc)
WELL = replace(MESSAGES["health-1"], time=NOW, oldest_unsent=None, spool_depth=0, temperature_c=55.0)


def device(state: str = "online", seen: datetime = NOW, **health: Any) -> Device:
    report = replace(WELL, schema=4, **health)
    return Device(site="shop", device="door", state=state, seen=seen, health=report)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "kind", "detail"),
    [
        (device("offline", NOW - timedelta(hours=3)), "offline", "no message for 3 h"),
        (device(seen=NOW - timedelta(minutes=9)), "silent", "no message for 9 min"),
        (device("unknown"), "unknown", ""),
        (device(temperature_c=83.2), "hot", "83 °C"),
        (device(spool_dropped=1200), "disk", "1,200 windows"),
        (device(spool_depth=90, oldest_unsent=NOW - timedelta(hours=5)), "unsent", "90 windows, for 5 h"),
        (device(clock="unsynced"), "clock", ""),
        (device(shared_with="f" * 16), "twins", ""),
        (device(update_failed="2026.11.3: not ready"), "update", "2026.11.3: not ready"),
        (device(certificate_ends=NOW + timedelta(days=9)), "certificate", "6 April 2026"),
    ],
)
def test_each_concern_is_found(one: Device, kind: str, detail: str) -> None:
    (found,) = concerns([one], {}, NOW)
    assert (found.kind, found.site, found.device, found.detail) == (kind, "shop", "door", detail)


@pytest.mark.parametrize(
    ("reason", "kind"), [("moved", "moved"), ("covered", "blind"), ("hot", "hot"), ("truncated", None)]
)
def test_the_last_window_tells_what_the_camera_sees(reason: str, kind: str | None) -> None:
    """A reason of the last window counts while it is recent."""
    last = {("shop", "door"): LastWindow(NOW - timedelta(minutes=10), (reason,))}
    assert [each.kind for each in concerns([device()], last, NOW)] == ([kind] if kind else [])
    assert concerns([device()], last, NOW + timedelta(hours=3))[0].kind == "silent"


def test_a_healthy_fleet_needs_nobody() -> None:
    assert concerns([device()], {("shop", "door"): LastWindow(NOW, ())}, NOW) == []
    two = concerns([device("offline"), device()], {}, NOW, twins={("shop", "door")}, conflicting={("shop", "door")})
    kinds = [each.kind for each in two]
    assert kinds == sorted(kinds, key=list(TITLES).index), "the most urgent first"
    assert {*kinds} == {"offline", "twins", "model"}


def test_durations() -> None:
    lengths = (timedelta(0), timedelta(minutes=90), timedelta(hours=3), timedelta(days=4))
    assert [english().duration(each) for each in lengths] == ["1 min", "90 min", "3 h", "4 d"]
