"""The checks of the fault benchmark accept correct results and find each kind of error."""

import random
import sys
import time

import pytest

pytest.importorskip("skimage", reason="scikit-image provides the portraits")
pytest.importorskip("inotify_simple", reason="the fault benchmark watches opened images with inotify")

from benchmarks.faults import expected_counts, live_windows
from benchmarks.faults.camera_frames import CameraFrames
from benchmarks.faults.expected_counts import DaemonStart
from benchmarks.faults.fault_schedule import START_REFUSED, FaultSchedule
from benchmarks.faults.opened_files import OpenedFiles
from benchmarks.faults.phases import compare_full_disk
from benchmarks.faults.processes import RestartableProcess
from benchmarks.faults.rig import Rig
from benchmarks.faults.scripted_walks import FRAMES_PER_WINDOW, VisitCounts, finished_windows
from benchmarks.faults.scripted_walks import expected_counts as expected
from benchmarks.faults.small_disk import SmallDisk

BOOT = "1" * 16


def row(seq, boot=BOOT, start=0.0, **of):
    """Return a row of the CSV with the expected counts of a window."""
    count = expected(seq)
    fields = {
        "boot": boot,
        "seq": str(seq),
        "start": f"2026-03-28T09:00:{start:06.3f}Z",
        "end": f"2026-03-28T09:00:{start + 5:06.3f}Z",
        "coverage": "1.0",
        "degraded": "",
        "model_expression": "expression@0",
        "happiness": str(count.happy),
        "neutral": str(count.other),
        "unknown": "0",
    }
    return fields | of


def test_the_loop_has_five_visits():
    """Three visits of the smiling person and two of the other end in the windows in which they leave."""
    happy, other = VisitCounts(happy=1), VisitCounts(other=1)
    assert {number: expected(number) for number in range(10) if expected(number) != VisitCounts()} == {
        2: happy, 4: other, 6: happy, 8: other, 9: happy,
    }  # fmt: skip
    assert [expected(number) for number in range(10, 20)] == [expected(number) for number in range(10)]


@pytest.mark.parametrize(
    ("frames", "ended", "possible"),
    [
        (0, False, [0]),
        (FRAMES_PER_WINDOW + 1, False, [0]),
        (FRAMES_PER_WINDOW + 2, False, [0, 1]),  # the frame that ends the window was opened: it may be on disk
        (FRAMES_PER_WINDOW + 3, False, [1]),  # the frame after that was opened: it is on disk
        (5 * FRAMES_PER_WINDOW + 9, False, [5]),
        (2 * FRAMES_PER_WINDOW + 5, True, [3]),  # at the end the open window is sent as well
        (2 * FRAMES_PER_WINDOW + 1, True, [2]),
    ],
)
def test_opened_images_tell_how_many_windows_are_finished(frames, ended, possible):
    """The number is exact, except after a kill between the last frame of a window and the next but one."""
    assert list(finished_windows(frames, ended=ended)) == possible


def test_correct_rows_pass():
    """A start killed after five windows, one killed before the first, and one that reached its end."""
    starts = [
        DaemonStart(BOOT, 5 * FRAMES_PER_WINDOW + 5),
        DaemonStart("2" * 16, 3),
        DaemonStart("3" * 16, FRAMES_PER_WINDOW + 1, ended=True),
    ]
    result = expected_counts.compare(starts, [*(row(seq) for seq in range(5)), row(0, "3" * 16)])
    assert result.passed
    assert (result.windows, result.open_windows) == (6, 2)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([row(0), row(1), row(3), row(4)], "lost"),
        ([row(0), row(1), row(2), row(3)], "lost"),
        ([*(row(seq) for seq in range(5)), row(2)], "duplicates"),
        ([*(row(seq) for seq in range(5)), row(5)], "wrong"),
        ([*(row(seq) for seq in range(5)), row(0, "9" * 16)], "wrong"),
        ([*(row(seq) for seq in range(4)), row(4, happiness="1")], "wrong"),
    ],
    ids=["one missing", "the last missing", "one twice", "one too many", "unknown boot", "other counts"],
)
def test_each_kind_of_error_is_found(rows, error):
    """A window that is lost, repeated, never counted, or has other counts is reported."""
    result = expected_counts.compare([DaemonStart(BOOT, 5 * FRAMES_PER_WINDOW + 5)], rows)
    assert not result.passed
    assert [kind for kind in ("lost", "duplicates", "wrong") if getattr(result, kind)] == [error]


