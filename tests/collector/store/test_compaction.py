"""Compaction turns closed days into Parquet files; every reader sees each window once, whatever interrupts it."""

import fcntl
import os
import shutil
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from types import FrameType

import pandas as pd
import pytest

from collector.errors import StoreRefused
from collector.receive.daily_compaction import DailyCompaction
from collector.rollups.cells import HOUR_S
from collector.rollups.rollup import Rollups
from collector.settings import Store
from collector.store import compaction
from collector.store.compaction import Compacted, compact
from collector.store.load import load
from collector.store.writer import StoreWriter
from tests.support.analyst_guide import collector
from tests.support.fakes import lines_of
from tests.support.store import START, put, window

BEFORE = date(2026, 4, 1)
STEP = 37
"""Every so many lines of the compaction it is stopped. A prime, so that loops do not hide lines."""
ODD = {"calm": 4, "happiness": 2, "unknown": 1}


def fill(root: Path) -> None:
    """Store windows of two days, two label sets and two writers, some of them twice, one with doubtful visits."""
    windows = [window(number) for number in range(6)]
    put(root, *windows, window(7, schema=2, doubtful_low=2, doubtful_high=1), window(8, ODD))
    put(root, *windows[:3], window(9, site="007", device="NA"), writer="w2")


def run(root: Path, **options: bool) -> Compacted:
    """Compact a store; return the sum over its days."""
    return sum((done for _, done in compact(root, BEFORE, **options)), Compacted())


def test_windows_are_the_same_after_compaction(tmp_path: Path) -> None:
    """`load`, `summary` and the roll-ups give the same values; no CSV file is left."""
    fill(tmp_path)
    before, total = load(tmp_path), collector("summary", "--root", tmp_path, "--by", "site", "--csv").stdout
    cells = Rollups(tmp_path, HOUR_S, lambda: START).cells()
    done = run(tmp_path)
    assert (done.files, done.windows, done.left) == (7, 12, 0)
    assert not list(tmp_path.glob("date=*/site=*/*.csv"))
    assert len(list(tmp_path.glob("date=*/site=*/counts-*.parquet"))) == 7
    pd.testing.assert_frame_equal(load(tmp_path), before)
    assert collector("summary", "--root", tmp_path, "--by", "site", "--csv").stdout == total
    order = [*cells.columns[:7]]
    after = Rollups(tmp_path, HOUR_S, lambda: START).cells()
    pd.testing.assert_frame_equal(
        after.sort_values(order).reset_index(drop=True),
        cells.sort_values(order).reset_index(drop=True)[after.columns],
    )


def test_late_windows_are_merged_and_repeats_are_recognised(tmp_path: Path) -> None:
    """After compaction a repeat is not stored again, also in a new process; a late window is merged at the next one."""
    put(tmp_path, window(1), window(3))
    run(tmp_path)
    assert put(tmp_path, window(1), window(2), window(3)) == [False, True, False]
    assert len(load(tmp_path)) == 3
    done = run(tmp_path)
    assert (done.files, done.windows) == (1, 3)
    assert put(tmp_path, window(2)) == [False]
    assert load(tmp_path)["seq"].tolist() == [1, 2, 3]
    assert run(tmp_path) == Compacted()


def test_a_writer_goes_on_while_its_files_are_compacted(tmp_path: Path) -> None:
    """A writer whose file is deleted under it begins a new one and still knows the keys of the old one."""
    with StoreWriter(tmp_path, "w1") as store:
        assert store.add(window(1))
        store.flush()
        run(tmp_path)
        assert [store.add(window(1)), store.add(window(2))] == [False, True]
        store.flush()
    assert load(tmp_path)["seq"].tolist() == [1, 2]


