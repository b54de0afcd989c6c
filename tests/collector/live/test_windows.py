"""The last day in memory answers as the files do, however windows arrive."""

import threading
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from collector.analysis.label_sets import with_label_set
from collector.analysis.summarise import by_time, device_count
from collector.live import windows
from collector.live.senders import Senders
from collector.live.windows import LiveWindows
from collector.store.compaction import compact
from collector.store.damage import DamageLog
from collector.store.load import load
from contract.message import Counts
from tests.support.brokers import wait_until
from tests.support.store import SEVEN, put, window

NOW = datetime(2026, 3, 3, 9, 30, 20, tzinfo=timezone.utc)
BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
AGES = ("child", "adult", "unknown")
ONE, OTHER, THIRD = "1" * 16, "2" * 16, "3" * 16


def live_windows(root: Path, now: datetime = NOW) -> LiveWindows:
    return LiveWindows(root, lambda: now, {}, DamageLog().note)


def missing(frame: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Missing numbers between the first and the last of each boot, by device."""
    boots = frame.groupby(["site", "device", "boot"])["seq"].agg(["min", "max", "nunique"])
    lacking = boots["max"] - boots["min"] + 1 - boots["nunique"]
    return {key: int(number) for key, number in lacking.groupby(level=[0, 1]).sum().items()}  # type: ignore[misc]


def twins(frame: pd.DataFrame) -> set[tuple[str, str]]:
    """Devices whose boots alternate, found row by row."""
    found = set()
    for key, rows in frame[frame["clock"] != "unsynced"].sort_values(["start", "boot"]).groupby(["site", "device"]):
        boots = rows["boot"].tolist()
        changes = sum(one != other for one, other in pairwise(boots))
        if changes >= len(set(boots)) - 1 + 3:
            found.add(key)
    return found  # type: ignore[return-value]


def table(frame: pd.DataFrame, step_s: int) -> pd.DataFrame:
    """The last hour of a table of windows of the last day: whole buckets, from the first with a window on."""
    frame = frame[frame["clock"] != "unsynced"]
    span = (NOW - HOUR - timedelta(seconds=step_s), NOW)
    over = by_time(frame, step_s, BERLIN, span)
    ended = frame[frame["end"] > pd.Timestamp(NOW - HOUR).floor("min")]
    over["coverage"] *= device_count(frame) / device_count(ended)
    over = over[over.index >= pd.Timestamp(span[0]).tz_convert(BERLIN) - timedelta(seconds=step_s)]
    whole = over[(over.index >= NOW - HOUR) & (over.index + pd.to_timedelta(over["seconds"], unit="s") <= NOW)]
    touched = np.flatnonzero(whole["windows"])
    return whole.iloc[touched[0] :]


def random_window(rng: np.random.Generator) -> Counts:
    """A window of the last 30 hours, of one of a few devices, boots, lengths and label sets."""
    length = MINUTE * int(rng.choice([1, 1, 1, 2, 15, 200])) + timedelta(seconds=int(rng.integers(0, 2) * 7))
    start = NOW - timedelta(seconds=int(rng.exponential(5000))) - length
    labels = SEVEN if rng.random() < 0.8 else AGES
    seq = int((start - NOW + 2 * DAY) / timedelta(seconds=10))  # in order of time, with numbers missing
    return window(
        seq, dict(zip(labels, rng.poisson(2, len(labels)).tolist(), strict=True)), start, end=start + length,
        site=f"shop-{rng.integers(3)}", device=f"door-{rng.integers(2)}",
        boot=str(rng.choice([ONE, ONE, OTHER])), coverage=float(rng.choice([1.0, 0.9])),
        degraded=("black",) if rng.random() < 0.1 else (), clock="unsynced" if rng.random() < 0.05 else "synced",
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_answers_equal_those_of_the_files(tmp_path: Path, seed: int) -> None:
    """Whatever order windows come in, late, repeated, by two collectors, or compacted meanwhile."""
    rng = np.random.default_rng(seed)
    live, sent = live_windows(tmp_path), list[Counts]()
    for turn in range(8):
        by_key = {each.key: each for each in (random_window(rng) for _ in range(40))}
        arriving = [by_key[key] for key in by_key.keys() - {each.key for each in sent}]
        repeats = [sent[at] for at in rng.integers(0, len(sent), 10)] if sent else []
        put(tmp_path, *arriving, *repeats, writer=str(rng.choice(["w1", "w2"])))
        sent += arriving
        if turn == 5:
            assert list(compact(tmp_path, NOW.date() + DAY))
        live.update()
    whole = load(tmp_path, NOW - DAY, NOW)
    for answering in (live, live_windows(tmp_path)):
        for chosen in (None, ["shop-0", "shop-2"]):
            last = answering.last_hour(BERLIN, chosen)
            frame, _ = with_label_set(whole if chosen is None else whole[whole["site"].isin(chosen)], last.sets[0].name)
            columns = list(last.table.columns)
            pd.testing.assert_frame_equal(last.table, table(frame, last.step_s)[columns], check_freq=False)
        lacking, ends = missing(whole), whole.groupby(["site", "device"])["end"].max()
        assert {key: answering.missing(key) for key in lacking} == lacking
        assert answering.twins() == twins(whole)
        assert {key: last.end for key, last in answering.last_windows().items()} == {
            key: end.to_pydatetime() for key, end in ends.items()
        }


def test_a_thread_takes_windows_without_a_question(tmp_path: Path) -> None:
    """The stamp changes by itself. Once the thread has ended, a question reads the files again."""
    live, stop = live_windows(tmp_path), threading.Event()
    thread = threading.Thread(target=live.follow, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: live.is_followed, "the thread has read the store")
        before = live.stamp()
        put(tmp_path, window(1, start=NOW - HOUR / 2))
        wait_until(lambda: live.stamp() != before, "the thread has taken the window")
        assert live.missing(("shop-1", "door")) == 0
    finally:
        stop.set()
        thread.join()
    put(tmp_path, window(5, start=NOW - HOUR / 4))
    assert live.missing(("shop-1", "door")) == 3


def test_what_is_older_than_a_day_is_forgotten(tmp_path: Path) -> None:
    """A day later nothing of it is left, neither in answers nor in memory; new windows are taken."""
    now = NOW
    put(tmp_path, *(window(n, start=NOW - (n + 2) * MINUTE) for n in range(9)))
    live = LiveWindows(tmp_path, lambda: now, {}, DamageLog().note)
    assert live.last_hour(BERLIN).table["visits"].sum() == pytest.approx(27)
    now = NOW + DAY + HOUR
    assert live.last_hour(BERLIN).table.empty
    assert (live.bytes, live.last_windows(), live.missing(("shop-1", "door"))) == (0, {}, None)
    put(tmp_path, window(99, start=now - 2 * MINUTE))
    assert live.last_hour(BERLIN).table["visits"].sum() == pytest.approx(3)


def test_a_rewritten_file_is_read_again(tmp_path: Path) -> None:
    """A row that was deleted is not counted any more; a line that is no row is reported with its number."""
    log = DamageLog()
    live = LiveWindows(tmp_path, lambda: NOW, {}, log.note)
    put(tmp_path, *(window(n, start=NOW - (n + 2) * MINUTE) for n in range(4)))
    assert live.last_hour(BERLIN).table["windows"].sum() >= 4
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2]))
    assert live.last_windows().keys() == {("shop-1", "door")}
    assert live.missing(("shop-1", "door")) == 0
    with path.open("a") as file:
        file.write("no row\n" + lines[3])
    assert live.missing(("shop-1", "door")) == 1
    (damage,) = log.all()
    assert (damage.rows, damage.reason.partition(":")[0]) == (1, "line 3")


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    """Also if it is as long as before: a person has corrected a digit."""
    put(tmp_path, *(window(n, start=NOW - (n + 2) * MINUTE) for n in range(4)))
    live = live_windows(tmp_path)
    assert live.last_hour(BERLIN).table["visits"].sum() == pytest.approx(12)
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    corrected = path.with_suffix(".new")
    corrected.write_text(path.read_text().replace(",3,", ",5,"))
    corrected.replace(path)
    assert live.last_hour(BERLIN).table["visits"].sum() == pytest.approx(20)


def test_a_window_counts_when_it_has_ended(tmp_path: Path) -> None:
    """A device whose clock is ahead has no last window in the future, needs no memory and is not counted; it is later.

    When the collector's own clock is set back, the day is read again.
    """
    now, early = NOW, NOW + 6 * HOUR
    put(tmp_path, window(1, start=early, degraded=("black",)), window(2, start=early + HOUR))
    live = LiveWindows(tmp_path, lambda: now, {}, DamageLog().note)
    last = live.last_hour(BERLIN)
    assert (last.since, last.sets, live.bytes, live.last_windows()) == (None, [], 0, {})
    now = early + 2 * MINUTE
    assert live.last_hour(BERLIN).table["visits"].sum() == pytest.approx(3)
    assert live.last_windows()["shop-1", "door"].degraded == ("black",)
    assert live.missing(("shop-1", "door")) == 0
    now = early + 2 * DAY
    assert live.last_windows() == {}
    now = early + 2 * HOUR
    assert live.last_windows()["shop-1", "door"].end == early + HOUR + MINUTE


def test_a_thread_goes_on_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failure is logged once, and what was half read then is read again."""
    faults: list[Exception] = [ValueError("a mistake"), ValueError("a mistake"), OSError("no disk")]
    take = Senders.add

    def add(senders: Senders, *table: Any) -> Any:
        if faults:
            raise faults.pop(0)
        return take(senders, *table)

    monkeypatch.setattr(Senders, "add", add)
    monkeypatch.setattr(windows, "RETRY_AFTER_S", 0.01)
    put(tmp_path, window(1, start=NOW - HOUR / 2))
    live, stop = live_windows(tmp_path), threading.Event()
    thread = threading.Thread(target=live.follow, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: live.is_followed, "the thread has read the store")
        assert live.missing(("shop-1", "door")) == 0
    finally:
        stop.set()
        thread.join()
    logged = [record.getMessage() for record in caplog.records if "live_not_read" in record.getMessage()]
    assert [("a mistake" in text, "no disk" in text) for text in logged] == [(True, False), (False, True)]


def test_numbers_that_have_not_arrived_are_missing_until_they_come(tmp_path: Path) -> None:
    live, start = live_windows(tmp_path), NOW - HOUR
    put(tmp_path, *(window(n, start=start + n * MINUTE) for n in (0, 1, 4, 6)))
    assert live.missing(("shop-1", "door")) == 3
    put(tmp_path, *(window(n, start=start + n * MINUTE) for n in (2, 3, 5)))
    assert live.missing(("shop-1", "door")) == 0, "windows that arrive late fill the gap"


@pytest.mark.parametrize(
    ("boots", "found"),
    [
        ([ONE] * 4 + [OTHER] * 4 + [THIRD] * 2, False),
        ([ONE] * 3 + [OTHER, ONE] + [OTHER] * 3, False),
        ([ONE, OTHER] * 4, True),
        (([ONE] * 3 + [OTHER] * 3) * 2 + [ONE] * 3, True),
    ],
    ids=["restarts", "one window out of order", "alternating", "alternating in longer runs"],
)
def test_boots_of_twins_alternate_and_restarts_do_not(tmp_path: Path, boots: list[str], found: bool) -> None:
    """Two devices with one name send in the same minutes; one that restarts never goes back to an older boot."""
    start = NOW - HOUR
    put(tmp_path, *[window(at, boot=boot, start=start + at * MINUTE) for at, boot in enumerate(boots)])
    live = live_windows(tmp_path)
    assert live.twins() == ({("shop-1", "door")} if found else set())
    assert live.is_twin(("shop-1", "door")) == found
