"""Summaries by several dimensions hold the same visits as the simple ones."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from collector.analysis.breakdown import break_down, check_dimensions
from collector.analysis.intervals import prorated
from collector.analysis.summarise import by_time, by_total
from collector.rollups.cells import cells
from collector.store.load import load
from tests.support.store import SEVEN, START, put, window

BERLIN = ZoneInfo("Europe/Berlin")
SPAN = (START, START + timedelta(days=10))


@pytest.fixture
def frame(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Ten days of two shops in windows of six hours; the second shop has two devices."""
    for site, device in (("shop-1", "door"), ("shop-2", "door"), ("shop-2", "till")):
        windows = (
            window(n, dict.fromkeys(SEVEN, 0) | {"happiness": n % 5 + (device == "till")}, site=site, device=device,
                   start=START + timedelta(hours=6 * n), end=START + timedelta(hours=6 * n + 6))
            for n in range(40)
        )  # fmt: skip
        put(tmp_path, *windows)
    return load(tmp_path)


@pytest.mark.parametrize("by", [("day", "site"), ("site", "week"), ("device", "month"), ("hour", "device")])
def test_a_pair_is_the_single_summary_of_each_part(frame, by) -> None:  # type: ignore[no-untyped-def]
    """Rows of one site or device are those of `by_time` of its windows; windows and cells give the same."""
    table = break_down(frame, by, BERLIN, SPAN)
    for shop in ("shop-1", "shop-2"):
        part = table.xs(shop, level="site")
        own = frame[frame["site"] == shop]
        if "device" in by:
            part, own = part.xs("door", level="device"), own[own["device"] == "door"]
        time = next(name for name in by if name not in ("site", "device"))
        steps = {"day": None, "hour": 3600, "week": "week", "month": "month"}
        alone = by_time(own, steps[time], BERLIN, SPAN)
        assert list(part.index) == list(alone.index)
        assert part["visits"].tolist() == pytest.approx(alone["visits"].tolist(), nan_ok=True)
        assert part["coverage"].tolist() == pytest.approx(alone["coverage"].tolist(), nan_ok=True)
    again = break_down(cells(frame), by, BERLIN, SPAN)
    assert again["visits"].tolist() == pytest.approx(table["visits"].tolist(), nan_ok=True)


def test_weekdays_by_hours_hold_all_visits(frame) -> None:  # type: ignore[no-untyped-def]
    table = break_down(frame, ["weekday", "hour"], BERLIN, SPAN)
    assert len(table) == 7 * 24
    assert table.index[0] == ("Monday", 0) and table.index[-1] == ("Sunday", 23)
    assert table["visits"].sum() == pytest.approx(by_total(frame)["visits"].iloc[0])


def test_a_total_counts_devices_of_equal_names_apart(frame) -> None:  # type: ignore[no-untyped-def]
    """Two shops have a device called door: coverage is over three devices. An empty table has one row without data."""
    assert by_total(frame, SPAN)["coverage"].iloc[0] == pytest.approx(0.983)
    empty = by_total(frame.iloc[:0], SPAN)
    assert (empty["windows"].iloc[0], empty["visits"].isna().iloc[0]) == (0, True)


@pytest.mark.parametrize("by", [("day", "week"), ("total", "site"), ("day", "day"), ("weekday", "month")])
def test_dimensions_that_do_not_fit_are_refused(by: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="by: "):
        check_dimensions(by)


def test_the_last_cell_counts_in_proportion(frame) -> None:  # type: ignore[no-untyped-def]
    """A period that ends at 17:40 has forty sixtieths of the hour from 17:00."""
    table = cells(frame)
    until = START + timedelta(hours=17, minutes=41)
    hour = table[(table["start"] < until) & (table["end"] > until)]
    part = prorated(table, (START, until)).loc[hour.index]
    assert part["happiness"].tolist() == pytest.approx((hour["happiness"] * 40 / 60).tolist())
    assert part["seconds"].tolist() == pytest.approx((hour["seconds"] * 40 / 60).tolist())
