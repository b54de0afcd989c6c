"""Cells say what windows say, are read again when a file has changed, and outlive the files that they were made of."""

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
from collector.store.cells import HOUR_S, QUARTER_S, cell_s_for, cells
from collector.store.damage import Damages
from collector.store.load import load
from collector.store.rollup import FOLDER, Rollups
from collector.store.rollup_file import FIRST_PRINTS, PRINTS, SEAL, SECOND_PRINTS
from collector.store.rows import FIXED
from tests.support.store import START, put, window

ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]
LATER = START + timedelta(days=30)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Some windows of seconds to hours around the spring's change of clocks, of two label sets."""
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
    frame = pd.DataFrame(rows, columns=[*FIXED, "happiness", "calm", "unknown"])
    if draw(st.booleans()):
        doubtful = st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows))
        frame = frame.assign(doubtful_low=draw(doubtful), doubtful_high=draw(doubtful))
    return frame.astype(dict.fromkeys(["happiness", "calm", "unknown"], "float64"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tables(), st.sampled_from(ZONES))
def test_cells_summarise_to_what_windows_summarise_to(frame: pd.DataFrame, zone_name: str) -> None:
    """By hour, day, weekday, site and device, in zones off UTC by hours, halves, quarters, at a change of clocks."""
    zone = ZoneInfo(zone_name)
    span = (datetime(2026, 3, 28, tzinfo=timezone.utc), datetime(2026, 4, 2, tzinfo=timezone.utc))
    rolled = cells(frame, cell_s_for(zone, *span))
    for step_s in (HOUR_S, None):
        pd.testing.assert_frame_equal(by_time(rolled, step_s, zone, span), by_time(frame, step_s, zone, span))
    pd.testing.assert_frame_equal(by_weekday(rolled, zone, span), by_weekday(frame, zone, span))
    pd.testing.assert_frame_equal(by_site(rolled, span), by_site(frame, span))
    pd.testing.assert_frame_equal(by_device(rolled, span), by_device(frame, span))


def test_cells_refuse_buckets_that_begin_within_them() -> None:
    """Hours of UTC are no hours of Kolkata: an error, not a wrong sum."""
    kolkata = ZoneInfo("Asia/Kolkata")
    assert cell_s_for(kolkata, START, LATER) == QUARTER_S
    assert cell_s_for(ZoneInfo("Europe/Berlin"), START, LATER) == HOUR_S
    rolled = cells(pd.DataFrame([dict.fromkeys(FIXED, "x") | {
        "start": pd.Timestamp(START), "end": pd.Timestamp(START) + pd.Timedelta(minutes=1), "coverage": 1.0, "a": 1.0,
    }]))  # fmt: skip
    with pytest.raises(ValueError, match="within a cell"):
        by_time(rolled, HOUR_S, kolkata)


def settled(root: Path) -> None:
    """As if all had been written long ago."""
    for path in root.glob("date=*/site=*/*.csv"):
        os.utime(path, (START.timestamp(), START.timestamp()))


def test_a_file_that_has_grown_is_read_again_and_no_other(tmp_path: Path) -> None:
    """Cells of a day that is over come from the roll-up: its file may be unreadable as long as it has not changed."""
    put(tmp_path, window(0), window(1), window(1500))
    settled(tmp_path)
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
    assert rollups.cells()["happiness"].sum() == 12, "older days are looked at once a minute"
    rollups = Rollups(tmp_path, HOUR_S, lambda: START)
    rollups.cells()
    put(tmp_path, window(4))
    assert rollups.cells()["happiness"].sum() == 18, "recent ones always"


def test_cells_of_a_range_and_a_site_are_those_of_their_windows(tmp_path: Path) -> None:
    """Two writers have one window both; it counts once. A range is rounded outwards to hours."""
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


def test_a_folder_that_is_deleted_is_gone_unless_it_was_retired(tmp_path: Path) -> None:
    """Deleting a day by hand deletes its cells; what retention has retired stays, whatever comes late."""
    put(tmp_path, window(0), window(1), window(2))
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    rollups.retire((START + timedelta(days=1)).date())
    for day in ("28", "29"):
        shutil.rmtree(tmp_path / f"date=2026-03-{day}")
    frame = Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    assert list(frame["windows"]) == [2]
    put(tmp_path, window(3))
    assert list(Rollups(tmp_path, HOUR_S, lambda: LATER).cells()["windows"]) == [2]


def test_what_comes_while_a_day_is_retired_is_not_deleted_with_it(tmp_path: Path) -> None:
    """A day may be retired twice, if deleting it failed; but not with windows that no roll-up has: they stay in their
    file.
    """
    put(tmp_path, window(0))
    day = START.date()
    for _ in range(2):
        Rollups(tmp_path, HOUR_S, lambda: LATER).retire(day)
    put(tmp_path, window(0, device="late"))
    with pytest.raises(StoreFailed, match="came while it was retired"):
        Rollups(tmp_path, HOUR_S, lambda: LATER).retire(day)


def test_a_process_that_was_slower_replaces_nothing(tmp_path: Path) -> None:
    """The page adds up a month while the collector retires a day of it: what was retired stays."""
    put(tmp_path, window(0))
    settled(tmp_path)
    page = Rollups(tmp_path, HOUR_S, lambda: LATER)
    month = page._fresh(f"{START:%Y-%m}")
    Rollups(tmp_path, HOUR_S, lambda: LATER).retire(START.date())
    (kept,) = (tmp_path / FOLDER).glob("3600/*.parquet")
    before = kept.read_bytes()
    page._write(f"{START:%Y-%m}", month)
    assert kept.read_bytes() == before


def test_a_roll_up_that_is_broken_is_made_again(tmp_path: Path) -> None:
    """Half a file is no answer: the windows are read again, and the file is replaced."""
    put(tmp_path, window(0))
    settled(tmp_path)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    (kept,) = (tmp_path / FOLDER).glob("3600/*.parquet")
    kept.write_bytes(kept.read_bytes()[:200])
    assert Rollups(tmp_path, HOUR_S, lambda: LATER).cells()["windows"].sum() == 1
    assert kept.stat().st_size > 200


def test_an_empty_store_has_no_cells(tmp_path: Path) -> None:
    """Nor has one that is not there; a summary of them is one of gaps."""
    frame = Rollups(tmp_path / "none", HOUR_S, lambda: LATER).cells()
    assert frame.empty
    assert by_time(frame, HOUR_S, ZoneInfo("UTC"), (START, LATER))["windows"].sum() == 0


def flip(path: Path, bit: int) -> None:
    """Turn one bit of a file over, and leave its size and times as they were, as a dying disk does."""
    data, times = bytearray(path.read_bytes()), path.stat()
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_flipped_bit_in_a_roll_up_is_never_a_silent_difference(tmp_path: Path) -> None:
    """60 bits anywhere in a month's file or its checksum: equal totals or a notice, the damaged file is kept, and what
    is left of the rows is counted again.
    """
    put(tmp_path, *(window(number) for number in range(4)))
    settled(tmp_path)
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    rollups.retire(START.date())
    shutil.rmtree(tmp_path / f"date={START.date()}")
    rollups.deleted(START.date())
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / FOLDER, kept)
    chance = random.Random(8)
    noticed = 0
    for number in range(60):
        shutil.rmtree(tmp_path / FOLDER)
        shutil.copytree(kept, tmp_path / FOLDER)
        path = next((tmp_path / FOLDER).glob("3600/*.parquet" if number % 4 else "3600/*.sha256"))
        flip(path, chance.randrange(path.stat().st_size * 8))
        rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
        total, notices = rollups.cells()["happiness"].sum(), rollups.damages()
        assert total == 12 or notices, f"flip {number}: {total}"
        assert not notices or total == 9, "the rows that are still there"
        again = Rollups(tmp_path, HOUR_S, lambda: LATER)
        assert (again.cells()["happiness"].sum(), len(again.damages())) == (total, len(notices)), "the notice stays"
        noticed += bool(notices)
    assert noticed > 45


