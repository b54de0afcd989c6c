"""The pipeline and its frame analyzer on scripted faces, and the clocks that stamp its windows."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from contract.message import Privacy
from edge.build import first_window_s
from edge.errors import ClipError
from edge.pipeline import window_converter
from edge.system.clock import MonotonicClock, ReplayClock, boot_id, floor_to_grid, is_synchronised, round_to_grain
from edge.system.thermal import ThermalThrottle
from edge.values import Frame, MissingFrame, Window
from edge.vision.motion_gate import MotionGate
from tests.support.fakes import BEGIN, counts, each_frame, lines_of, swaying
from tests.support.scripted import IDENTITY, MODELS, PIXELS, Recorder, ScriptedFaces, scripted_pipeline


def standing(begin, end):
    """A person who stands in view between two seconds."""
    return lambda time: [swaying(320, 240, time)] if begin <= time <= end else []


def nobody(time):
    return []


def test_visit_goes_through_all_stages():
    """A person in view for three seconds is counted once, as happy, in the window in which the visit ended."""
    faces = ScriptedFaces(standing(58, 61))
    pipeline, spool = scripted_pipeline(faces, faces.frames(each_frame(10, 0, 125)))
    pipeline.run()
    assert spool.happy == [0, 1, 0]
    assert [(window.start - BEGIN).total_seconds() for window in spool.windows] == [0, 60, 120]
    assert spool.pumped >= 1250


def test_visit_that_is_open_at_the_end_is_counted():
    """A file that ends while a person is in view counts the visit, also if it ends together with a window."""
    for end in (30, 60, 61):
        faces = ScriptedFaces(standing(end - 3, end))
        pipeline, spool = scripted_pipeline(faces, faces.frames(each_frame(10, 0, end)))
        pipeline.run()
        assert sum(spool.happy) == 1


def test_visit_ends_while_the_camera_is_away():
    """A visit counts in the window in which it ended, not in the one in which the camera came back."""
    faces = ScriptedFaces(standing(35, 40))

    def items():
        yield from faces.frames(each_frame(10, 0, 40))
        for second in range(41, 200):
            yield MissingFrame(float(second), "no_camera")
        yield from faces.frames(each_frame(10, 200, 241))

    pipeline, spool = scripted_pipeline(faces, items())
    pipeline.run()
    assert spool.happy == [1, 0, 0, 0, 0]
    assert [window.degraded for window in spool.windows] == [("no_camera",)] * 4 + [()]


def test_staff_are_never_classified():
    """A face in a staff zone is never classified; a face that stays is not classified after the dwell limit."""
    zone = ((0, 0), (1, 0), (1, 1), (0, 1))
    faces, recorder = ScriptedFaces(standing(0, 30)), Recorder()
    frames = faces.frames(each_frame(10, 0, 40))
    pipeline, spool = scripted_pipeline(faces, frames, observer=recorder, staff_zones=(zone,))
    pipeline.run()
    assert (recorder.classified_at, spool.happy) == ([], [0])
    faces, recorder = ScriptedFaces(standing(0, 100)), Recorder()
    frames = faces.frames(each_frame(10, 0, 110))
    pipeline, spool = scripted_pipeline(faces, frames, observer=recorder, dwell_limit_s=20)
    pipeline.run()
    assert max(recorder.classified_at) < 20.1
    assert sum(spool.happy) == 0


def test_observer_sees_what_each_stage_produced():
    """Detections, tracks, admission, expressions, visits and windows of a run reach the observer."""
    seen = {"detections": 0, "tracks": set(), "admitted": 0, "expressions": 0, "visits": [], "windows": 0}
    stages = set()

    class Everything(Recorder):
        def on_detections(self, frame, detections):
            seen["detections"] += len(detections)

        def on_tracks(self, frame, update):
            seen["tracks"] |= {track.number for track in update.seen}

        def on_admission(self, frame, admission):
            seen["admitted"] += len(admission.admitted)

        def on_expressions(self, frame, tracks, expressions):
            seen["expressions"] += len(expressions)

        def on_visits(self, visits, gone):
            seen["visits"] += [(visit.track.number, visit.label) for visit in visits]

        def on_windows(self, windows):
            seen["windows"] += len(windows)

        def on_stage_time(self, stage, seconds):
            stages.add(stage)

    faces = ScriptedFaces(standing(1, 4))
    pipeline, spool = scripted_pipeline(faces, faces.frames(each_frame(10, 0, 65)), observer=Everything())
    pipeline.run()
    assert seen == {
        "detections": 31, "tracks": {0}, "admitted": 31, "expressions": 31, "visits": [(0, "happiness")], "windows": 2,
    }  # fmt: skip
    assert stages == {"quality", "detect", "track", "classify", "tally"}
    assert len(spool.windows) == seen["windows"]


def test_cut_off_file_counts_as_far_as_it_goes():
    """The visits read so far are counted, the window is marked as truncated, and the error is raised."""
    faces = ScriptedFaces(standing(1, 5))

    def items():
        yield from faces.frames(each_frame(10, 0, 10))
        raise ClipError("clip.mp4: cut off")

    pipeline, spool = scripted_pipeline(faces, items())
    with pytest.raises(ClipError, match="cut off"):
        pipeline.run()
    assert spool.happy == [1]
    assert spool.windows[0].degraded == ("truncated",)


def test_full_disk_keeps_windows_in_memory():
    """While the disk is full, windows are buffered and counting goes on; then all are stored, in order."""
    faces = ScriptedFaces(nobody)

    def items():
        for frame in faces.frames(each_frame(2, 0, 400)):
            spool.full = 100 < frame.time < 300
            yield frame

    pipeline, spool = scripted_pipeline(faces, items())
    with lines_of("edge.pipeline") as logged:
        pipeline.run()
    assert [(window.start - BEGIN).total_seconds() for window in spool.windows] == [0, 60, 120, 180, 240, 300, 360]
    waiting = [line.partition("in_memory=")[2].partition(" ")[0] for line in logged[:-1]]
    assert waiting == ["1", "2", "3"]  # logged when the number changes, not for every frame
    assert logged[-1] == "event=spool_works"


def test_detector_runs_on_every_nth_frame():
    """``detect.every`` saves detections; the coverage is still that of all frames."""
    faces, recorder = ScriptedFaces(nobody), Recorder()
    pipeline, spool = scripted_pipeline(faces, faces.frames(each_frame(10, 0, 10)), observer=recorder)
    pipeline.analyzer.every = 2
    pipeline.run()
    assert len(recorder.detected_at) == 51
    assert spool.windows[0].coverage == 1.0


class EmptySpool:
    """A spool as far as the health message reads it."""

    dropped = 0

    def depth(self):
        return 0

    def oldest(self):
        return None


def test_frames_without_a_detection_do_not_end_a_track():
    """A person who stands in a still scene for half a minute is one visit, with full coverage and few detections."""
    faces, recorder = ScriptedFaces(standing(5, 35)), Recorder()
    pipeline, spool = scripted_pipeline(faces, faces.frames(each_frame(15, 0, 59)), observer=recorder)
    pipeline.analyzer.motion = MotionGate(max_fps=10, full_rate_s=1.5)
    pipeline.run()
    detections = len(recorder.detected_at)
    assert spool.happy == [1]
    assert spool.windows[0].coverage == 1.0
    assert detections < 0.25 * 59 * 15
    monitor = pipeline.analyzer.health
    health = monitor.report("0" * 16, EmptySpool(), "synced", BEGIN, lambda: 0, "ai_edge_litert")
    assert health.detections_saved == pytest.approx(1 - detections / (59 * 15 + 1), abs=1e-4)


def test_monotonic_clock_is_compared_with_the_wall_clock_at_the_call():
    """A jump of the wall clock moves no window: seconds are monotonic, and only the present wall clock counts."""
    monotonic, wall = [100.0], [BEGIN]
    clock = MonotonicClock(lambda: monotonic[0], lambda: wall[0])
    assert clock.utc(40.0) == BEGIN - timedelta(seconds=60)
    wall[0] += timedelta(days=365)
    monotonic[0] += 1
    assert clock.utc(101.0) == wall[0]
    assert clock.state == ("synced" if is_synchronised() else "unsynced")


def test_clocks_are_read_again_if_another_process_ran_in_between():
    """A slow reading is repeated: an error of 0.01 s could put a window's start after the end of the one before."""
    clocks = [100.0, BEGIN]
    pauses = iter((0.03, 0.06, 0.0, 0.0))

    def later(seconds):
        clocks[0] += seconds
        clocks[1] += timedelta(seconds=seconds)

    def wall():
        later(next(pauses, 0.0))
        return clocks[1]

    clock = MonotonicClock(lambda: clocks[0], wall)
    assert [clock.utc(100.0) for _ in range(2)] == [BEGIN, BEGIN]
    always = MonotonicClock(lambda: (later(0.008), clocks[0])[1], lambda: clocks[1])
    assert abs(always.utc(100.0) - BEGIN) <= timedelta(milliseconds=4), "if every reading is slow: half of the fastest"


