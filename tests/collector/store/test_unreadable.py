"""A folder or file that the system does not let the collector read is reported, and the other sites go on."""

import logging
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from collector.__main__ import main
from collector.api.guard import Guard
from collector.api.routes import Api, mount
from collector.language.language import english, language
from collector.page.first_screen.first_screen import FirstScreen
from collector.reading.reader import Reader
from collector.rollups import rollup_file
from collector.rollups.cells import HOUR_S
from collector.rollups.fleet import Range
from collector.rollups.groups import Groups
from collector.rollups.rollup import Rollups
from collector.scale.build_rollups import build_rollups
from collector.scale.cluster import run_task
from collector.store.damage import DamageLog
from collector.store.load import folders, load
from collector.store.workers import ThisProcess
from tests.support.pages import text_of
from tests.support.permissions import unreadable
from tests.support.store import START, put, window

UTC = ZoneInfo("UTC")
NOW = datetime(2026, 3, 29, 0, 30, tzinfo=timezone.utc)
DAY = (NOW - timedelta(days=1), NOW)
SITES = ("shop-1", "shop-2")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of two sites, with ten windows each."""
    put(tmp_path, *(window(seq, site=site) for site in SITES for seq in range(1, 11)))
    return tmp_path


def visits(reader: Reader) -> tuple[float, float, float]:
    """The visits of the last hour, of the roll-ups, and of the windows."""
    live = reader.last_hour(UTC).table
    tables = (reader.cells(DAY, UTC), reader.windows(DAY))
    return (float(live["visits"].sum()) if len(live) else 0.0, *(float(each["happiness"].sum()) for each in tables))  # type: ignore[return-value]


@pytest.mark.parametrize("what", ["date=2026-03-29/site=shop-2", "date=2026-03-29"])
def test_a_folder_that_cannot_be_read_stops_no_other_site(
    root: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, and reported by notices, metrics and banner; with the permissions back it is read."""
    put(root, window(0, site="shop-1", start=START - timedelta(hours=3)))
    reader = Reader(root, lambda: NOW)
    app = Flask("test")
    mount(app, Api(reader, UTC, lambda: NOW), Guard(None, 1000))
    with unreadable(root / what), caplog.at_level(logging.WARNING):
        for _ in range(3):
            found = visits(reader)
        assert found == ((30, 33, 33) if what.endswith("shop-2") else (0, 3, 3))
        assert [record.getMessage() for record in caplog.records] == [
            f'event=left_out file="{what}" rows=all reason="Permission denied"'
        ]
        assert reader.sites() == ["shop-1", "shop-2"][: 2 if what.endswith("shop-2") else 1]
        assert app.test_client().get("/api/v1/health").json["notices"] == [f"{what}: left out: Permission denied"]  # type: ignore[index]
        assert "facetally_store_damaged_files 1.0" in app.test_client().get("/metrics").text
        screen = FirstScreen(reader, lambda: NOW)
        told = text_of(screen.banner(english()))
        assert told.startswith("The store needs attention") and f"{what}: left out: Permission denied" in told
        assert text_of(screen.banner(language("de"))).startswith("Der Speicher braucht Aufmerksamkeit")
    assert visits(reader) == (60, 63, 63)
    assert reader.damages() == ()


def test_what_was_read_before_is_kept(root: Path) -> None:
    """Neither the last hour nor the roll-ups forget the windows of a folder that becomes unreadable."""
    reader = Reader(root, lambda: NOW)
    assert visits(reader) == (60, 60, 60)
    with unreadable(root / "date=2026-03-29/site=shop-2"):
        assert visits(reader) == (60, 60, 30)
        assert reader.cells(DAY, UTC, ["shop-2"])["happiness"].sum() == 30
        put(root, window(12, site="shop-1"))
        assert visits(reader) == (63, 63, 33)
    put(root, window(12, site="shop-2"))
    assert visits(reader) == (66, 66, 66)


def test_a_site_of_its_own_is_read_without_its_unreadable_day(root: Path) -> None:
    """The roll-ups of one site go on, too."""
    put(root, window(0, site="shop-2", start=START - timedelta(hours=3)))
    rollups, damages = Rollups(root, HOUR_S, lambda: NOW, (log := DamageLog()).note), log.all
    with unreadable(root / "date=2026-03-29/site=shop-2"):
        assert rollups.cells(site="shop-2")["happiness"].sum() == 3
        assert [each.is_unreadable for each in damages()] == [True]
    assert rollups.cells(site="shop-2")["happiness"].sum() == 33
    assert damages() == ()


def test_a_file_that_could_not_be_read_is_read_later(root: Path) -> None:
    """Its permissions change without its time or size; the roll-ups and the last hour read it all the same."""
    (path,) = (root / "date=2026-03-29/site=shop-2").glob("*.csv")
    reader = Reader(root, lambda: NOW)
    with unreadable(path):
        assert visits(reader) == (30, 30, 30)
        assert [each.reason for each in reader.damages()] == ["Permission denied"]
    assert visits(reader) == (60, 60, 60)


def test_an_unreadable_day_is_not_deleted(root: Path) -> None:
    """Retention refuses to make the cells of such a day final."""
    later = NOW + timedelta(days=400)
    with unreadable(root / "date=2026-03-29/site=shop-2"), pytest.raises(PermissionError):
        Rollups(root, HOUR_S, lambda: later).retire(NOW.date())
    rollups = Rollups(root, HOUR_S, lambda: later)
    rollups.retire(NOW.date())
    assert rollups.cells()["happiness"].sum() == 60


