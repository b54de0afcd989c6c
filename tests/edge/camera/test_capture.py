"""Cameras that are missing, slow, hanging, lost and back; each frame is delivered at most once and in order."""

import random
import threading
import time
from contextlib import contextmanager, suppress

import cv2
import numpy as np
import pytest

from edge.camera.capture import MAX_STUCK_THREADS, Camera, live_frames, source
from edge.camera.drivers import driver_for, gstreamer, has_gstreamer
from edge.camera_settings import File, Gstreamer, V4l2
from edge.errors import CameraLost, ClipError
from edge.system.clock import ReplayClock, floor_to_grid
from edge.values import Frame, MissingFrame
from tests.support import fakes
from tests.support.waiting import wait_until

GREY = np.zeros((4, 6), np.uint8)


class NoWait(random.Random):
    """A generator whose random waits are all zero."""

    def uniform(self, a: float, b: float) -> float:
        return a


@pytest.mark.parametrize(("device", "names"), [(63, "/dev/video63"), ("/dev/none", "is /dev/none there")])
def test_missing_usb_camera_is_named(device, names):
    """The message gives the configured number or path."""
    with pytest.raises(CameraLost, match=names), driver_for(V4l2(device=device))():
        pass


@pytest.mark.skipif(has_gstreamer(), reason="this OpenCV has GStreamer")
def test_opencv_without_gstreamer_is_reported():
    """PyPI's OpenCV lists the backend but does not have it; the message names builds that do."""
    with (
        pytest.raises(CameraLost, match="JetPack or of Debian"),
        gstreamer(Gstreamer(pipeline="videotestsrc ! appsink")),
    ):
        pass


def opening(read, before=lambda: None):
    """A driver whose frames come from ``read``; ``before`` is called on opening."""

    @contextmanager
    def opens():
        before()
        yield read

    return opens


def test_slow_pipeline_gets_the_newest_frame():
    """Frames that arrive while the pipeline is busy are dropped and counted; none is delivered twice."""
    step, number = threading.Semaphore(0), iter(range(1, 100))

    def read():
        step.acquire()
        return np.full((2, 2), next(number), np.uint8)

    camera = Camera(opening(read), 5, 5)
    with camera.opened() as next_frame:
        step.release()
        assert next_frame().pixels[0, 0] == 1
        step.release(5)
        until(lambda: camera.dropped == 4)
        assert next_frame().pixels[0, 0] == 6
        step.release()
        assert next_frame().pixels[0, 0] == 7
    assert camera.dropped == 4
    step.release()


def until(fact):
    """Wait until ``fact()`` is true; the camera waits for the test, and the test for the camera."""
    wait_until(fact, "the other one has done its part")


@pytest.fixture
def hang():
    """A function that hangs until the test is over."""
    over = threading.Event()
    yield lambda: over.wait(30)
    over.set()


def test_camera_that_hangs_in_open_is_lost_within_its_limit(hang):
    """A GStreamer pipeline without its plugin hangs for ever in open."""
    begin = time.monotonic()
    camera = Camera(opening(lambda: GREY, before=hang), 0.2, 9)
    with pytest.raises(CameraLost, match=r"no frame within 0\.2 s"), camera.opened() as next_frame:
        next_frame()
    assert 0.2 <= time.monotonic() - begin < 15


def test_camera_that_hangs_in_read_is_lost_within_its_limit(hang):
    """After the first frame the limit for reading applies."""
    given = []

    def read():
        if given:
            hang()
        given.append(GREY)
        return GREY

    camera = Camera(opening(read), 9, 0.2)
    with camera.opened() as next_frame:
        assert next_frame().pixels is GREY
        begin = time.monotonic()
        with pytest.raises(CameraLost, match=r"no frame within 0\.2 s"):
            next_frame()
    assert 0.2 <= time.monotonic() - begin < 15


def test_driver_that_hangs_for_ever_does_not_fill_memory(hang):
    """Each attempt that never returns keeps a thread; after a few, no more are started."""
    attempts = []

    def before():
        attempts.append(1)
        hang()

    camera = Camera(opening(lambda: GREY, before), 0.02, 9)
    for _ in range(3 * MAX_STUCK_THREADS):
        with suppress(CameraLost), camera.opened() as next_frame:
            next_frame()
    assert len(attempts) == MAX_STUCK_THREADS
    with pytest.raises(CameraLost, match="driver hangs"), camera.opened():
        pass


