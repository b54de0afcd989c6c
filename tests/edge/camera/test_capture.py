"""Cameras that pad, substitute, hang, die and come back; the frames that are left are right."""

import random
import threading
import time
from contextlib import contextmanager, suppress

import cv2
import numpy as np
import pytest

from edge.camera.capture import MOST_STUCK, Camera, live, source
from edge.camera.drivers import camera_of, gstreamer, has_gstreamer
from edge.errors import CameraLost, ClipError
from edge.settings import File, Gstreamer, V4l2
from edge.system.clock import ReplayClock, floor_to_grid
from edge.values import Frame, Missing
from tests.support import fakes

GREY = np.zeros((4, 6), np.uint8)


class AtOnce(random.Random):
    """Chance that never waits."""

    def uniform(self, a: float, b: float) -> float:
        return a


@pytest.mark.parametrize(("device", "names"), [(63, "/dev/video63"), ("/dev/none", "is /dev/none there")])
def test_usb_camera_that_is_not_there_is_named(device, names):
    """The number or path that was configured is in the message."""
    with pytest.raises(CameraLost, match=names), camera_of(V4l2(device=device))():
        pass


@pytest.mark.skipif(has_gstreamer(), reason="this OpenCV has GStreamer")
def test_gstreamer_that_is_not_built_in_is_said():
    """PyPI's OpenCV lists the backend and has it not; the message says which build has."""
    with (
        pytest.raises(CameraLost, match="JetPack or of Debian"),
        gstreamer(Gstreamer(pipeline="videotestsrc ! appsink")),
    ):
        pass


def opening(read, before=lambda: None):
    """What opens a camera that is read by ``read``."""

    @contextmanager
    def opens():
        before()
        yield read

    return opens


def test_slow_daemon_gets_the_newest_frame():
    """Frames that came while the daemon was busy are dropped and counted; none comes twice."""
    step, number = threading.Semaphore(0), iter(range(1, 100))

    def read():
        step.acquire()
        return np.full((2, 2), next(number), np.uint8)

    camera = Camera(opening(read), 5, 5)
    with camera.opened() as newest:
        step.release()
        assert newest().pixels[0, 0] == 1
        step.release(5)
        until(lambda: camera.dropped == 4)
        assert newest().pixels[0, 0] == 6
        step.release()
        assert newest().pixels[0, 0] == 7
    assert camera.dropped == 4
    step.release()


def until(fact):
    end = time.monotonic() + 5
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def hang():
    """Something that hangs until the test is over."""
    over = threading.Event()
    yield lambda: over.wait(30)
    over.set()


def test_camera_that_hangs_in_open_is_lost_within_its_limit(hang):
    """A pipeline without its plugin hangs for ever in open."""
    begin = time.monotonic()
    camera = Camera(opening(lambda: GREY, before=hang), 0.2, 9)
    with pytest.raises(CameraLost, match=r"no frame within 0\.2 s"), camera.opened() as newest:
        newest()
    assert 0.2 <= time.monotonic() - begin < 15


def test_camera_that_hangs_in_read_is_lost_within_its_limit(hang):
    """After the first frame the limit is the one of reading."""
    given = []

    def read():
        if given:
            hang()
        given.append(GREY)
        return GREY

    camera = Camera(opening(read), 9, 0.2)
    with camera.opened() as newest:
        assert newest().pixels is GREY
        begin = time.monotonic()
        with pytest.raises(CameraLost, match=r"no frame within 0\.2 s"):
            newest()
    assert 0.2 <= time.monotonic() - begin < 15


def test_driver_that_hangs_for_ever_does_not_fill_memory(hang):
    """Attempts that never come back are threads that stay; after a few no more are begun."""
    attempts = []

    def before():
        attempts.append(1)
        hang()

    camera = Camera(opening(lambda: GREY, before), 0.02, 9)
    for _ in range(3 * MOST_STUCK):
        with suppress(CameraLost), camera.opened() as newest:
            newest()
    assert len(attempts) == MOST_STUCK
    with pytest.raises(CameraLost, match="driver hangs"), camera.opened():
        pass


def test_anything_a_driver_raises_means_lost():
    """The kind of the error is in the message."""
    camera = Camera(opening(lambda: 1 / 0), 5, 5)
    with pytest.raises(CameraLost, match="ZeroDivisionError: division by zero"), camera.opened() as newest:
        newest()


