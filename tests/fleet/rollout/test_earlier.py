"""Traffic of earlier weeks, from the collector's real API."""

from datetime import datetime, timedelta, timezone

import pytest

from fleet.errors import ToolFailed
from fleet.rollout.earlier import EarlierWeeks
from fleet.settings import CollectorSettings
from tests.support.brokers import free_port
from tests.support.browser import served
from tests.support.store import START, put, window

NOW = datetime(2026, 4, 5, 1, 0, tzinfo=timezone.utc)


def test_the_same_hours_a_week_before_are_read_once(tmp_path):
    """Visits, `unknown` and covered seconds per device; devices without windows are left out."""
    put(tmp_path / "store", *(window(minute) for minute in range(1, 61)))
    port = free_port()
    with served(tmp_path / "store", port, "UTC", lambda: NOW + timedelta(hours=1)):
        weeks = EarlierWeeks(CollectorSettings(url=f"http://127.0.0.1:{port}/"))
        start = START + timedelta(days=7, minutes=1)
        times = start + timedelta(minutes=5), start + timedelta(minutes=50)
        found = weeks.traffic(["shop-1/door", "shop-1/none"], *times)
    (identity,) = found
    traffic = found[identity]
    assert identity == "shop-1/door"
    assert (traffic.visits, traffic.unknown, traffic.length_s) == (180, 0, 3600.0)
    assert traffic.covered_s == pytest.approx(0.983 * 3600)
    again = weeks.traffic(["shop-1/door"], start + timedelta(minutes=5), start + timedelta(minutes=55))
    assert again == found  # the collector is gone: the answer was kept


def test_a_collector_that_does_not_answer_is_an_error(tmp_path):
    """The text names the address."""
    weeks = EarlierWeeks(CollectorSettings(url="http://127.0.0.1:1"))
    with pytest.raises(ToolFailed, match=r"collector http://127\.0\.0\.1:1/api/v1/counts: "):
        weeks.traffic(["shop-1/door"], NOW, NOW)
