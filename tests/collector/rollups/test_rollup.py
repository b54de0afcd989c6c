"""Cells give the sums of their windows, follow changes of the files, and outlive deleted days."""

import hashlib
import os
import random
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from collector.analysis.summarise import by_device, by_site, by_time, by_weekday
from collector.errors import StoreFailed
from collector.rollups.cells import HOUR_S, QUARTER_S, cell_s_for, cells
from collector.rollups.rollup import FOLDER, Rollups
from collector.rollups.rollup_file import CHECKSUM_SUFFIX, SOURCES_KEYS, VERSION
from collector.store.columns import FIXED_COLUMNS
from collector.store.damage import DamageLog
from collector.store.load import load
from tests.support.store import START, put, window

ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]
LATER = START + timedelta(days=30)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Draw windows of seconds to hours around a change to daylight saving time, with two label sets."""
    rows = []
    for number in range(draw(st.integers(1, 12))):
        start = pd.Timestamp("2026-03-28", tz="UTC") + pd.Timedelta(seconds=draw(st.integers(0, 4 * 86_400)))
        end = start + pd.Timedelta(seconds=draw(st.sampled_from([1, 60, 900, 3600, 20_000])))
        site, device, clock, bundle = (
            draw(st.sampled_from(names))
            for names in (["a", "b"], ["x", "y"], ["synced", "restamped", "unsynced"], ["e@1", "e@2"])
        )
        visits = [float(draw(st.integers(0, 9))), float(draw(st.integers(0, 9))), float("nan")]
        visits = visits if bundle == "e@1" else [visits[2], *visits[:2]]
        degraded = draw(st.sampled_from(["", "black"]))
        coverage = draw(st.floats(0, 1))
        rows.append(
            (1, site, device, "0" * 16, number, start, end, clock, coverage, degraded, 1, 1, "d", bundle, *visits)
        )
    frame = pd.DataFrame(rows, columns=[*FIXED_COLUMNS, "happiness", "calm", "unknown"])
    if draw(st.booleans()):
        doubtful = st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows))
        frame = frame.assign(doubtful_low=draw(doubtful), doubtful_high=draw(doubtful))
    return frame.astype(dict.fromkeys(["happiness", "calm", "unknown"], "float64"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tables(), st.sampled_from(ZONES))
def test_cells_and_windows_have_the_same_summaries(frame: pd.DataFrame, zone_name: str) -> None:
    """Summaries by hour, day, weekday, site and device agree, in zones with offsets of hours, halves and quarters."""
    zone = ZoneInfo(zone_name)
    span = (datetime(2026, 3, 28, tzinfo=timezone.utc), datetime(2026, 4, 2, tzinfo=timezone.utc))
    rolled = cells(frame, cell_s_for(zone, *span))
    for step_s in (HOUR_S, None):
        pd.testing.assert_frame_equal(by_time(rolled, step_s, zone, span), by_time(frame, step_s, zone, span))
    pd.testing.assert_frame_equal(by_weekday(rolled, zone, span), by_weekday(frame, zone, span))
    pd.testing.assert_frame_equal(by_site(rolled, span), by_site(frame, span))
    pd.testing.assert_frame_equal(by_device(rolled, span), by_device(frame, span))


def test_cells_fit_the_zone_where_the_longest_window_ends() -> None:
    """In January days of Lord Howe begin at 13:00 UTC, in April at 13:30: a window of counts held back has both."""
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    week = datetime(2026, 1, 10, tzinfo=timezone.utc), datetime(2026, 1, 17, tzinfo=timezone.utc)
    assert cell_s_for(lord_howe, *week) == QUARTER_S


def test_a_bucket_that_begins_within_a_cell_is_an_error() -> None:
    """Cells of an hour cannot be summed to hours of Kolkata, which is half an hour off UTC."""
    kolkata = ZoneInfo("Asia/Kolkata")
    assert cell_s_for(kolkata, START, LATER) == QUARTER_S
    assert cell_s_for(ZoneInfo("Europe/Berlin"), START, LATER) == HOUR_S
    rolled = cells(pd.DataFrame([dict.fromkeys(FIXED_COLUMNS, "x") | {
        "start": pd.Timestamp(START), "end": pd.Timestamp(START) + pd.Timedelta(minutes=1), "coverage": 1.0, "a": 1.0,
    }]))  # fmt: skip
    with pytest.raises(ValueError, match="within a cell"):
        by_time(rolled, HOUR_S, kolkata)


def age_files(root: Path) -> None:
    """Set the times of all files as if they had been written long ago."""
    for path in root.glob("date=*/site=*/*.csv"):
        os.utime(path, (START.timestamp(), START.timestamp()))


def test_only_files_that_have_changed_are_read_again(tmp_path: Path) -> None:
    """Cells of a file that has not changed come from the roll-up, even if the file has become unreadable."""
    put(tmp_path, window(0), window(1), window(1500))
    age_files(tmp_path)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    (day,) = tmp_path.glob("date=2026-03-30/site=*/*.csv")
    text, times = day.read_bytes(), day.stat()
    day.write_bytes(b"x" * len(text))
    os.utime(day, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert Rollups(tmp_path, HOUR_S, lambda: LATER).cells()["happiness"].sum() == 9
    day.write_bytes(text)
    put(tmp_path, window(2), window(0))
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    assert rollups.cells()["happiness"].sum() == 12
    put(tmp_path, window(3))
    assert rollups.cells()["happiness"].sum() == 12, "older days are scanned once a minute"
    rollups = Rollups(tmp_path, HOUR_S, lambda: START)
    rollups.cells()
    put(tmp_path, window(4))
    assert rollups.cells()["happiness"].sum() == 18, "recent days are scanned at each call"


def test_cells_of_a_range_and_a_site_are_those_of_their_windows(tmp_path: Path) -> None:
    """A window of two writers counts once, and a range is rounded outwards to hours."""
    put(tmp_path, window(0), window(1), window(61), window(62, site="shop-2"))
    put(tmp_path, window(1), window(90), writer="w2")
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    assert rollups.cells()["windows"].sum() == len(load(tmp_path)) == 5
    since = START + timedelta(minutes=75)
    frame = rollups.cells(since=since)
    assert list(frame["begin"].unique()) == [pd.Timestamp("2026-03-29T01:00", tz="UTC")]
    assert frame["windows"].sum() == 3
    assert rollups.cells(until=since, site="shop-2")["windows"].sum() == 1
    assert rollups.cells(site="none").empty


def test_cells_of_a_deleted_folder_stay_only_if_it_was_retired(tmp_path: Path) -> None:
    """Deleting a day by hand removes its cells; cells of a retired day stay, whatever windows come late."""
    put(tmp_path, window(0), window(1), window(2))
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    rollups.retire((START + timedelta(days=1)).date())
    for day in ("28", "29"):
        shutil.rmtree(tmp_path / f"date=2026-03-{day}")
    frame = Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    assert list(frame["windows"]) == [2]
    put(tmp_path, window(3))
    assert list(Rollups(tmp_path, HOUR_S, lambda: LATER).cells()["windows"]) == [2]


def test_windows_that_come_while_a_day_is_retired_are_not_deleted(tmp_path: Path) -> None:
    """A day may be retired twice, as after a failed deletion, but not if windows have come that its cells lack."""
    put(tmp_path, window(0))
    day = START.date()
    for _ in range(2):
        Rollups(tmp_path, HOUR_S, lambda: LATER).retire(day)
    put(tmp_path, window(0, device="late"))
    with pytest.raises(StoreFailed, match="came while the day was retired"):
        Rollups(tmp_path, HOUR_S, lambda: LATER).retire(day)


def test_a_slower_process_does_not_replace_a_newer_file(tmp_path: Path) -> None:
    """If the collector retires a day while the page computes the month, the retired cells stay."""
    put(tmp_path, window(0))
    age_files(tmp_path)
    page = Rollups(tmp_path, HOUR_S, lambda: LATER)
    month = page._month(f"{START:%Y-%m}")
    month.refresh()
    Rollups(tmp_path, HOUR_S, lambda: LATER).retire(START.date())
    (file,) = (tmp_path / FOLDER).glob("3600/*.parquet")
    before = file.read_bytes()
    month.save({})
    assert file.read_bytes() == before


def test_a_truncated_roll_up_is_computed_again(tmp_path: Path) -> None:
    """If a roll-up file is truncated, the windows are read again and the file is replaced."""
    put(tmp_path, window(0))
    age_files(tmp_path)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    (file,) = (tmp_path / FOLDER).glob("3600/*.parquet")
    file.write_bytes(file.read_bytes()[:200])
    assert Rollups(tmp_path, HOUR_S, lambda: LATER).cells()["windows"].sum() == 1
    assert file.stat().st_size > 200


def test_an_empty_store_has_no_cells(tmp_path: Path) -> None:
    """A store that does not exist has no cells either, and its summary has gaps only."""
    frame = Rollups(tmp_path / "none", HOUR_S, lambda: LATER).cells()
    assert frame.empty
    assert by_time(frame, HOUR_S, ZoneInfo("UTC"), (START, LATER))["windows"].sum() == 0


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file and keep its size and times, as a failing disk does."""
    data, times = bytearray(path.read_bytes()), path.stat()
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_flipped_bit_in_a_roll_up_is_never_a_silent_difference(tmp_path: Path) -> None:
    """After a flip anywhere in a month's file or its checksum, totals are equal or the damage is reported.

    The damaged file is kept, and the rows that are still there are counted again.
    """
    put(tmp_path, *(window(number) for number in range(4)))
    age_files(tmp_path)
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    rollups.retire(START.date())
    shutil.rmtree(tmp_path / f"date={START.date()}")
    rollups.mark_deleted(START.date())
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / FOLDER, kept)
    rng = random.Random(8)
    noticed = 0
    for number in range(60):
        shutil.rmtree(tmp_path / FOLDER)
        shutil.copytree(kept, tmp_path / FOLDER)
        path = next((tmp_path / FOLDER).glob("3600/*.parquet" if number % 4 else "3600/*.sha256"))
        flip(path, rng.randrange(path.stat().st_size * 8))
        rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
        total, notices = rollups.cells()["happiness"].sum(), rollups.damages()
        assert total == 12 or notices, f"flip {number}: {total}"
        assert not notices or total == 9, "the rows that are still there"
        again = Rollups(tmp_path, HOUR_S, lambda: LATER)
        assert (again.cells()["happiness"].sum(), len(again.damages())) == (total, len(notices)), (
            "the damage is reported by later processes too"
        )
        noticed += bool(notices)
    assert noticed > 45


