"""The loop that wires the stages, on scripted faces; the clocks that stamp its windows."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from contract.message import Models, Privacy
from edge.build import first_window_s
from edge.camera.capture import Source
from edge.camera.image_quality import Condition
from edge.counting.admit import AdmissionGate
from edge.counting.tally import Tally
from edge.counting.track import Tracker
from edge.delivery.publish import Identity
from edge.delivery.restamp import Settler
from edge.errors import ClipError, SpoolError
from edge.pipeline import Pipeline, window_converter
from edge.settings import AdmitSettings, TrackSettings
from edge.system.clock import MonotonicClock, ReplayClock, boot_id, floor_to_grid, is_synchronised, round_to_grain
from edge.system.thermal import ThermalThrottle
from edge.values import Expression, Frame, Missing, Window
from edge.vision.motion_gate import MotionGate
from tests.support.fakes import BEGIN, counts, each_frame, lines_of, swaying

PIXELS = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
ME = Identity("shop-1", "door", "1" * 16)
MODELS = Models(detector="face@aaaaaaaaaaaa", expression="expression@bbbbbbbbbbbb")


class Kept:
    """In place of spool and publisher: a list, and a disk that refuses while ``full``."""

    def __init__(self):
        self.windows, self.full, self.pumped, self.dropped = [], False, 0, 0

    def add(self, window):
        if self.full:
            raise SpoolError("spool: could not add a window: disk full")
        self.windows.append(window)

    def first_early(self):
        return None

    def pump(self, spool):
        self.pumped += 1


class Faces:
    """In place of both networks: faces by the second, each happy; notes which seconds were classified."""

    def __init__(self, at):
        self.at, self.time, self.classified = at, 0.0, []

    def frames(self, times):
        for self.time in times:
            yield Frame(PIXELS, self.time)

    def detect(self, pixels):
        return tuple(self.at(self.time))

    def classify(self, pixels, faces):
        self.classified += [self.time] * len(faces)
        return tuple(Expression((0.9, 0.1), True) for _ in faces)


def wired(faces, items, window_s=60.0, **admit):
    """A pipeline over items of a source, with everything real but camera, networks, disk and broker."""
    kept, clock = Kept(), ReplayClock(BEGIN)
    pipeline = Pipeline(
        Source(items, clock, 0.0, lambda: 0, lambda: None),
        faces,
        Tracker(TrackSettings()),
        AdmissionGate(AdmitSettings(**({"staff_zones": ()} | admit))),
        faces,
        Tally(("happiness", "neutral"), window_s, 0.0, window_s),
        kept,
        kept,
        Settler(window_converter(ME, clock, Privacy(k=1), MODELS), clock, "kernel", 0.0, lambda: 0.0),
        lambda watch: None,
        lambda: None,
        condition=Condition(live=False),
    )
    return pipeline, kept


def stays(begin, end):
    """Somebody is in view between two seconds."""
    return lambda time: [swaying(320, 240, time)] if begin <= time <= end else []


def happy(kept):
    return [window.visits["happiness"] for window in kept.windows]


def test_visit_goes_through_all_stages():
    """Seen for three seconds, counted once, happy, in the window in which it ended."""
    faces = Faces(stays(58, 61))
    pipeline, kept = wired(faces, faces.frames(each_frame(10, 0, 125)))
    pipeline.run()
    assert happy(kept) == [0, 1, 0]
    assert [(window.start - BEGIN).total_seconds() for window in kept.windows] == [0, 60, 120]
    assert kept.pumped >= 1250


def test_visit_that_is_open_at_the_end_is_counted():
    """A file that ends while somebody is in view counts them, also where it ends with a window."""
    for end in (30, 60, 61):
        faces = Faces(stays(end - 3, end))
        pipeline, kept = wired(faces, faces.frames(each_frame(10, 0, end)))
        pipeline.run()
        assert sum(happy(kept)) == 1


def test_visit_ends_while_the_camera_is_away():
    """The visit counts in the window in which it ended, not in the one in which the camera came back."""
    faces = Faces(stays(35, 40))

    def items():
        yield from faces.frames(each_frame(10, 0, 40))
        for second in range(41, 200):
            yield Missing(float(second), "no_camera")
        yield from faces.frames(each_frame(10, 200, 241))

    pipeline, kept = wired(faces, items())
    pipeline.run()
    assert happy(kept) == [1, 0, 0, 0, 0]
    assert [window.degraded for window in kept.windows] == [("no_camera",)] * 4 + [()]


def test_staff_are_never_classified():
    """Who stands in a staff zone, and who lingers once the limit is over: no look at them."""
    zone = ((0, 0), (1, 0), (1, 1), (0, 1))
    faces = Faces(stays(0, 30))
    pipeline, kept = wired(faces, faces.frames(each_frame(10, 0, 40)), staff_zones=(zone,))
    pipeline.run()
    assert (faces.classified, happy(kept)) == ([], [0])
    faces = Faces(stays(0, 100))
    pipeline, kept = wired(faces, faces.frames(each_frame(10, 0, 110)), dwell_limit_s=20)
    pipeline.run()
    assert max(faces.classified) < 20.1
    assert sum(happy(kept)) == 0


def test_cut_off_file_counts_as_far_as_it_goes():
    """What was seen is counted, the window says truncated, and the error goes on."""
    faces = Faces(stays(1, 5))

    def items():
        yield from faces.frames(each_frame(10, 0, 10))
        raise ClipError("clip.mp4: cut off")

    pipeline, kept = wired(faces, items())
    with pytest.raises(ClipError, match="cut off"):
        pipeline.run()
    assert happy(kept) == [1]
    assert kept.windows[0].degraded == ("truncated",)


def test_full_disk_keeps_windows_in_memory():
    """While the disk refuses nothing is lost and nobody stops; then all come, in order."""
    faces = Faces(lambda time: [])

    def items():
        for frame in faces.frames(each_frame(2, 0, 400)):
            kept.full = 100 < frame.time < 300
            yield frame

    pipeline, kept = wired(faces, items())
    with lines_of("edge.pipeline") as said:
        pipeline.run()
    assert [(window.start - BEGIN).total_seconds() for window in kept.windows] == [0, 60, 120, 180, 240, 300, 360]
    waiting = [line.partition("in_memory=")[2].partition(" ")[0] for line in said[:-1]]
    assert waiting == ["1", "2", "3"]  # said as often as it changes, not with each frame
    assert said[-1] == "event=spool_works"


def test_every_second_frame_is_looked_at_where_asked():
    """``detect.every`` saves work; coverage is that of all frames."""
    looked = []
    faces = Faces(lambda time: looked.append(time) or [])
    pipeline, kept = wired(faces, faces.frames(each_frame(10, 0, 10)))
    pipeline.every = 2
    pipeline.run()
    assert len(looked) == 51
    assert kept.windows[0].coverage == 1.0


class Waiting:
    """A spool as far as health asks."""

    dropped = 0

    def depth(self):
        return 0

    def oldest(self):
        return None


def test_frames_without_a_detection_are_nobodys_absence():
    """Somebody stands still for half a minute in a still scene: one visit, all of the time covered, and less than half
    of the detections."""
    looked = []
    faces = Faces(lambda time: looked.append(time) or stays(5, 35)(time))
    pipeline, kept = wired(faces, faces.frames(each_frame(15, 0, 59)))
    pipeline.motion = MotionGate(max_fps=10, settle_s=1.5)
    pipeline.run()
    assert happy(kept) == [1]
    assert kept.windows[0].coverage == 1.0
    assert len(looked) < 0.25 * 59 * 15
    health = pipeline.watch.report("0" * 16, Waiting(), "synced", BEGIN, lambda: 0, "ai_edge_litert")
    assert health.detections_saved == pytest.approx(1 - len(looked) / (59 * 15 + 1), abs=1e-4)


def test_clock_of_a_camera_is_set_against_the_wall_when_asked():
    """A wall clock that jumps moves no window: seconds are monotonic, the stamp is by the wall clock of now."""
    monotonic, wall = [100.0], [BEGIN]
    clock = MonotonicClock(lambda: monotonic[0], lambda: wall[0])
    assert clock.utc(40.0) == BEGIN - timedelta(seconds=60)
    wall[0] += timedelta(days=365)
    monotonic[0] += 1
    assert clock.utc(101.0) == wall[0]
    assert clock.state == ("synced" if is_synchronised() else "unsynced")


def test_clocks_between_which_another_process_ran_are_read_again():
    """Hundredths of a second between two readings would put one window's start after the end of the one before."""
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
    assert abs(always.utc(100.0) - BEGIN) <= timedelta(milliseconds=4), "never at once: half of the shortest"


