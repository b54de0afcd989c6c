"""Views of all sites come from sums, and show what the cells of all devices give.

A reader that may see each site reads the cells of the devices, so it is what the sums are compared with.
"""

import gc
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from collector.analysis.fleet_headline import fleet_figures
from collector.analysis.fleet_period import midnights
from collector.analysis.receipt import fleet_receipt
from collector.devices.registry import DeviceRegistry
from collector.page.controls.chosen import choose, choose_fleet, receipt_of
from collector.page.controls.selection import resolve
from collector.reading.reader import Reader
from collector.rollups import fleet_month, fleet_senders
from collector.rollups.cells import HOUR_S, QUARTER_S
from collector.rollups.fleet import Range
from collector.rollups.fleet_month import FleetMonth
from collector.rollups.fleet_senders import SenderBlock
from collector.rollups.groups import Groups
from collector.rollups.rollup import FOLDER, Rollups
from collector.store.compaction import compact
from contract.message import BundleIdentity, Counts, Model, Models
from contract.topics import Address
from tests.support.page_contents import assert_same, page_contents
from tests.support.permissions import unreadable
from tests.support.store import SEVEN, put, window

FIRST = datetime(2026, 2, 20, tzinfo=timezone.utc)
DAYS = 45
"""Of these, 29 March begins daylight saving time in Europe, 8 March in America, and 5 April ends it in Australia."""
USED = (0, 1, 15, 16, 23, 36, 37, 38, 43, 44)
"""Days that have windows."""
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe")
AGES = ("young", "old", "unknown")
SITES = ("north", "south", "west")


def classifier(number: int, labels: tuple[str, ...], right: int) -> BundleIdentity:
    """Return a classifier with a matrix, of which ``right`` of a hundred predictions are correct."""
    wrong = (100 - right) // (len(labels) - 1)
    matrix = tuple(tuple(right if row == at else wrong for at in range(len(labels))) for row in range(len(labels)))
    return BundleIdentity(name="model", sha256=f"{number:012x}".ljust(64, "0"), labels=labels, confusion=matrix)


def register(root: Path, rng: random.Random) -> None:
    """Let some devices report a matrix; those of one classifier are not all equal."""
    registry, detector = DeviceRegistry(root), BundleIdentity(name="faces", sha256="0" * 64)
    for site in SITES:
        for device in ("door", "till"):
            for number, labels in ((1, SEVEN[:7]), (2, SEVEN[:7]), (3, AGES[:2])):
                if rng.random() < 0.7:
                    model = classifier(number, labels, rng.choice([70, 90]))
                    address, message = (
                        Address(site, device, "model"),
                        Model(schema=1, detector=detector, expression=model),
                    )
                    registry.record(address, message, False, FIRST)
    registry.save()


def windows(rng: random.Random, number: int, first: datetime, days: float) -> list[Counts]:
    """Return windows of seconds to hours, of several classifiers, two label sets and all kinds of clocks."""
    found = []
    for _ in range(number):
        start = first + timedelta(days=rng.choice(USED) if days > 1 else 0, seconds=rng.randrange(86_400))
        model = rng.choice([1, 1, 2, 3])
        labels = AGES if model == 3 else SEVEN
        found.append(
            window(
                rng.randrange(10**9), {name: rng.randrange(9) for name in labels}, start,
                site=rng.choice(SITES), device=rng.choice(["door", "till"]),
                end=start + timedelta(seconds=rng.choice([1, 60, 60, 60, 900, 3600, 20_000])),
                clock=rng.choice(["synced", "synced", "restamped", "unsynced"]), coverage=rng.random(),
                degraded=rng.choice([(), ("dark",)]),
                model=Models(detector="faces@0123456789ab", expression=f"model@{model:012x}"),
            )
        )  # fmt: skip
    return found


def age_files(root: Path, since: datetime) -> None:
    """Set the times of all files as if they had been written long before."""
    for path in root.glob("date=*/site=*/*.*"):
        os.utime(path, (since.timestamp(), since.timestamp()))


def compare(root: Path, reader: Reader, now: datetime, controls: dict[str, Any]) -> None:
    """Assert that a reader shows what the cells give."""
    fresh = Reader(root, lambda: now)
    expected = page_contents(fresh.only(frozenset(fresh.sites())), now, controls)
    assert_same(page_contents(reader, now, controls), expected)


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