def test_microseconds_between_two_clocks_do_not_move_a_window():
    """A window that begins at midnight does not belong to the day before, and consecutive windows meet."""
    midnight = datetime(2026, 3, 29, tzinfo=timezone.utc)
    late = iter((-40e-6, 25e-6, -10e-6, 0.0))
    clock = ReplayClock(midnight)
    clock.utc = lambda seconds: midnight + timedelta(seconds=seconds + next(late))
    to_counts = window_converter(IDENTITY, clock, Privacy(k=1), MODELS)
    empty = {"happiness": 0, "neutral": 0, "unknown": 0}
    first, second = (to_counts(Window(begin, begin + 60, empty, 1.0, ())) for begin in (0.0, 60.0))
    assert (first.start, first.end) == (midnight, midnight + timedelta(minutes=1))
    assert second.start == first.end


def test_window_of_a_millisecond_is_a_valid_message():
    """A window that ends a millisecond after its start has an end after its start in the message, too."""
    to_counts = window_converter(IDENTITY, ReplayClock(BEGIN), Privacy(k=1), MODELS)
    message = to_counts(Window(60.0, 60.001, counts().visits, 1.0, ()))
    assert message.end > message.start
    assert (message.site, message.boot, message.model) == ("shop-1", "1" * 16, MODELS)


