"""The fault bench's judges: they pass what is right, and each kind of wrong is found."""

import pytest

pytest.importorskip("skimage", reason="the script's walkers are scikit-image's portraits")
pytest.importorskip("inotify_simple", reason="the fault bench watches pictures with it")

from benchmarks.faults import expected_counts, live_windows
from benchmarks.faults.expected_counts import Start
from benchmarks.faults.phases import _judge_full
from benchmarks.faults.scripted_walks import PER_WINDOW, Count, expected, finished

BOOT = "1" * 16


def row(seq, boot=BOOT, start=0.0, **of):
    """A row of the CSV that holds what the script says of this window."""
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


def test_the_script_has_five_visits_a_loop():
    """Three of the one who smiles, in the windows in which they are gone; the next loop is the same."""
    happy, other = Count(happy=1), Count(other=1)
    assert {number: expected(number) for number in range(10) if expected(number) != Count()} == {
        2: happy, 4: other, 6: happy, 8: other, 9: happy,
    }  # fmt: skip
    assert [expected(number) for number in range(10, 20)] == [expected(number) for number in range(10)]


@pytest.mark.parametrize(
    ("frames", "ended", "may"),
    [
        (0, False, [0]),
        (PER_WINDOW + 1, False, [0]),
        (PER_WINDOW + 2, False, [0, 1]),  # the frame that ends the window was opened: it may be on disk
        (PER_WINDOW + 3, False, [1]),  # the one after was asked for: it is
        (5 * PER_WINDOW + 9, False, [5]),
        (2 * PER_WINDOW + 5, True, [3]),  # at the end the open window goes out as well
        (2 * PER_WINDOW + 1, True, [2]),
    ],
)
def test_pictures_asked_for_say_how_many_windows_are_over(frames, ended, may):
    """Exactly, but for a kill between the last frame of a window and the next."""
    assert list(finished(frames, ended=ended)) == may


def test_what_is_right_passes():
    """A start that was killed after five windows, one after none, one that came to its end."""
    starts = [Start(BOOT, 5 * PER_WINDOW + 5), Start("2" * 16, 3), Start("3" * 16, PER_WINDOW + 1, ended=True)]
    verdict = expected_counts.judge(starts, [*(row(seq) for seq in range(5)), row(0, "3" * 16)])
    assert verdict.good
    assert (verdict.windows, verdict.cut) == (6, 2)


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([row(0), row(1), row(3), row(4)], "lost"),
        ([row(0), row(1), row(2), row(3)], "lost"),
        ([*(row(seq) for seq in range(5)), row(2)], "doubles"),
        ([*(row(seq) for seq in range(5)), row(5)], "wrong"),
        ([*(row(seq) for seq in range(5)), row(0, "9" * 16)], "wrong"),
        ([*(row(seq) for seq in range(4)), row(4, happiness="1")], "wrong"),
    ],
    ids=["one missing", "the last missing", "one twice", "one too many", "of nobody", "other counts"],
)
def test_each_kind_of_wrong_is_found(rows, wrong):
    """A window lost, doubled, invented, or with other visits than the script's."""
    verdict = expected_counts.judge([Start(BOOT, 5 * PER_WINDOW + 5)], rows)
    assert not verdict.good
    assert [kind for kind in ("lost", "doubles", "wrong") if getattr(verdict, kind)] == [wrong]


def test_doubtful_visits_are_not_counted_as_visits():
    """The columns between the models and the labels say how sure the counts are; the counts are the script's."""
    doubtful = {
        seq: dict.fromkeys(list(row(seq))[:7], "") | {"doubtful_low": "1", "doubtful_high": "2"} | row(seq)
        for seq in range(5)
    }
    assert expected_counts.judge([Start(BOOT, 5 * PER_WINDOW + 5)], doubtful.values()).good


def test_windows_in_memory_when_killed_are_drops_that_were_said():
    """Two said and two missing is right; two said and none missing is a count that errs."""
    start = Start(BOOT, 5 * PER_WINDOW + 5, in_memory=2)
    verdict = expected_counts.judge([start], [row(seq) for seq in range(3)])
    assert verdict.good
    assert verdict.dropped == 2
    assert not expected_counts.judge([start], [row(seq) for seq in range(5)]).good
    assert not expected_counts.judge([start], [row(seq) for seq in range(2)]).good


def test_a_live_window_must_say_that_its_camera_was_away():
    """Nine seconds without a camera: the windows in it cover less and say why, or it is wrong; so is a gap."""
    begin = live_windows.seconds("2026-03-28T09:00:00Z")
    away = [[begin + 5.2, begin + 14.5]]
    told = [row(0), row(1, start=5, coverage="0.2", degraded="no_camera"), row(2, start=10, degraded="no_camera")]
    silent = [row(0), row(1, start=5, coverage="0.2"), row(2, start=10, coverage="0.1", degraded="no_camera")]
    told[2]["coverage"] = "0.1"
    quiet = [each | {"happiness": "0", "neutral": "0"} for each in told]
    assert live_windows.judge(quiet, away, begin).wrong == []
    assert any("does not say so" in text for text in live_windows.judge(silent, away, begin).wrong)
    full = [each | {"coverage": "1.0"} for each in quiet]
    assert any("covers 1.0" in text for text in live_windows.judge(full, away, begin).wrong)
    gap = [quiet[0], quiet[1], quiet[2] | {"start": "2026-03-28T09:00:11Z", "seq": "3"}]
    assert len(live_windows.judge(gap, away, begin).wrong) == 2
    assert any("visits" in text for text in live_windows.judge([quiet[0] | {"neutral": "4"}], [], begin).wrong)


def test_drops_on_a_full_disk_must_be_those_that_are_missing():
    """Two of six windows said to be dropped, and two beside each other missing; not one, not two apart."""

    def rows(*numbers):
        return [row(seq, start=2.0 * number) for seq, number in enumerate(numbers)]

    assert _judge_full(6, 2, rows(0, 1, 4, 5)).exact
    assert not _judge_full(6, 2, rows(0, 1, 3, 5)).exact
    assert not _judge_full(6, 2, rows(0, 1, 2, 4, 5)).exact
    assert not _judge_full(6, 1, rows(0, 1, 4, 5)).exact