def test_tables_of_few_devices_change_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of a hundred days, of one device of a fleet, is in tables of its own."""
    monkeypatch.setattr(fleet_senders, "SMALL", 0)
    rng, now, start = random.Random(4), FIRST + timedelta(days=150), FIRST + timedelta(days=23, hours=3)
    of_fleet = [
        msgspec.structs.replace(each, device=f"camera-{number}")
        for number in range(20)
        for each in windows(rng, 6, FIRST + timedelta(days=23), 1)
    ]
    end = start + timedelta(days=100)
    put(tmp_path, *of_fleet, window(1, dict.fromkeys(SEVEN, 9000), start, site="north", end=end))
    age_files(tmp_path, FIRST)
    reader = Reader(tmp_path, lambda: now)
    for controls in ({"days": "own", "first": "2026-03-09", "last": "2026-03-24"}, {"days": "365"}):
        compare(tmp_path, reader, now, controls | {"zone": "Europe/Berlin", "by": "day"})


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


YEAR = {"days": "365", "zone": "Europe/Berlin", "by": "day"}
MONTH = YEAR | {"days": "30"}
NOW = FIRST + timedelta(days=60)


@pytest.fixture
def summed(tmp_path: Path) -> Path:
    """A store whose sums are on disk."""
    rng = random.Random(8)
    put(tmp_path, *windows(rng, 300, FIRST, DAYS))
    age_files(tmp_path, FIRST)
    register(tmp_path, rng)
    page_contents(Reader(tmp_path, lambda: NOW), NOW, YEAR)
    return tmp_path


def in_memory(owner: object, senders: list[tuple[str, str, str]]) -> tuple[int, int]:
    """Return the number of parts of sums that an object refers to, and of lists of these senders."""
    found: dict[int, object] = {}
    waiting = [owner]
    while waiting:
        each = waiting.pop()
        if id(each) not in found and not isinstance(each, (type, ModuleType, FunctionType)):
            found[id(each)] = each
            waiting += gc.get_referents(each)
    parts = sum(type(each) is SenderBlock for each in found.values())
    lists = [each for each in found.values() if isinstance(each, list) and each and isinstance(each[0], tuple)]
    return parts, lists.count(senders)


def test_months_of_changes_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Of a store that changes between views, only the sums and devices of its last state are kept."""
    now, senders = [FIRST + timedelta(days=3)], [("kept-once", "door", "model@000000000001")]
    rollups, groups = Rollups(tmp_path, HOUR_S, lambda: now[0]), Groups({})
    model = Models(detector="faces@0123456789ab", expression=senders[0][2])
    kept = []
    for number in range(4):
        for moment in (FIRST, now[0]):  # saved in the roll-up file, and not yet saved
            put(tmp_path, window(number, start=moment, site="kept-once", boot=f"{moment.minute:016}", model=model))
        age_files(tmp_path, FIRST)
        put(tmp_path, window(100 + number, start=now[0], site="kept-once", model=model))
        now[0] += timedelta(minutes=20)
        span = FIRST - timedelta(days=1), now[0]
        found = rollups.fleet(Range(*span, midnights(timezone.utc, span)), groups)  # type: ignore[arg-type]
        assert found is not None and found[0].sites["windows"].sum() == 3 * (number + 1)
        del found
        kept.append(in_memory(rollups, senders))
    assert kept[0][0] > 0
    assert kept[1:] == kept[:-1]


def test_a_year_is_read_from_sums(summed: Path) -> None:
    """Cells are read of the days on which clocks of the zone are set, and of no others."""
    folder = summed / FOLDER / str(HOUR_S) / "by-day"
    assert {path.name[:7] for path in folder.iterdir()} == {"2026-02", "2026-03", "2026-04"}
    expected = page_contents(Reader(summed, lambda: NOW), NOW, YEAR)
    for path in folder.glob("*/2026-*.parquet"):
        if not "2026-03-27" <= path.stem <= "2026-03-31":
            path.write_bytes(b"no cells")
    assert_same(page_contents(Reader(summed, lambda: NOW), NOW, YEAR), expected)


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


def test_thirty_days_are_read_from_sums(summed: Path) -> None:
    """Of days that both periods hold whole, sums by hour are on disk once they were asked for."""
    expected = page_contents(Reader(summed, lambda: NOW), NOW, MONTH)
    for path in (summed / FOLDER / str(HOUR_S) / "by-day").glob("*/2026-*.parquet"):
        path.write_bytes(b"no cells")
    assert_same(page_contents(Reader(summed, lambda: NOW), NOW, MONTH), expected)


def test_who_may_see_some_sites_gets_no_sums_of_all(summed: Path) -> None:
    """Sums hold the visits of sites that such a reader may not see."""
    reader, selection = Reader(summed, lambda: NOW), resolve(YEAR, NOW)
    for permitted in (frozenset({"north"}), frozenset(SITES)):
        assert choose_fleet(reader.only(permitted), selection) is None
    shown = page_contents(reader.only(frozenset({"north"})), NOW, YEAR)
    assert "north" in str(shown["sites"]) and "south" not in str(shown)


@pytest.mark.parametrize(
    ("name", "controls"),
    [
        ("hours-*.parquet", YEAR), ("sites-*.parquet", MONTH), ("totals-*.parquet", YEAR), ("senders-*.arrays", YEAR),
        ("2026-*.arrays", MONTH), ("contents.json", YEAR),
    ],
)  # fmt: skip
def test_damaged_sums_are_made_again(summed: Path, name: str, controls: dict[str, Any]) -> None:
    """A flipped bit anywhere in a file changes no figure."""
    rng = random.Random(3)
    for _ in range(4):
        page_contents(Reader(summed, lambda: NOW), NOW, controls)
        paths = sorted((summed / FOLDER / str(HOUR_S) / "by-day").glob(f"*/{name}"))
        assert paths
        for path in paths:
            data = bytearray(path.read_bytes())
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path.write_bytes(data)
        compare(summed, Reader(summed, lambda: NOW), NOW, controls)