def test_microseconds_between_two_clocks_do_not_move_a_window():
    """A window that begins at midnight is not of the day before, and windows meet."""
    midnight = datetime(2026, 3, 29, tzinfo=timezone.utc)
    late = iter((-40e-6, 25e-6, -10e-6, 0.0))
    clock = ReplayClock(midnight)
    clock.utc = lambda seconds: midnight + timedelta(seconds=seconds + next(late))
    to_counts = window_converter(ME, clock, Privacy(k=1), MODELS)
    nobody = {"happiness": 0, "neutral": 0, "unknown": 0}
    first, second = (to_counts(Window(begin, begin + 60, nobody, 1.0, ())) for begin in (0.0, 60.0))
    assert (first.start, first.end) == (midnight, midnight + timedelta(minutes=1))
    assert second.start == first.end


def test_scrap_of_a_window_is_still_a_message():
    """Stopped a millisecond after a window ended: what is left has an end after its start."""
    to_counts = window_converter(ME, ReplayClock(BEGIN), Privacy(k=1), MODELS)
    scrap = to_counts(Window(60.0, 60.001, counts().visits, 1.0, ()))
    assert scrap.end > scrap.start
    assert (scrap.site, scrap.boot, scrap.model) == ("shop-1", "1" * 16, MODELS)