def test_camera_that_comes_back():
    """Lost at start and after every third frame: misses in between, all frames, one line for each change."""
    stop, opened, given = threading.Event(), [], []

    @contextmanager
    def opens():
        opened.append(len(opened))
        if len(opened) == 1:
            raise CameraLost("not there yet")
        frames = iter(range(3))

        def read():
            if (number := next(frames, None)) is None:
                until(lambda: stop.is_set() or (given and isinstance(given[-1], Frame) and given[-1].pixels[0, 1] == 2))
                raise CameraLost("unplugged")
            until(lambda: number == 0 or (isinstance(given[-1], Frame) and given[-1].pixels[0, 1] == number - 1))
            return np.array([[len(opened), number]], np.uint8)

        yield read

    with fakes.lines_of("edge.camera.capture") as said:
        for item in live(Camera(opens, 5, 5), stop, AtOnce()):
            given.append(item)
            if sum(isinstance(each, Frame) for each in given) == 9:
                stop.set()
    frames = [tuple(each.pixels[0]) for each in given if isinstance(each, Frame)]
    assert frames == [(opening, number) for opening in (2, 3, 4) for number in range(3)]
    assert [each.reason for each in given if isinstance(each, Missing)][:1] == ["no_camera"]
    assert [isinstance(each, Frame) for each in given] == [False, *[True] * 3, False, *[True] * 3, False, *[True] * 3]
    times = [each.time for each in given]
    assert times == sorted(times)
    assert [line.split()[0].removeprefix("event=camera_") for line in said] == [
        "lost",
        "back",
        "lost",
        "back",
        "lost",
        "back",
    ]


def test_stop_ends_a_source_without_camera():
    """Told to stop while there is no camera, the source ends at once and not after the back-off."""
    stop = threading.Event()

    class Slow(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return 3600.0

    @contextmanager
    def opens():
        raise CameraLost("no such camera")
        yield

    frames = live(Camera(opens, 1, 1), stop, Slow())
    assert isinstance(next(frames), Missing)
    stop.set()
    begin = time.monotonic()
    assert list(frames) == []
    assert time.monotonic() - begin < 60


def test_file_source_has_the_files_own_time(tmp_path):
    """Replay begins at zero, its clock at a full window, so that each run falls into windows alike."""
    cv2.imwrite(str(tmp_path / "1.png"), GREY)
    replayed = source(File(path=str(tmp_path)), threading.Event(), 60.0)
    assert isinstance(replayed.clock, ReplayClock)
    assert replayed.clock.state == "replay"
    begin = replayed.clock.utc(replayed.start)
    assert begin == floor_to_grid(begin, 60.0)
    assert [frame.time for frame in replayed.frames] == [0.0]
    assert replayed.dropped() == 0


def test_file_that_is_missing_is_said_at_once(tmp_path):
    """A clip is opened before anything else is; a camera may come later."""
    with pytest.raises(ClipError, match=r"none\.mp4"):
        source(File(path=str(tmp_path / "none.mp4")), threading.Event(), 60.0)
    assert source(V4l2(device=63), threading.Event(), 60.0).clock.state in ("synced", "unsynced")


def test_a_driver_that_hangs_does_not_feed_the_watchdog():
    """An attempt that came back with an error was made; one that did not come back was not, nor is waiting."""
    stop, release = threading.Event(), threading.Event()

    @contextmanager
    def refuses():
        raise CameraLost("no such camera")
        yield

    @contextmanager
    def hangs():
        release.wait(30)
        raise CameraLost("too late")
        yield

    for opens, limit_s, tried in ((refuses, 20, True), (hangs, 0.05, False)):
        frames = live(Camera(opens, limit_s, limit_s), stop, AtOnce())
        first = next(frames)
        assert isinstance(first, Missing)
        assert first.tried is tried
        frames.close()
    release.set()


def test_a_frozen_camera_is_opened_again_now_and_then():
    """Asked twice in a moment it is opened once; the window is told why."""
    stop, opened = threading.Event(), []

    @contextmanager
    def opens():
        opened.append(len(opened))
        yield lambda: GREY

    camera = Camera(opens, 5, 5)
    given = []
    for item in live(camera, stop, AtOnce()):
        given.append(item)
        if len(given) in (2, 5):
            camera.reopen()
        if len(given) == 8:
            stop.set()
    assert len(opened) == 2
    assert [each.reason for each in given if isinstance(each, Missing)] == ["frozen"]