def test_sums_are_made_again_only_where_something_has_changed(summed: Path) -> None:
    """A late window changes the files of its month once it is saved, and those of other months stay."""
    folder = summed / FOLDER / str(HOUR_S) / "by-day"
    before = {path.name for path in folder.iterdir()}
    put(summed, *windows(random.Random(1), 1, datetime(2026, 3, 10, tzinfo=timezone.utc), 1), writer="late")
    compare(summed, Reader(summed, lambda: NOW), NOW, YEAR)
    for path in summed.glob("date=*/site=*/*-late.csv"):
        os.utime(path, (FIRST.timestamp(), FIRST.timestamp()))
    compare(summed, Reader(summed, lambda: NOW + timedelta(minutes=20)), NOW + timedelta(minutes=20), YEAR)
    after = {path.name for path in folder.iterdir()}
    assert {name[:7] for name in before & after} == {"2026-02", "2026-04"}
    assert len(after) == len(before), "the files of the state before are deleted"


def test_a_store_that_cannot_be_written_is_shown_from_its_cells(summed: Path) -> None:
    """If the sums cannot be kept, the page shows the same, slower."""
    folder = summed / FOLDER / str(HOUR_S) / "by-day"
    shutil.rmtree(folder)
    folder.write_text("in the way")
    compare(summed, Reader(summed, lambda: NOW), NOW, YEAR)


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


def test_a_kill_while_sums_are_deleted_changes_nothing(summed: Path) -> None:
    """What is left of a folder without its list of contents is deleted when the sums are made again."""
    for path in (summed / FOLDER / str(HOUR_S) / "by-day").glob("*/contents.json"):
        path.unlink()
    compare(summed, Reader(summed, lambda: NOW), NOW, YEAR)
    assert choose_fleet(Reader(summed, lambda: NOW), resolve(YEAR, NOW)) is not None


def test_sums_that_are_deleted_while_they_are_read_change_nothing(
    summed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The roll-ups may be deleted at any time, also between finding the files of a month and reading them."""
    refresh, is_deleted = FleetMonth.refresh, []

    def refresh_then_delete(month: FleetMonth) -> None:
        refresh(month)
        if not is_deleted:
            shutil.rmtree(summed / FOLDER)
            is_deleted.append(True)

    reader = Reader(summed, lambda: NOW)
    expected = visits(reader)
    monkeypatch.setattr(FleetMonth, "refresh", refresh_then_delete)
    assert visits(Reader(summed, lambda: NOW)) == expected


def visits(reader: Reader) -> float:
    """The visits of a year, from sums."""
    found = reader.fleet((NOW - timedelta(days=365), NOW), ZoneInfo("Europe/Berlin"), None, hourly=False)
    assert found is not None
    return float(found[0].sites()[[*SEVEN]].sum().sum())


WORK = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from collector.reading.reader import Reader
from tests.support.page_contents import page_contents
root, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
print("ready", flush=True)
page_contents(Reader(root, lambda: now), now, {"days": "365", "zone": "Europe/Berlin", "by": "day"})
"""


def test_a_kill_while_sums_are_made_changes_nothing(summed: Path) -> None:
    """After each of six kills at random moments the page shows what the cells give."""
    rng, folder = random.Random(5), summed / FOLDER / str(HOUR_S) / "by-day"
    for _ in range(6):
        shutil.rmtree(folder)
        worker = subprocess.Popen(
            [sys.executable, "-c", WORK, str(summed), NOW.isoformat()], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
        try:
            worker.wait(rng.uniform(0.02, 1.2))
        except subprocess.TimeoutExpired:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        worker.stdout.close()
        compare(summed, Reader(summed, lambda: NOW), NOW, YEAR)


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


@pytest.mark.parametrize("is_open", [True, False])
def test_a_file_that_can_be_read_again_is_in_the_sums(tmp_path: Path, *, is_open: bool) -> None:
    """Its size and time stay the same; readers that were open see it, and those that start later."""
    moment = [NOW]
    put(tmp_path, *windows(random.Random(1), 100, FIRST, DAYS))
    age_files(tmp_path, FIRST)
    reader = Reader(tmp_path, lambda: moment[0])
    with unreadable(sorted(tmp_path.glob("date=*/site=*/*.*"))[5]):
        page_contents(reader, NOW, YEAR)
        assert len(reader.damages()) == 1
    moment[0] += timedelta(minutes=2)
    reader = reader if is_open else Reader(tmp_path, lambda: moment[0])
    shown = page_contents(reader, moment[0], YEAR)
    shutil.rmtree(tmp_path / FOLDER)
    fresh = Reader(tmp_path, lambda: moment[0])
    assert_same(shown, page_contents(fresh.only(frozenset(SITES)), moment[0], YEAR))
    assert reader.damages() == ()


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