def test_any_exception_of_a_driver_means_that_the_camera_is_lost():
    """The message gives the type of the exception."""
    camera = Camera(opening(lambda: 1 / 0), 5, 5)
    with pytest.raises(CameraLost, match="ZeroDivisionError: division by zero"), camera.opened() as next_frame:
        next_frame()


def test_lost_camera_comes_back():
    """Lost at the start and after every third frame: all frames are delivered, and each change is logged once."""
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

    with fakes.lines_of("edge.camera.capture") as lines:
        for item in live_frames(Camera(opens, 5, 5), stop, NoWait()):
            given.append(item)
            if sum(isinstance(each, Frame) for each in given) == 9:
                stop.set()
    frames = [tuple(each.pixels[0]) for each in given if isinstance(each, Frame)]
    assert frames == [(opening, number) for opening in (2, 3, 4) for number in range(3)]
    assert [each.reason for each in given if isinstance(each, MissingFrame)][:1] == ["no_camera"]
    assert [isinstance(each, Frame) for each in given] == [False, *[True] * 3, False, *[True] * 3, False, *[True] * 3]
    times = [each.time for each in given]
    assert times == sorted(times)
    assert [line.split()[0].removeprefix("event=camera_") for line in lines] == [
        "lost",
        "back",
        "lost",
        "back",
        "lost",
        "back",
    ]


def test_stop_ends_the_stream_of_a_lost_camera():
    """The stream ends at once and not after the back-off."""
    stop = threading.Event()

    class Slow(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return 3600.0

    @contextmanager
    def opens():
        raise CameraLost("no such camera")
        yield

    frames = live_frames(Camera(opens, 1, 1), stop, Slow())
    assert isinstance(next(frames), MissingFrame)
    stop.set()
    begin = time.monotonic()
    assert list(frames) == []
    assert time.monotonic() - begin < 60


def test_replay_uses_the_time_of_the_file(tmp_path):
    """Time starts at zero and the clock at a full window, so that each replay has the same windows."""
    cv2.imwrite(str(tmp_path / "1.png"), GREY)
    replayed = source(File(path=str(tmp_path)), threading.Event(), 60.0)
    assert isinstance(replayed.clock, ReplayClock)
    assert replayed.clock.state == "replay"
    begin = replayed.clock.utc(replayed.start)
    assert begin == floor_to_grid(begin, 60.0)
    assert [frame.time for frame in replayed.frames] == [0.0]
    assert replayed.dropped() == 0


def test_missing_file_is_reported_at_once(tmp_path):
    """A file must be there at the start, while a camera may come later."""
    with pytest.raises(ClipError, match=r"none\.mp4"):
        source(File(path=str(tmp_path / "none.mp4")), threading.Event(), 60.0)
    assert source(V4l2(device=63), threading.Event(), 60.0).clock.state in ("synced", "unsynced")


def test_hanging_driver_does_not_feed_the_watchdog():
    """An attempt that fails has returned; one that hangs has not."""
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

    for opens, limit_s, returned in ((refuses, 20, True), (hangs, 0.05, False)):
        frames = live_frames(Camera(opens, limit_s, limit_s), stop, NoWait())
        first = next(frames)
        assert isinstance(first, MissingFrame)
        assert first.attempt_returned is returned
        frames.close()
    release.set()


def test_frozen_camera_is_reopened_once_per_interval():
    """Two requests within the interval reopen it once; the stream gives the reason."""
    stop, opened = threading.Event(), []

    @contextmanager
    def opens():
        opened.append(len(opened))
        yield lambda: GREY

    camera = Camera(opens, 5, 5)
    given = []
    for item in live_frames(camera, stop, NoWait()):
        given.append(item)
        if len(given) in (2, 5):
            camera.reopen()
        if len(given) == 8:
            stop.set()
    assert len(opened) == 2
    assert [each.reason for each in given if isinstance(each, MissingFrame)] == ["frozen"]