@pytest.mark.parametrize(
    ("second", "window_s", "first"),
    [(0, 60, 60), (15, 60, 45), (59, 60, 1), (59.9, 60, 60.1), (7, 5, 3), (0, 3600, 3600)],
)
def test_first_window_ends_on_the_grid(second, window_s, first):
    """So that the following begin at full minutes; a scrap of less than a hundredth is joined to the next."""
    assert first_window_s(BEGIN + timedelta(seconds=second), window_s) == pytest.approx(first)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [("12:00:00.004999", "12:00:00"), ("11:59:59.999960", "12:00:00"), ("12:00:00.016", "12:00:00.020000")],
)
def test_instants_are_rounded_to_hundredths(instant, expected):
    """Up and down, over seconds and hours."""
    day = "2026-03-28T"
    assert round_to_grain(datetime.fromisoformat(f"{day}{instant}+00:00")) == datetime.fromisoformat(
        f"{day}{expected}+00:00"
    )


def test_floor_is_on_the_grid_of_1970():
    """The same for every device, whatever its window."""
    instant = datetime(2026, 3, 28, 9, 17, 43, 500_000, timezone.utc)
    assert floor_to_grid(instant, 60) == instant.replace(second=0, microsecond=0)
    assert floor_to_grid(instant, 3600) == instant.replace(minute=0, second=0, microsecond=0)
    assert floor_to_grid(floor_to_grid(instant, 60), 60) == floor_to_grid(instant, 60)


def test_boot_ids_differ():
    """Sixteen hex digits, new each time."""
    ids = {boot_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in ids)


def test_source_without_anything_has_no_window():
    """Nothing came, nothing is said."""
    pipeline, kept = wired(Faces(lambda time: []), iter(()))
    pipeline.run()
    assert kept.windows == []


def test_a_camera_that_sees_nothing_is_said_and_not_looked_at():
    """Black for half of the window: coverage says so, nobody is looked for, and the reason stands in the window."""
    black, seen = np.zeros((480, 640), np.uint8), []

    def frames():
        for second in range(61):
            yield Frame(black if second > 20 else PIXELS, float(second))

    pipeline, kept = wired(Faces(lambda time: []), frames())
    pipeline.detector = type("Detector", (), {"detect": staticmethod(lambda pixels: seen.append(pixels.mean()) or ())})
    pipeline.run()
    window = kept.windows[0]
    assert window.degraded == ("black",)
    assert 0.4 < window.coverage < 0.6
    assert sum(mean < 1 for mean in seen) == 10  # until it was sure


def test_what_is_alive_is_said_of_frames_and_of_attempts_that_came_back():
    """Not of the seconds in which nothing was tried."""
    said = []
    items = [Frame(PIXELS, 0.0), Missing(1.0, "no_camera", tried=True), Missing(2.0, "no_camera"), Frame(PIXELS, 3.0)]
    pipeline, _ = wired(Faces(lambda time: []), iter(items))
    pipeline.alive = lambda: said.append(True)
    pipeline.run()
    assert len(said) == 3


def test_heat_makes_it_look_at_fewer_frames_and_say_so():
    """At 80 degrees, one in two, four and then eight frames; the visit is still one, the window says ``hot``."""
    looked = []
    faces = Faces(lambda time: looked.append(time) or ([swaying(320, 240, time)] if 200 <= time <= 230 else []))
    pipeline, kept = wired(faces, faces.frames(each_frame(10, 0, 300)), window_s=60.0)
    pipeline.governor = ThermalThrottle(lambda: 80.0)
    pipeline.run()
    assert 370 <= len(looked) <= 760  # of 3,000
    assert sum(window.visits["happiness"] for window in kept.windows) == 1
    assert {window.degraded for window in kept.windows} == {("hot",)}