def test_doubtful_visits_are_not_counted_as_visits():
    """The columns of doubtful visits, between the models and the labels, are ignored."""
    doubtful = {
        seq: dict.fromkeys(list(row(seq))[:7], "") | {"doubtful_low": "1", "doubtful_high": "2"} | row(seq)
        for seq in range(5)
    }
    assert expected_counts.compare([DaemonStart(BOOT, 5 * FRAMES_PER_WINDOW + 5)], doubtful.values()).passed


def test_windows_in_memory_at_a_kill_are_logged_drops():
    """With two windows logged as in memory, exactly two must be missing."""
    start = DaemonStart(BOOT, 5 * FRAMES_PER_WINDOW + 5, in_memory=2)
    result = expected_counts.compare([start], [row(seq) for seq in range(3)])
    assert result.passed
    assert result.dropped == 2
    assert not expected_counts.compare([start], [row(seq) for seq in range(5)]).passed
    assert not expected_counts.compare([start], [row(seq) for seq in range(2)]).passed


BEGIN = live_windows.seconds("2026-03-28T09:00:00Z")


def frames(*intervals, refused=()):
    """Return five delivered frames a second within intervals of seconds."""
    delivered = [BEGIN + tick / 5 for begin, end in intervals for tick in range(round(begin * 5), round(end * 5) + 1)]
    return CameraFrames(tuple(delivered), tuple(BEGIN + at for at in refused))


def empty(seq, start, **of):
    """Return a row of a live window without visits."""
    return row(seq, start=start, **of) | {"happiness": "0", "neutral": "0"}


def errors(rows, camera_frames, in_spool=()):
    return live_windows.check(rows, camera_frames, in_spool, BEGIN).wrong


def test_a_live_window_must_report_a_camera_outage():
    """Windows in an outage of 9 s must have less coverage and say `no_camera`."""
    camera = frames((0, 5.2), (14.4, 15), refused=(7.4, 10.5))
    rows = [empty(0, 0), *(empty(seq, 5 * seq, coverage="0.1", degraded="no_camera") for seq in (1, 2))]
    assert errors(rows, camera) == []
    silent = [rows[0], rows[1] | {"degraded": ""}, rows[2]]
    assert ["does not say no_camera" in text for text in errors(silent, camera)] == [True]
    covered = [rows[0], rows[1] | {"coverage": "1.0"}, rows[2]]
    assert ["coverage 1.0" in text for text in errors(covered, camera)] == [True]


def test_a_window_without_frames_must_report_it_unless_it_is_short():
    """A first window may end before the first frame; a window of five seconds without frames must say `no_camera`."""
    short = empty(0, 0) | {"end": "2026-03-28T09:00:00.010Z", "coverage": "0.0"}
    first = empty(1, 0.01) | {"end": "2026-03-28T09:00:05Z"}
    assert errors([short, first], frames((0.2, 5))) == []
    blind = [empty(0, 0), empty(1, 5, coverage="0.0"), empty(2, 10)]
    assert ["does not say no_camera" in text for text in errors(blind, frames((0, 4.8), (11.2, 15)))] == [True]


def test_a_camera_that_was_given_up_may_refuse_late():
    """A refusal while the next camera delivers frames already is not an outage."""
    camera = frames((0, 5.2), (7.2, 15), refused=(7.4,))
    assert errors([empty(0, 0), empty(1, 5, coverage="0.8"), empty(2, 10)], camera) == []


def test_a_slow_machine_is_no_fault_of_the_daemon():
    """If no frame is delivered for four seconds and none refused, the window need not say `no_camera`."""
    camera = frames((0, 5.6), (9.6, 15))
    assert errors([empty(0, 0), empty(1, 5, coverage="0.4"), empty(2, 10)], camera) == []


def test_each_gap_in_the_frames_may_lose_or_split_a_visit():
    """The walk from 10 to 17.4 s is one visit with all frames; with two gaps it is none or up to three."""
    rows = [*(empty(seq, 5 * seq) for seq in range(4)), empty(4, 20) | {"neutral": "1"}]
    complete = live_windows.check(rows, frames((0, 25)), (), BEGIN)
    gaps = live_windows.check(rows, frames((0, 12), (12.6, 14), (14.6, 25)), (), BEGIN)
    assert (gaps.least, gaps.most) == (complete.least - 1, complete.most + 2)


