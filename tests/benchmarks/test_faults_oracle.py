"""The fault bench's judges: they pass what is right, and each kind of wrong is found."""

import pytest

pytest.importorskip("skimage", reason="the script's walkers are scikit-image's portraits")
pytest.importorskip("inotify_simple", reason="the fault bench watches pictures with it")

from benchmarks.faults import live, oracle
from benchmarks.faults.acts import _judge_full
from benchmarks.faults.oracle import Start
from benchmarks.faults.script import PER_WINDOW, Count, expected, finished

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
    verdict = oracle.judge(starts, [*(row(seq) for seq in range(5)), row(0, "3" * 16)])
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
    verdict = oracle.judge([Start(BOOT, 5 * PER_WINDOW + 5)], rows)
    assert not verdict.good
    assert [kind for kind in ("lost", "doubles", "wrong") if getattr(verdict, kind)] == [wrong]


def test_doubtful_visits_are_not_counted_as_visits():
    """The columns between the models and the labels say how sure the counts are; the counts are the script's."""
    doubtful = {
        seq: dict.fromkeys(list(row(seq))[:7], "") | {"doubtful_low": "1", "doubtful_high": "2"} | row(seq)
        for seq in range(5)
    }
    assert oracle.judge([Start(BOOT, 5 * PER_WINDOW + 5)], doubtful.values()).good


def test_windows_in_memory_when_killed_are_drops_that_were_said():
    """Two said and two missing is right; two said and none missing is a count that errs."""
    start = Start(BOOT, 5 * PER_WINDOW + 5, in_memory=2)
    verdict = oracle.judge([start], [row(seq) for seq in range(3)])
    assert verdict.good
    assert verdict.dropped == 2
    assert not oracle.judge([start], [row(seq) for seq in range(5)]).good
    assert not oracle.judge([start], [row(seq) for seq in range(2)]).good


BEGIN = live.seconds("2026-03-28T09:00:00Z")


def frames(*spans, refused=()):
    """Five frames a second within spans of seconds."""
    taken = [BEGIN + tick / 5 for first, last in spans for tick in range(round(first * 5), round(last * 5) + 1)]
    return live.Frames(tuple(taken), tuple(BEGIN + at for at in refused))


def quiet(seq, start, **of):
    """A live window in which nobody passed."""
    return row(seq, start=start, **of) | {"happiness": "0", "neutral": "0"}


def test_a_live_window_must_say_that_its_camera_was_away():
    """Nine seconds without a camera: the windows in it cover less and say why, or it is wrong."""
    seen = frames((0, 5.2), (14.4, 15), refused=(7.4, 10.5))
    told = [quiet(0, 0), *(quiet(seq, 5 * seq, coverage="0.1", degraded="no_camera") for seq in (1, 2))]
    assert live.judge(told, seen, (), BEGIN).wrong == []
    silent = [told[0], told[1] | {"degraded": ""}, told[2]]
    assert ["does not say no_camera" in text for text in live.judge(silent, seen, (), BEGIN).wrong] == [True]
    full = [told[0], told[1] | {"coverage": "1.0"}, told[2]]
    assert ["says coverage 1.0" in text for text in live.judge(full, seen, (), BEGIN).wrong] == [True]


def test_a_window_without_frames_must_say_so_unless_it_is_too_short():
    """The first window ends at a round time, perhaps before the first frame. One of five seconds has no excuse."""
    short = quiet(0, 0) | {"end": "2026-03-28T09:00:00.010Z", "coverage": "0.0"}
    first = quiet(1, 0.01) | {"end": "2026-03-28T09:00:05Z"}
    assert live.judge([short, first], frames((0.2, 5)), (), BEGIN).wrong == []
    blind = [quiet(0, 0), quiet(1, 5, coverage="0.0"), quiet(2, 10)]
    wrong = live.judge(blind, frames((0, 4.8), (11.2, 15)), (), BEGIN).wrong
    assert ["does not say no_camera" in text for text in wrong] == [True]


def test_a_camera_that_was_given_up_may_refuse_late():
    """The thread that waited for it ends when the next camera has given frames already."""
    seen = frames((0, 5.2), (7.2, 15), refused=(7.4,))
    windows = [quiet(0, 0), quiet(1, 5, coverage="0.8"), quiet(2, 10)]
    assert live.judge(windows, seen, (), BEGIN).wrong == []


def test_a_machine_that_stands_still_is_no_fault_of_the_daemon():
    """No frame for four seconds, none refused: the window need not say ``no_camera``, and may cover 0.4."""
    seen = frames((0, 5.6), (9.6, 15))
    windows = [quiet(0, 0), quiet(1, 5, coverage="0.4"), quiet(2, 10)]
    assert live.judge(windows, seen, (), BEGIN).wrong == []


def test_each_gap_in_the_frames_may_lose_a_visit_or_split_it():
    """The second walk, from 10 to 17.4 s, is certain with all frames; with two gaps it is no visit or up to three."""
    windows = [*(quiet(seq, 5 * seq) for seq in range(4)), quiet(4, 20) | {"neutral": "1"}]
    whole = live.judge(windows, frames((0, 25)), (), BEGIN)
    torn = live.judge(windows, frames((0, 12), (12.6, 14), (14.6, 25)), (), BEGIN)
    assert (torn.least, torn.most) == (whole.least - 1, whole.most + 2)


def test_lost_late_and_double_windows_are_told_apart():
    """A window that the spool still holds is late; one that nobody holds is lost."""
    seen, windows = frames((0, 20)), [*(quiet(seq, 5 * seq) for seq in range(3)), quiet(3, 15) | {"neutral": "1"}]
    gap = [windows[0], windows[2], windows[3]]
    assert live.judge(windows, seen, (), BEGIN).wrong == []
    assert live.judge(gap, seen, (), BEGIN).wrong == ["live: lost: 1"]
    assert live.judge(gap, seen, {1, 4}, BEGIN).wrong == ["live: late, still in the spool: 1, 4"]
    assert live.judge([*windows, windows[1]], seen, (), BEGIN).wrong[0] == "live: stored twice: 1"
    assert live.judge(windows[:2], seen, (), BEGIN).wrong == ["live: lost: windows of the last 10.0 s"]
    late = [*windows[:3], windows[3] | {"start": "2026-03-28T09:00:16Z"}]
    assert ["starts 1.00 s after" in text for text in live.judge(late, seen, (), BEGIN).wrong] == [True]


def test_more_visits_than_walks_are_found():
    """Four visits of somebody where the script has at most two."""
    assert any(
        "visits" in text
        for text in live.judge(
            [
                quiet(
                    0,
                    0,
                )
                | {"neutral": "4"}
            ],
            frames((0, 5)),
            (),
            BEGIN,
        ).wrong
    )


def test_drops_on_a_full_disk_must_be_those_that_are_missing():
    """Two of six windows said to be dropped, and two beside each other missing; not one, not two apart."""

    def rows(*numbers):
        return [row(seq, start=2.0 * number) for seq, number in enumerate(numbers)]

    assert _judge_full(6, 2, rows(0, 1, 4, 5)).exact
    assert not _judge_full(6, 2, rows(0, 1, 3, 5)).exact
    assert not _judge_full(6, 2, rows(0, 1, 2, 4, 5)).exact
    assert not _judge_full(6, 1, rows(0, 1, 4, 5)).exact
