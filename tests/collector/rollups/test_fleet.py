"""Views of all sites come from sums, and show what the cells of all devices give."""

import math
import random
import shutil
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collector.analysis.fleet_headline import fleet_figures
from collector.analysis.receipt import fleet_receipt
from collector.page.controls.chosen import choose, choose_fleet, receipt_of
from collector.page.controls.selection import resolve
from collector.reading.reader import Reader
from collector.rollups import fleet_month
from collector.rollups.cells import HOUR_S, QUARTER_S
from collector.rollups.rollup import Rollups
from collector.store.compaction import compact
from tests.support.fleet_stores import DAYS, FIRST, NOW, SITES, YEAR, age_files, compare, register, windows
from tests.support.page_contents import assert_same, page_contents
from tests.support.store import SEVEN, put, window

ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe")


def controls_of(rng: random.Random) -> dict[str, Any]:
    """Draw what a reader selects."""
    chosen: dict[str, Any] = {
        "days": rng.choice(["1", "7", "30", "365", "lastmonth", "own"]),
        "zone": rng.choice(ZONES),
    }
    chosen |= {"by": rng.choice(["hour", "day"]), "against": rng.choice(["weekdays", "before", "site"])}
    if chosen["days"] == "own":
        chosen |= {"first": f"{FIRST + timedelta(days=rng.randrange(20)):%Y-%m-%d}", "last": "2026-04-01"}
    if chosen["against"] == "site":
        chosen["other"] = rng.choice(["", "north"])
    return chosen | {"sort": rng.choice(["visits-down", "share", "unknown-down", "site"])}


@pytest.mark.parametrize("seed", range(4))
def test_sums_of_a_random_store_are_those_of_its_cells(tmp_path: Path, seed: int) -> None:
    """Also after late windows, deleted and compacted days, and changed matrices; by readers that stay open."""
    rng = random.Random(seed)
    moment = [FIRST + timedelta(days=DAYS, hours=rng.randrange(24), minutes=rng.randrange(60))]
    put(tmp_path, *windows(rng, 400, FIRST, DAYS))
    age_files(tmp_path, FIRST)
    register(tmp_path, rng)
    kept = Reader(tmp_path, lambda: moment[0])
    changes = [
        lambda: put(tmp_path, *windows(rng, 20, FIRST, DAYS), writer="late"),
        lambda: put(tmp_path, *windows(rng, 9, moment[0] - timedelta(days=1), 1)),
        lambda: age_files(tmp_path, FIRST),
        lambda: delete_day(tmp_path, moment[0], FIRST + timedelta(days=rng.randrange(20))),
        lambda: shutil.rmtree(rng.choice(sorted(tmp_path.glob("date=*/site=*")))),
        lambda: register(tmp_path, rng),
        lambda: list(compact(tmp_path, date(2026, 3, 20))),
    ]
    compare(tmp_path, kept, moment[0], {"days": "365", "zone": "Europe/Berlin", "by": "day"})
    for _ in range(5):
        rng.choice(changes)()
        moment[0] += timedelta(seconds=rng.choice([61, 1000, 4000]))
        compare(tmp_path, kept, moment[0], controls_of(rng))
    compare(tmp_path, Reader(tmp_path, lambda: moment[0]), moment[0], controls_of(rng))


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Europe/Berlin"])
def test_windows_that_end_long_after_the_range_are_shown_alike(tmp_path: Path, zone: str) -> None:
    """They end weeks after it, when clocks have been set. The range is so long that devices are summed by day."""
    now = FIRST + timedelta(days=100)
    for day in (5, 19, 23, 24):
        start, site = FIRST + timedelta(days=day, minutes=40), SITES[day % 3]
        put(tmp_path, window(day, dict.fromkeys(SEVEN, day), start, site=site, end=start + timedelta(days=2 * day)))
    age_files(tmp_path, FIRST)
    controls = {"days": "own", "first": "2026-01-10", "last": "2026-03-16", "zone": zone, "by": "day"}
    compare(tmp_path, Reader(tmp_path, lambda: now), now, controls)


def delete_day(root: Path, now: datetime, day: datetime) -> None:
    """Delete the files of a day as retention does."""
    folder = root / f"date={day:%Y-%m-%d}"
    if folder.exists():
        rollups = [Rollups(root, cell_s, lambda: now) for cell_s in (HOUR_S, QUARTER_S)]
        for each in rollups:
            each.retire(day.date())
        shutil.rmtree(folder)
        for each in rollups:
            each.mark_deleted(day.date())