def test_a_roll_up_of_version_1_gets_a_checksum(tmp_path: Path) -> None:
    """A file of version 1 has no checksum and is read; a newer file without its checksum is damaged."""
    put(tmp_path, window(0))
    age_files(tmp_path)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    (path,) = (tmp_path / FOLDER).glob("3600/*.parquet")
    checksum = path.with_name(path.name + CHECKSUM_SUFFIX)
    table = parquet.read_table(path)
    metadata = {SOURCES_KEYS[1]: table.schema.metadata[SOURCES_KEYS[VERSION]]}
    checksum.unlink()
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    assert rollups.cells()["windows"].sum() == 1
    assert len(rollups.damages()) == 1
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    shutil.rmtree(tmp_path / f"date={START.date()}")
    put(tmp_path, window(0))
    age_files(tmp_path)
    checksum.unlink(missing_ok=True)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    assert checksum.exists()
    assert SOURCES_KEYS[VERSION] in parquet.read_schema(path).metadata


def test_roll_ups_of_version_2_get_doubtful_visits(tmp_path: Path) -> None:
    """Cells of days with rows are computed again; cells of a retired day stay, with 0 doubtful visits."""
    put(tmp_path, window(0, schema=2, doubtful_low=2), window(1, schema=2, doubtful_low=1, doubtful_high=3))
    age_files(tmp_path)
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    rollups.retire(START.date())
    shutil.rmtree(tmp_path / f"date={START.date()}")
    rollups.mark_deleted(START.date())
    (path,) = (tmp_path / FOLDER).glob("3600/*.parquet")
    table = parquet.read_table(path)
    assert table["doubtful_low"].to_pylist() == [2, 1]
    old = table.drop_columns(["doubtful_low", "doubtful_high"])
    parquet.write_table(
        old.replace_schema_metadata({SOURCES_KEYS[2]: table.schema.metadata[SOURCES_KEYS[VERSION]]}), path
    )
    path.with_name(path.name + CHECKSUM_SUFFIX).write_text(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
    )
    for _ in range(2):
        rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
        rolled = rollups.cells().sort_values("start")
        assert rollups.damages() == ()
        assert rolled["happiness"].tolist() == [3, 3]
        assert (rolled["doubtful_low"].tolist(), rolled["doubtful_high"].tolist()) == ([0, 1], [0, 3])
        assert SOURCES_KEYS[VERSION] in parquet.read_schema(path).metadata