def test_a_roll_up_without_checksum_is_read_and_given_one(tmp_path: Path) -> None:
    """As versions before wrote it; one of this version without its checksum is damaged."""
    put(tmp_path, window(0))
    settled(tmp_path)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    (path,) = (tmp_path / FOLDER).glob("3600/*.parquet")
    seal = path.with_name(path.name + SEAL)
    table = parquet.read_table(path)
    metadata = {FIRST_PRINTS: table.schema.metadata[PRINTS]}
    seal.unlink()
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    assert rollups.cells()["windows"].sum() == 1
    assert len(rollups.damages()) == 1
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    shutil.rmtree(tmp_path / f"date={START.date()}")
    put(tmp_path, window(0))
    settled(tmp_path)
    seal.unlink(missing_ok=True)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    assert seal.exists()
    assert PRINTS in parquet.read_schema(path).metadata


def test_roll_ups_of_the_version_before_get_doubtful_visits(tmp_path: Path) -> None:
    """Days that have rows are made again from them; the hours of a retired day stay as they are, without doubts."""
    put(tmp_path, window(0, schema=2, doubtful_low=2), window(1, schema=2, doubtful_low=1, doubtful_high=3))
    settled(tmp_path)
    rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
    rollups.retire(START.date())
    shutil.rmtree(tmp_path / f"date={START.date()}")
    rollups.deleted(START.date())
    (path,) = (tmp_path / FOLDER).glob("3600/*.parquet")
    table = parquet.read_table(path)
    assert table["doubtful_low"].to_pylist() == [2, 1]
    old = table.drop_columns(["doubtful_low", "doubtful_high"])
    parquet.write_table(old.replace_schema_metadata({SECOND_PRINTS: table.schema.metadata[PRINTS]}), path)
    path.with_name(path.name + SEAL).write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    for _ in range(2):
        rollups = Rollups(tmp_path, HOUR_S, lambda: LATER)
        rolled = rollups.cells().sort_values("start")
        assert rollups.damages() == ()
        assert rolled["happiness"].tolist() == [3, 3]
        assert (rolled["doubtful_low"].tolist(), rolled["doubtful_high"].tolist()) == ([0, 1], [0, 3])
        assert PRINTS in parquet.read_schema(path).metadata


def test_what_was_left_out_of_cells_is_said_by_later_processes_too(tmp_path: Path) -> None:
    """The rows are not read again, but the notice is in the roll-up; when the file is put right, it is gone."""
    put(tmp_path, window(0), window(1, start=START))
    path = next(tmp_path.glob("date=*/site=*/*.csv"))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\n1,", b"\nx,", 1))
    settled(tmp_path)
    Rollups(tmp_path, HOUR_S, lambda: LATER).cells()
    damages = Damages()
    assert Rollups(tmp_path, HOUR_S, lambda: LATER, damages.note).cells()["windows"].sum() == 1
    assert [damage.rows for damage in damages.all()] == [1]
    path.write_bytes(whole)
    assert Rollups(tmp_path, HOUR_S, lambda: LATER, damages.note).cells()["windows"].sum() == 2
    assert damages.all() == ()