def test_windows_that_come_during_compaction_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that is appended after the files were read is compacted by the next attempt, or stays in its file."""
    put(tmp_path, window(1))
    number = iter(range(2, 4))
    real = compaction._verify

    def verify_late(*given: object) -> None:
        real(*given)
        for seq in number:
            put(tmp_path, window(seq))
            return

    monkeypatch.setattr(compaction, "_verify", verify_late)
    assert run(tmp_path).windows == 3
    assert load(tmp_path)["seq"].tolist() == [1, 2, 3]


def test_damaged_files_stay(tmp_path: Path) -> None:
    """A CSV file with a line that is no row, and one beside a damaged Parquet file, stay as they are."""
    put(tmp_path, window(1), window(2, ODD))
    (seven, odd) = sorted(tmp_path.glob("date=2026-03-29/site=*/*.csv"), key=lambda path: "calm" in path.read_text())
    seven.write_text(seven.read_text() + "junk\n")
    assert (run(tmp_path).files, run(tmp_path).left, seven.exists(), odd.exists()) == (1, 1, True, False)
    (parquet,) = tmp_path.glob("date=*/site=*/*.parquet")
    content = bytearray(parquet.read_bytes())
    content[len(content) // 2] ^= 1
    parquet.write_bytes(content)
    put(tmp_path, window(3, ODD))
    done = run(tmp_path)
    assert (done.files, done.left) == (0, 2)
    with lines_of("collector.store.damage") as logged:
        assert load(tmp_path)["seq"].tolist() == [1, 3]
    assert any(parquet.name in text for text in logged)


def test_csv_files_can_be_kept(tmp_path: Path) -> None:
    """With keep_csv the rows stay in files with an underscore, which no reader opens."""
    put(tmp_path, window(1))
    run(tmp_path, keep_csv=True)
    put(tmp_path, window(2))
    run(tmp_path, keep_csv=True)
    names = sorted(path.name[:8] for path in tmp_path.glob("date=*/site=*/*.csv"))
    assert names == ["_counts-", "_counts-"]
    assert load(tmp_path)["seq"].tolist() == [1, 2]


def test_only_one_compaction_runs(tmp_path: Path) -> None:
    """A second compaction is refused, and nothing is compacted twice."""
    put(tmp_path, window(1), window(2, start=START + timedelta(days=2)))
    days = compact(tmp_path, BEFORE)
    next(days)
    with pytest.raises(StoreRefused, match="another compaction runs"):
        next(compact(tmp_path, BEFORE))


class Killed(BaseException):
    """Stands for the end of the process. No code of the compaction handles it, and the system drops its locks."""


def killed_after(root: Path, lines: int) -> bool:
    """Compact a store and stop at a line of the store's code; return whether it was reached."""
    left = lines

    def trace(frame: FrameType, _event: str, _argument: object) -> object:
        nonlocal left
        if "collector/store" not in frame.f_code.co_filename:
            return None
        left -= 1
        if left < 0:
            raise Killed
        return trace

    sys.settrace(trace)
    try:
        run(root)
    except Killed:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_kill_loses_nothing(tmp_path: Path) -> None:
    """Stopped at any line, and compacted again, every window is there once, and repeats are recognised."""
    put(tmp_path / "store", window(1))
    run(tmp_path / "store")
    put(tmp_path / "store", window(2))
    lines, was_reached = 0, True
    while was_reached:
        root = tmp_path / str(lines)
        shutil.copytree(tmp_path / "store", root)
        was_reached = killed_after(root, lines)
        assert load(root)["seq"].tolist() == [1, 2]
        assert put(root, window(1), window(2)) == [False, False]
        run(root)
        (parquet,) = root.glob("date=*/site=*/counts-*")
        assert pd.read_parquet(parquet)["seq"].tolist() == [1, 2]
        lines += STEP
    assert lines > 10 * STEP


def test_the_command_compacts_and_reports(tmp_path: Path) -> None:
    """`compact` takes the days from option or settings, prints what it did, and refuses what is no number of days."""
    put(tmp_path, window(1))
    done = collector("compact", "--root", tmp_path, "--days", "3")
    assert done.stdout.startswith("1 CSV files (")
    assert "event=compacted date=2026-03-29 files=1 windows=1" in done.stderr
    assert "--days: must be a whole number" in collector("compact", "--root", tmp_path, "--days", "0", status=2).stderr
    missing = collector("compact", "--root", tmp_path / "none", status=2).stderr
    assert "must be an existing folder" in missing


def test_the_receiver_compacts_once_a_day(tmp_path: Path) -> None:
    """The process starts at once, again on the next day, and an hour after a failure."""
    put(tmp_path, window(1))
    now = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
    daily = DailyCompaction(Store(root=str(tmp_path), compact_after_days=2), lambda: now)
    wait_for(daily)
    assert list(tmp_path.glob("date=*/site=*/*.parquet"))
    put(tmp_path, window(2))
    wait_for(daily)
    assert list(tmp_path.glob("date=*/site=*/*.csv")), "compacted once a day"
    now += timedelta(days=1)
    wait_for(daily)
    assert not list(tmp_path.glob("date=*/site=*/*.csv"))
    now += timedelta(days=1)
    put(tmp_path, window(3))
    with (tmp_path / "compact.lock").open() as lock, lines_of("collector.receive.daily_compaction") as logged:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wait_for(daily)
    assert "event=compaction_failed" in logged[0]
    wait_for(daily)
    assert list(tmp_path.glob("date=*/site=*/*.csv")), "not before an hour"
    now += timedelta(hours=1)
    wait_for(daily)
    assert not list(tmp_path.glob("date=*/site=*/*.csv"))


def wait_for(daily: DailyCompaction) -> None:
    """Let a process that is due run until it ends."""
    daily.update()
    if daily._process is not None:
        os.waitid(os.P_PID, daily._process.pid, os.WEXITED | os.WNOWAIT)
        daily.update()
