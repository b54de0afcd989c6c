"""The hours that are published are those that `summary --by hour` prints."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from collector.__main__ import main
from collector.publish.full_hours import HOUR, hour_before
from collector.publish.last_hours import last_hours
from contract.hour import decode_hour
from tests.support.store import put, window

NINE = datetime(2026, 3, 28, 9, tzinfo=timezone.utc)
LABELS = ("happiness", "neutral", "unknown")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An hour of shop-1 with a window across its end, and a window of shop-2 without visits."""
    visits = dict(zip(LABELS, (3, 2, 1), strict=True))
    put(
        tmp_path,
        window(1, visits, NINE - timedelta(minutes=1)),
        window(2, visits, NINE, schema=2, doubtful_low=2),
        window(3, visits, NINE + timedelta(minutes=50), end=NINE + timedelta(minutes=70), merged=20),
        window(4, visits, NINE + timedelta(minutes=20), clock="unsynced"),
        window(5, dict.fromkeys(LABELS, 0), NINE, site="shop-2"),
        window(6, visits, NINE - 3 * HOUR, site="shop-3"),
    )
    return tmp_path


def test_an_hour_is_the_sum_of_its_windows(store: Path) -> None:
    """A window in two hours is divided by time; zero visits are an hour; without a window there is none."""
    one, two = last_hours(store, NINE)
    assert (one.site, one.start, one.end, one.windows) == ("shop-1", NINE, NINE + HOUR, 2)
    assert one.visits == {"happiness": 4.5, "neutral": 3.0, "unknown": 1.5}
    assert one.coverage == pytest.approx(0.983 * 11 / 60, abs=1e-4)
    assert (one.doubtful_low, one.doubtful_high) == (2, 0)
    assert (two.site, two.visits) == ("shop-2", dict.fromkeys(LABELS, 0))
    assert last_hours(store, NINE + 5 * HOUR) == []


def test_the_command_prints_what_summary_prints(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All numbers of an hour are those of `summary`."""
    assert main(["hours", "--root", str(store), "--start", "2026-03-28T09:00:00Z"]) == 0
    hours = [decode_hour(text.encode()) for text in capsys.readouterr().out.splitlines()]
    assert hours == last_hours(store, NINE)
    span = ["--since", "2026-03-28T09:00:00Z", "--until", "2026-03-28T10:00:00Z"]
    assert main(["summary", "--root", str(store), "--by", "hour,site", "--json", *span]) == 0
    rows = json.loads(capsys.readouterr().out)
    printed = {row["site"]: row for row in rows if row["hour"].startswith("2026-03-28T09")}
    assert len(rows) > len(printed) == len(hours)
    for hour in hours:
        row = printed[hour.site]
        assert {label: row[label] for label in LABELS} == hour.visits
        assert (row["windows"], round(row["coverage"], 4)) == (hour.windows, hour.coverage)


@pytest.mark.parametrize("start", ["nine", "2026-03-28T09:30:00Z", "2026-03-28T09:00:00"])
def test_another_start_is_refused(tmp_path: Path, start: str) -> None:
    assert main(["hours", "--root", str(tmp_path), "--start", start]) == 2


def test_the_last_full_hour_ends_before_now() -> None:
    assert hour_before(NINE) == NINE - HOUR
    assert hour_before(NINE + timedelta(minutes=59)) == NINE - HOUR
    assert hour_before(datetime(2026, 3, 28, 9, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))) == NINE - 6 * HOUR