@pytest.mark.parametrize(
    ("second", "window_s", "first"),
    [(0, 60, 60), (15, 60, 45), (59, 60, 1), (59.9, 60, 60.1), (7, 5, 3), (0, 3600, 3600)],
)
def test_first_window_ends_on_the_grid(second, window_s, first):
    """The second window starts at a full minute. A first window under one hundredth is joined to the second."""
    assert first_window_s(BEGIN + timedelta(seconds=second), window_s) == pytest.approx(first)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [("12:00:00.004999", "12:00:00"), ("11:59:59.999960", "12:00:00"), ("12:00:00.016", "12:00:00.020000")],
)
def test_instants_are_rounded_to_hundredths(instant, expected):
    """Instants are rounded up and down, across seconds and hours."""
    before, after = (datetime.fromisoformat(f"2026-03-28T{each}+00:00") for each in (instant, expected))
    assert round_to_grain(before) == after


def test_floor_is_on_the_grid_of_1970():
    """The grid is the same for every device, whatever its window."""
    instant = datetime(2026, 3, 28, 9, 17, 43, 500_000, timezone.utc)
    assert floor_to_grid(instant, 60) == instant.replace(second=0, microsecond=0)
    assert floor_to_grid(instant, 3600) == instant.replace(minute=0, second=0, microsecond=0)
    assert floor_to_grid(floor_to_grid(instant, 60), 60) == floor_to_grid(instant, 60)


def test_boot_ids_differ():
    """Boot ids are sixteen hexadecimal digits, new each time."""
    ids = {boot_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in ids)


def test_source_without_anything_has_no_window():
    """A source that ends at once gives no window."""
    pipeline, spool = scripted_pipeline(ScriptedFaces(nobody), iter(()))
    pipeline.run()
    assert spool.windows == []


def test_a_blind_camera_degrades_the_window_and_is_not_analysed():
    """A camera that is black for half of a window reduces its coverage; the detector does not run, and the reason is
    in the window."""
    black, dark = np.zeros((480, 640), np.uint8), []

    class DarkFrames(Recorder):
        def on_detections(self, frame, detections):
            dark.append(frame.pixels.mean() < 1)

    def frames():
        for second in range(61):
            yield Frame(black if second > 20 else PIXELS, float(second))

    pipeline, spool = scripted_pipeline(ScriptedFaces(nobody), frames(), observer=DarkFrames())
    pipeline.run()
    window = spool.windows[0]
    assert window.degraded == ("black",)
    assert 0.4 < window.coverage < 0.6
    assert sum(dark) == 10  # until the image was black for long enough


def test_alive_is_called_for_frames_and_for_attempts_that_returned():
    """A missing frame without an attempt does not count as a sign of life."""
    calls = []
    items = [
        Frame(PIXELS, 0.0),
        MissingFrame(1.0, "no_camera", attempt_returned=True),
        MissingFrame(2.0, "no_camera"),
        Frame(PIXELS, 3.0),
    ]
    pipeline, _ = scripted_pipeline(ScriptedFaces(nobody), iter(items))
    pipeline.alive = lambda: calls.append(True)
    pipeline.run()
    assert len(calls) == 3


def test_heat_reduces_the_detection_rate_and_is_reported():
    """At 80 degrees the detector runs on one of two, four and then eight frames; the visit is still counted once, and
    every window is marked as ``hot``."""
    faces, recorder = ScriptedFaces(standing(200, 230)), Recorder()
    pipeline, spool = scripted_pipeline(faces, faces.frames(each_frame(10, 0, 300)), observer=recorder)
    pipeline.analyzer.throttle = ThermalThrottle(lambda: 80.0)
    pipeline.run()
    assert 370 <= len(recorder.detected_at) <= 760  # of 3,000
    assert sum(spool.happy) == 1
    assert {window.degraded for window in spool.windows} == {("hot",)}