OLD = NOW - timedelta(days=20)
ALL = Range(OLD - timedelta(days=5), NOW, None)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of two sites with windows of an old day, to which nothing was written of late."""
    put(tmp_path, *(window(seq, site=site, start=OLD + timedelta(minutes=seq)) for site in SITES for seq in range(10)))
    for path in tmp_path.glob("date=*/site=*/*"):
        os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    return tmp_path


def of_all_sites(rollups: Rollups) -> float:
    """The visits of the sums of all sites."""
    found = rollups.fleet(ALL, Groups({}))
    assert found is not None, "the sums must be there"
    return float(found[0].hours["happiness"].sum()) if len(found[0].hours) else 0.0


def test_sums_of_all_sites_have_a_file_once_it_can_be_read(old: Path) -> None:
    """The roll-up file was saved without it; it is read again, and what was missing is saved."""
    now = [NOW]
    path = next(old.glob("date=*/site=shop-2/*.csv"))
    rollups = Rollups(old, HOUR_S, lambda: now[0])
    with unreadable(path):
        assert of_all_sites(rollups) == 30
        saved = next((old / "_rollup" / str(HOUR_S)).glob("*.parquet"))
        before = rollup_file.identity(saved)
        for _ in range(3):
            now[0] += timedelta(hours=2)
            assert of_all_sites(rollups) == 30
        assert rollup_file.identity(saved) == before, "nothing new is there to be saved"
    for _ in range(3):
        now[0] += timedelta(minutes=2)
        assert of_all_sites(rollups) == 60
    month = rollup_file.read(saved)
    assert not month.damages and month.frame["happiness"].sum() == 60


@pytest.mark.parametrize("what", ["date=2026-03-09/site=shop-2", "date=2026-03-09"])
def test_sums_of_all_sites_need_not_read_every_folder(old: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    """What was saved of a folder that cannot be read stays; of one that was never read nothing is there yet."""
    now = [NOW]
    damages = DamageLog()
    with unreadable(old / what), caplog.at_level(logging.WARNING):
        first = Rollups(old, HOUR_S, lambda: now[0], damages.note)
        for _ in range(3):
            now[0] += timedelta(minutes=2)
            assert of_all_sites(first) == (30 if what.endswith("shop-2") else 0)
    now[0] += timedelta(minutes=2)
    assert of_all_sites(first) == 60
    with unreadable(old / what):
        for rollups in (first, Rollups(old, HOUR_S, lambda: now[0], damages.note)):
            now[0] += timedelta(minutes=2)
            assert of_all_sites(rollups) == 60
    assert [record.getMessage() for record in caplog.records] == [
        f'event=left_out file="{what}" rows=all reason="Permission denied"'
    ]


def test_the_command_rollup_saves_a_file_once_it_can_be_read(old: Path) -> None:
    """A month that was saved without it is written again."""
    with unreadable(next(old.glob("date=*/site=shop-2/*.csv"))):
        list(build_rollups(old, UTC, lambda: NOW, ThisProcess()))
    list(build_rollups(old, UTC, lambda: NOW, ThisProcess()))
    month = rollup_file.read(next((old / "_rollup" / str(HOUR_S)).glob("*.parquet")))
    assert not month.damages and month.frame["happiness"].sum() == 60


@pytest.mark.parametrize("site", [None, "shop-2"])
def test_a_day_that_cannot_be_read_is_reported_by_commands(
    old: Path, site: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Windows of the other days are loaded, and the log says that some are left out."""
    put(old, window(60, site="shop-2", start=OLD + timedelta(days=1)))
    with unreadable(old / "date=2026-03-09"), caplog.at_level(logging.WARNING):
        assert len(load(old, site=site)) == 1
    assert [record.getMessage() for record in caplog.records] == [
        'event=left_out file="date=2026-03-09" rows=all reason="Permission denied"'
    ]
    assert len(load(old, site=site)) == (21 if site is None else 11)
    assert list(folders(old, site="elsewhere")) == []


def test_a_worker_reports_a_folder_that_it_has_no_permission_for(old: Path) -> None:
    """It is not missing, and the folders of the same group are read."""
    seen: list[Path] = []
    with unreadable(old / "date=2026-03-09"):
        run_task(seen.extend, [old / "date=2026-03-09" / "site=shop-1"])
    assert len(seen) == 1


def test_the_command_rollup_ignores_folders_that_are_no_day(old: Path) -> None:
    """A name such as that of 31 February does not stop it."""
    (old / "date=2026-02-31").mkdir()
    assert [month.name for month in build_rollups(old, UTC, lambda: NOW, ThisProcess())] == ["2026-03"]


@pytest.mark.parametrize("command", ["summary", "export", "compact", "rollup", "sync"])
def test_a_store_that_cannot_be_read_is_an_error(root: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not taken for an empty one."""
    more = ["--out", str(root.parent / "counts.csv")] if command == "export" else []
    with unreadable(root):
        assert main([command, "--root", str(root), *more]) == 2
    assert "store.root: must be a folder that this user may read" in capsys.readouterr().err