@pytest.mark.parametrize("against", ["weekdays", "before"])
def test_long_periods_are_compared_by_day(tmp_path: Path, against: str) -> None:
    """Both periods have windows, and the figures say how each site has changed."""
    rng = random.Random(2)
    for day in (3, 75):
        put(tmp_path, *(each for at in range(5) for each in windows(rng, 40, FIRST + timedelta(days=day + 3 * at), 1)))
    age_files(tmp_path, FIRST)
    register(tmp_path, rng)
    now = FIRST + timedelta(days=150)
    controls = {"days": "own", "first": f"{FIRST + timedelta(days=73):%Y-%m-%d}", "zone": "Europe/Berlin", "by": "day"}
    controls |= {"last": f"{FIRST + timedelta(days=142):%Y-%m-%d}", "against": against}
    reader = Reader(tmp_path, lambda: now)
    for _ in range(2):
        compare(tmp_path, reader, now, controls)
    fleet = choose_fleet(reader, resolve(controls, now))
    assert fleet is not None and min(len(each.senders()) for each in fleet[:2]) > 4
    found = fleet_figures(*fleet[:2], None, ZoneInfo("Europe/Berlin"), same_cameras=True)
    assert not math.isnan(found.headline.at_equal_time.value)


def test_who_may_see_some_sites_gets_no_sums_of_all(summed: Path) -> None:
    """Sums hold the visits of sites that such a reader may not see."""
    reader, selection = Reader(summed, lambda: NOW), resolve(YEAR, NOW)
    for permitted in (frozenset({"north"}), frozenset(SITES)):
        assert choose_fleet(reader.only(permitted), selection) is None
    shown = page_contents(reader.only(frozenset({"north"})), NOW, YEAR)
    assert "north" in str(shown["sites"]) and "south" not in str(shown)


def test_the_receipt_of_a_fleet_has_the_figures_of_its_cells(summed: Path) -> None:
    """Only gaps and joined windows, for which each device is read, are left out."""
    reader, selection = Reader(summed, lambda: NOW), resolve(YEAR, NOW)
    fleet = choose_fleet(reader, selection)
    assert fleet is not None
    found = asdict(fleet_receipt(fleet[0], reader.devices()))
    permitted = reader.only(frozenset(reader.sites()))
    expected = receipt_of(permitted, choose(permitted, selection), selection)
    assert expected.gap_hours and expected.classifiers
    assert_same(found, asdict(replace(expected, gap_hours=None, joined=None)))


@pytest.mark.parametrize("label", ["group", "label_set", "watched_s", "degraded_s", "site_number"])
def test_a_label_may_have_any_name_that_the_contract_allows(tmp_path: Path, label: str) -> None:
    """No column of the sums has the name of a label."""
    starts = [NOW - timedelta(hours=2 * n) for n in range(1, 40)]
    put(tmp_path, *(window(n, {"alone": n % 5, label: 2, "unknown": 1}, start) for n, start in enumerate(starts)))
    age_files(tmp_path, FIRST)
    compare(tmp_path, Reader(tmp_path, lambda: NOW), NOW, YEAR | {"label": label})


def test_late_cells_count_once_when_they_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while changed cells are not computed again, because that takes long."""
    monkeypatch.setattr(fleet_month, "LONG_S", 0.0)
    monkeypatch.setattr(fleet_month, "COMPUTE_FACTOR", 1e9)
    rng, moment = random.Random(1), [NOW]
    put(tmp_path, *windows(rng, 100, FIRST, DAYS))
    age_files(tmp_path, FIRST)
    reader = Reader(tmp_path, lambda: moment[0])
    put(tmp_path, *windows(rng, 9, FIRST, DAYS), writer="late")
    compare(tmp_path, reader, moment[0], YEAR)
    age_files(tmp_path, FIRST)
    moment[0] += timedelta(minutes=30)
    compare(tmp_path, reader, moment[0], YEAR)


def test_periods_with_cells_of_two_lengths_are_compared_device_by_device(tmp_path: Path) -> None:
    """The zone has left half hours between them, and other devices were there before."""
    first, rng = datetime(2016, 5, 3, 5, tzinfo=timezone.utc), random.Random(3)
    for day in range(14):
        sites = ("south", "west") if day < 7 else SITES
        start = first + timedelta(days=day)
        each = (
            window(
                day * 24 + hour,
                {"happiness": rng.randrange(1, 40), "unknown": 1},
                start + timedelta(hours=hour),
                site=site,
                boot=f"{day:016}",
                end=start + timedelta(hours=hour + 1),
            )
            for site in sites
            for hour in range(8, 16)
        )
        put(tmp_path, *each)
    age_files(tmp_path, FIRST)
    now = datetime(2016, 6, 20, tzinfo=timezone.utc)
    controls = {"days": "own", "first": "2016-05-10", "last": "2016-05-16", "zone": "America/Caracas", "by": "day"}
    compare(tmp_path, Reader(tmp_path, lambda: now), now, controls | {"against": "before"})
