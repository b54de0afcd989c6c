"""Buckets by time, site and device: sums are preserved, days are as long as the zone says, zero is not a gap."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from collector.analysis.summarise import (
    FIGURES,
    by_device,
    by_site,
    by_time,
    by_weekday,
    gaps,
    label_columns,
    step_for,
    step_name,
    summarise,
)
from collector.exports.chart import draw
from collector.store.columns import FIXED_COLUMNS

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


def table(*windows: tuple[object, ...]) -> pd.DataFrame:
    """Windows of (start in UTC, minutes, happiness, unknown), optionally coverage, degraded, site, device, clock."""
    usual = (None, None, None, None, 1.0, "", "shop-1", "door", "synced")
    rows = []
    for number, window in enumerate(windows):
        start, minutes, happy, unknown, coverage, degraded, site, device, clock = (*window, *usual[len(window) :])
        begin = pd.Timestamp(str(start), tz="UTC")
        end = begin + pd.Timedelta(minutes=float(str(minutes)))
        rows.append(
            (1, site, device, "0" * 16, number, begin, end, clock, coverage, degraded, 1, 1, "d", "e", happy, unknown)
        )
    frame = pd.DataFrame(rows, columns=[*FIXED_COLUMNS, "happiness", "unknown"])
    return frame.astype({"happiness": "float64", "unknown": "float64"})


def by(frame: pd.DataFrame, name: str) -> list[float | None]:
    return [None if pd.isna(value) else round(float(value), 6) for value in frame[name]]


def test_zero_gap_and_degraded_are_kept_apart() -> None:
    """09:00 is watched without visits, 10:00 has no data, 11:00 is half watched and degraded."""
    hours = summarise(
        table(("2026-03-02 09:00", 60, 0, 0), ("2026-03-02 11:00", 60, 2, 1, 0.5, "black")), "hour", UTC
    )  # fmt: skip
    assert list(hours.columns) == ["happiness", "unknown", *FIGURES]
    assert by(hours, "visits") == [0, None, 3]
    assert by(hours, "happiness") == [0, None, 2]
    assert by(hours, "windows") == [1, 0, 1]
    assert by(hours, "coverage") == [1, 0, 0.5]
    assert by(hours, "degraded") == [0, None, 1]


def test_a_window_over_an_edge_adds_to_both_sides_and_sums_are_kept() -> None:
    """A window 20 minutes before the hour and 40 after it adds a third and two thirds of its visits."""
    hours = summarise(table(("2026-03-02 09:40", 60, 6, 3)), "hour", UTC)
    assert by(hours, "happiness") == [2, 4]
    assert by(hours, "unknown") == [1, 2]
    assert by(hours, "coverage") == [0.333333, 0.666667]
    days = summarise(table(("2026-03-02 23:00", 48 * 60, 48, 0)), "day", UTC)
    assert by(days, "visits") == [1, 24, 23]


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-10-25", "Europe/Berlin", 25),
        ("2026-06-01", "Europe/Berlin", 24),
        ("2026-10-25", "UTC", 24),
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
        ("2026-10-04", "Australia/Lord_Howe", 23.5),
        ("2026-04-24", "Africa/Cairo", 23),
        ("2026-06-01", "Asia/Kolkata", 24),
    ],
)
def test_days_are_as_long_as_the_zone_says(day: str, zone: str, hours: float) -> None:
    """A device that watched a whole local day has coverage 1 by day, by hour and by weekday."""
    name = ZoneInfo(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=name)
    noon = start.replace(hour=12)
    end = (start + timedelta(days=1)).replace(tzinfo=name)
    begin = start.astimezone(timezone.utc)
    minutes = (end.astimezone(timezone.utc) - begin).total_seconds() / 60
    if zone == "Africa/Cairo":  # midnight itself does not exist: the day begins at 1:00
        minutes = hours * 60
    assert minutes == hours * 60
    frame = table((begin.replace(tzinfo=None), minutes, minutes, 0))
    days = summarise(frame, "day", name)
    assert by(days, "seconds") == [hours * 3600]
    assert by(days, "coverage") == [1]
    by_hour = summarise(frame, "hour", name)
    assert len(by_hour) == -(-hours // 1)
    assert by_hour["seconds"].sum() == hours * 3600
    assert by_hour["visits"].sum() == pytest.approx(minutes)
    assert set(by(by_hour, "coverage")) == {1}
    week = summarise(frame, "weekday", name)
    assert by(week, "coverage")[noon.weekday()] == 1
    assert week["seconds"].sum() == hours * 3600


def test_an_hour_that_occurs_twice_is_two_buckets() -> None:
    """02:00 on 25 October in Berlin occurs at +02:00 and at +01:00; the hour skipped in March has no bucket."""
    autumn = summarise(table(("2026-10-25 00:00", 60, 5, 0), ("2026-10-25 01:00", 60, 7, 0)), "hour", BERLIN)
    assert [stamp.isoformat() for stamp in autumn.index] == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]
    assert by(autumn, "visits") == [5, 7]
    spring = summarise(table(("2026-03-29 00:00", 120, 2, 0)), "hour", BERLIN)
    assert [stamp.hour for stamp in spring.index] == [1, 3]


def test_a_span_shows_gaps_at_both_ends() -> None:
    """Every bucket that the span touches has a row, also when the table is empty."""
    span = (datetime(2026, 3, 2, tzinfo=timezone.utc), datetime(2026, 3, 4, tzinfo=timezone.utc))
    days = by_time(table(("2026-03-03 09:00", 60, 1, 0)), None, UTC, span)
    assert by(days, "visits") == [None, 1]
    empty = by_time(table().reset_index(drop=True), None, UTC, span)
    assert by(empty, "windows") == [0, 0]
    assert gaps(empty) == [(pd.Timestamp("2026-03-02", tz="UTC"), pd.Timestamp("2026-03-04", tz="UTC"))]
    assert by_time(table(), 3600, UTC).empty


def test_doubtful_visits_are_summed_as_visits_are() -> None:
    """Doubtful visits are divided by time, NaN in a gap, and 0 where no file has the columns."""
    frame = table(("2026-03-02 09:40", 60, 6, 3), ("2026-03-02 10:50", 5, 1, 0), ("2026-03-02 12:00", 60, 1, 0))
    doubtful = frame.assign(doubtful_low=[3, 1, 0], doubtful_high=[0, 2, 0])
    hours = summarise(doubtful, "hour", UTC)
    assert by(hours, "doubtful_low") == [1, 3, None, 0]
    assert by(hours, "doubtful_high") == [0, 2, None, 0]
    (day,) = summarise(doubtful, "day", UTC)[["visits", "doubtful_low", "doubtful_high"]].to_numpy().tolist()
    assert day == [11, 4, 2]
    assert by(summarise(frame, "site", UTC), "doubtful_high") == [0]


def test_coverage_is_of_all_devices_of_the_table() -> None:
    """Of two devices one watched half of the hour: coverage is three quarters."""
    frame = table(("2026-03-02 09:00", 60, 1, 0), ("2026-03-02 09:00", 30, 1, 0, 1.0, "", "shop-1", "till"))
    assert by(summarise(frame, "hour", UTC), "coverage") == [0.75]


def test_by_site_and_device() -> None:
    """Each row sums its windows; the bucket reaches from the first start to the last end, or covers the span."""
    frame = table(
        ("2026-03-02 09:00", 60, 1, 0, 1.0, "", "b", "x"),
        ("2026-03-02 10:00", 60, 2, 1, 0.5, "hot", "a", "x"),
        ("2026-03-02 10:00", 60, 4, 0, 1.0, "", "a", "y"),
    )
    site = by_site(frame)
    assert list(site.index) == ["a", "b"]
    assert by(site, "visits") == [7, 1]
    assert by(site, "coverage") == [0.375, 0.5]
    assert by(site, "degraded") == [0.5, 0]
    device = by_device(frame, (datetime(2026, 3, 2, tzinfo=timezone.utc), datetime(2026, 3, 3, tzinfo=timezone.utc)))
    assert list(device.index) == [("a", "x"), ("a", "y"), ("b", "x")]
    assert by(device, "coverage") == [round(0.5 / 24, 6), round(1 / 24, 6), round(1 / 24, 6)]


def test_by_weekday_adds_days_of_one_name() -> None:
    """Two Mondays, 2 and 9 March, are summed; the days between are gaps."""
    week = by_weekday(table(("2026-03-02 09:00", 60, 1, 0), ("2026-03-09 09:00", 60, 2, 0)), UTC)
    assert week.index[0] == "Monday"
    assert by(week, "visits") == [3, *[None] * 6]
    assert by(week, "coverage") == [round(2 / 48, 6), *[0] * 6]
    assert by(week, "seconds") == [2 * 86_400, *[86_400] * 6]


def test_windows_without_a_clock_have_no_place_in_time() -> None:
    """They count by site only, and do not create rows in 1970."""
    frame = table(("1970-01-01 00:10", 1, 9, 0, 1.0, "", "shop-1", "door", "unsynced"), ("2026-03-02 09:00", 60, 1, 0))
    assert by(summarise(frame, "hour", UTC), "visits") == [1]
    assert by(summarise(frame, "site", UTC), "visits") == [10]
    assert by(summarise(frame, "site", UTC), "seconds") == [3600]
    assert by(summarise(frame, "site", UTC), "coverage") == [1], "what was watched at an unknown time does not count"


def test_a_label_that_no_window_of_a_bucket_had_is_unknown_there() -> None:
    """The labels of a bundle that starts at 10:00 are NaN before, not 0."""
    frame = table(("2026-03-02 09:00", 60, 1, 0), ("2026-03-02 10:00", 60, 0, 2))
    frame["calm"] = [float("nan"), 4.0]
    hours = summarise(frame, "hour", UTC)
    assert label_columns(hours) == ["happiness", "calm", "unknown"]
    assert by(hours, "calm") == [None, 4]
    assert by(hours, "visits") == [1, 6]


def test_overlapping_windows_show_as_coverage_above_one() -> None:
    """Two windows of one device at the same time, as after its clock was set back, have coverage 2."""
    frame = table(("2026-03-02 09:00", 60, 1, 0), ("2026-03-02 09:00", 60, 1, 0))
    assert by(summarise(frame, "hour", UTC), "coverage") == [2]


@pytest.mark.parametrize(
    ("minutes", "length", "step_s", "name"),
    [(1, 1 / 60, 1, "second"), (60, 1, 60, "minute"), (600, 1, 900, "15 minutes"), (60 * 24 * 90, 1, None, "day")],
)
def test_a_chart_has_buckets_no_shorter_than_windows(
    minutes: int, length: float, step_s: int | None, name: str
) -> None:
    """There are at most 60 buckets, of a length that has a common name."""
    start = pd.Timestamp("2026-03-02")
    frame = table((start, length, 1, 0), (start + pd.Timedelta(minutes=minutes - length), length, 1, 0))
    assert step_for(frame) == step_s
    assert step_name(step_s) == name


def test_one_window_of_a_minute_has_buckets_of_a_minute() -> None:
    """The span given does not count as a window when the bucket length is chosen."""
    frame = table(("2026-03-02 09:44:30", 1, 1, 0))
    assert step_for(frame, (frame["start"][0], frame["start"][0] + pd.Timedelta(minutes=11))) == 60


@pytest.mark.parametrize("empty", [False, True])
def test_the_chart_is_a_png(tmp_path: Path, empty: bool) -> None:
    """The chart is a PNG of 1200 x 900 pixels, also without windows."""
    out = tmp_path / "chart.png"
    frame = table(("2026-03-29 00:00", 60, 1, 2), ("2026-03-29 04:00", 60, 0, 0))
    draw(frame.iloc[:0] if empty else frame, out, BERLIN)
    head = out.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (1200, 900)
