"""Sums of all sites are read from their files, and made again where these are gone, damaged or outdated."""

import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collector.page.controls.chosen import choose_fleet
from collector.page.controls.selection import resolve
from collector.reading.reader import Reader
from collector.rollups.cells import HOUR_S
from collector.rollups.fleet_month import FleetMonth
from collector.rollups.rollup import FOLDER
from tests.support.fleet_stores import DAYS, FIRST, MONTH, NOW, SITES, YEAR, age_files, compare, windows
from tests.support.page_contents import assert_same, page_contents
from tests.support.permissions import unreadable
from tests.support.store import SEVEN, put


def test_a_year_is_read_from_sums(summed: Path) -> None:
    """Cells are read of the days on which clocks of the zone are set, and of no others."""
    folder = summed / FOLDER / str(HOUR_S) / "by-day"
    assert {path.name[:7] for path in folder.iterdir()} == {"2026-02", "2026-03", "2026-04"}
    expected = page_contents(Reader(summed, lambda: NOW), NOW, YEAR)
    for path in folder.glob("*/2026-*.parquet"):
        if not "2026-03-27" <= path.stem <= "2026-03-31":
            path.write_bytes(b"no cells")
    assert_same(page_contents(Reader(summed, lambda: NOW), NOW, YEAR), expected)


def test_thirty_days_are_read_from_sums(summed: Path) -> None:
    """Of days that both periods hold whole, sums by hour are on disk once they were asked for."""
    expected = page_contents(Reader(summed, lambda: NOW), NOW, MONTH)
    for path in (summed / FOLDER / str(HOUR_S) / "by-day").glob("*/2026-*.parquet"):
        path.write_bytes(b"no cells")
    assert_same(page_contents(Reader(summed, lambda: NOW), NOW, MONTH), expected)


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