def test_lost_late_and_repeated_windows_are_told_apart():
    """A missing window that the spool still has is late; one that it has not is lost."""
    camera, rows = frames((0, 20)), [*(empty(seq, 5 * seq) for seq in range(3)), empty(3, 15) | {"neutral": "1"}]
    gap = [rows[0], rows[2], rows[3]]
    assert errors(rows, camera) == []
    assert errors(gap, camera) == ["live: lost: 1"]
    assert errors(gap, camera, {1, 4}) == ["live: late, still in the spool: 1, 4"]
    assert errors([*rows, rows[1]], camera)[0] == "live: stored twice: 1"
    assert errors(rows[:2], camera) == ["live: lost: windows of the last 10.0 s"]
    late = [*rows[:3], rows[3] | {"start": "2026-03-28T09:00:16Z"}]
    assert ["starts 1.00 s after" in text for text in errors(late, camera)] == [True]


def test_more_visits_than_walks_are_found():
    """Four visits are an error where the walks give at most two."""
    assert any("visits" in text for text in errors([empty(0, 0) | {"neutral": "4"}], frames((0, 5))))


def test_drops_on_a_full_disk_must_be_the_missing_windows():
    """With two of six windows logged as dropped, exactly two consecutive windows must be missing."""

    def rows(*numbers):
        return [row(seq, start=2.0 * number) for seq, number in enumerate(numbers)]

    assert compare_full_disk(6, 2, rows(0, 1, 4, 5)).exact
    assert not compare_full_disk(6, 2, rows(0, 1, 3, 5)).exact
    assert not compare_full_disk(6, 2, rows(0, 1, 2, 4, 5)).exact
    assert not compare_full_disk(6, 1, rows(0, 1, 4, 5)).exact


def test_a_disk_that_was_full_for_a_part_of_a_start_explains_its_end(tmp_path):
    """A daemon that a full disk has refused may end after the disk has room again."""
    disk, before = SmallDisk(tmp_path), time.monotonic()
    assert not disk.was_full_since(before)
    (tmp_path / "filler").touch()
    assert disk.was_full_since(before)
    disk.empty()
    assert disk.was_full_since(before)
    assert not disk.was_full_since(time.monotonic())


def ended_start(folder, printed, *, full):
    """Return the schedule after a start of the replay daemon that ended with status 2; the disk may have been full."""
    command = (sys.executable, "-c", f"print({printed!r}); raise SystemExit(2)")
    replay, disk = RestartableProcess("replay", command, folder), SmallDisk(folder)
    (folder / "images").mkdir(exist_ok=True)
    opened = OpenedFiles(folder / "images")
    rig = Rig(folder, None, None, replay, None, None, disk, None, opened)  # the rest is not used
    rig.start_replay()
    if full:
        (folder / "filler").touch()
        disk.empty()
    replay.wait(60.0)
    schedule = FaultSchedule(rig, random.Random(1))
    schedule._restart_replay()
    opened.close()
    return schedule


def test_only_a_disk_that_was_full_explains_a_refused_start(tmp_path):
    """A start that ends before its spool is open is expected then; one that has logged its boot id never is."""
    refused = ended_start(tmp_path, "database or disk is full", full=True)
    assert (refused.faults[START_REFUSED], refused.rig.unexpected) == (1, [])
    for printed, full in (("wrong key", False), (f"event=boot id={BOOT}", True)):
        schedule = ended_start(tmp_path, printed, full=full)
        (complaint,) = schedule.rig.unexpected
        assert (schedule.faults[START_REFUSED], printed in complaint) == (0, True)


def test_a_complaint_shows_the_last_lines_of_the_log(tmp_path):
    """The text names the log of the latest start and ends with its last ten lines."""
    command = (sys.executable, "-c", "print(*range(30), sep='\\n'); raise SystemExit('it failed')")
    process = RestartableProcess("replay", command, tmp_path)
    process.start()
    assert process.wait(60.0) == 1
    first, *rest = process.complaint("exit status 1").splitlines()
    assert first == "replay-001.log: exit status 1"
    assert [each.strip() for each in rest] == [*map(str, range(21, 30)), "it failed"]