def test_rows_left_out_of_cells_are_reported_by_later_processes(tmp_path: Path) -> None:
    """The roll-up file holds the damage, so that it is reported without reading the rows, until they are repaired."""
    put(tmp_path, window(0), window(1, start=START))
    path = next(tmp_path.glob("date=*/site=*/*.csv"))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\n1,", b"\nx,", 1))
    age_files(tmp_path)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    damages = DamageLog()
    assert Rollups(tmp_path, HOUR_S, lambda: LATER, damages.note).cells()["windows"].sum() == 1
    assert [damage.rows for damage in damages.all()] == [1]
    path.write_bytes(whole)
    assert Rollups(tmp_path, HOUR_S, lambda: LATER, damages.note).cells()["windows"].sum() == 2
    assert damages.all() == ()


def test_cells_of_one_site_are_read_without_those_of_others(tmp_path: Path) -> None:
    """They equal those of the whole month, also after late windows, and where the roll-up file is damaged."""
    put(tmp_path, *(window(number, site=f"shop-{number % 3}") for number in range(0, 6000, 13)))
    age_files(tmp_path)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    (saved,) = tmp_path.glob(f"_rollup/{HOUR_S}/2026-04.parquet")

    def of_site(rollups: Rollups) -> pd.DataFrame:
        return rollups.cells(site="shop-2").sort_values(["device", "start"], ignore_index=True)

    def compare(kept: Rollups) -> None:
        whole = Rollups(tmp_path, HOUR_S, lambda: LATER).cells().sort_values(["device", "start"], ignore_index=True)
        expected = whole[whole["site"] == "shop-2"].reset_index(drop=True)
        assert len(expected)
        for rollups in (kept, Rollups(tmp_path, HOUR_S, lambda: LATER)):
            pd.testing.assert_frame_equal(of_site(rollups), expected)

    damages = DamageLog()
    kept = Rollups(tmp_path, HOUR_S, lambda: LATER, damages.note)
    before = of_site(kept)["windows"].sum()
    put(tmp_path, window(2000, site="shop-2"), window(13, site="shop-1", device="other"), writer="w2")
    for path in tmp_path.glob("date=2026-03-29/site=shop-1/*-w2.csv"):
        path.write_text(path.read_text() + "no row\n")
    assert of_site(kept)["windows"].sum() == before + 1
    assert not damages.all(), "nothing was read of other sites"
    compare(kept)
    saved.write_bytes(saved.read_bytes()[:-3] + b"abc")
    compare(kept)
