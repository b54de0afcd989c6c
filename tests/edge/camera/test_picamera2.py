"""Picamera2 as it pads, substitutes and dies (by a fake with its rules): what comes out is right, or lost."""

from contextlib import contextmanager

import numpy as np
import pytest

from edge.camera.capture import Camera
from edge.camera.drivers import picamera2, picamera2_grey
from edge.errors import CameraLost
from edge.settings import Picamera2
from tests.support import fakes


def pi(**of):
    """A loader of the fake class that keeps the cameras it made."""
    made = []

    def load():
        def make(number):
            made.append(fakes.Picamera2(number, **of))
            return made[-1]

        return make

    return load, made


@pytest.mark.parametrize("gives", [None, "NV12", "RGB888", "BGR888", "XBGR8888", "XRGB8888", "YUV420"])
def test_picamera2_frame_is_grey_whatever_format_comes(gives):
    """Asked for YUV420: padded rows are cut off, and another format put in its place is read as what it is."""
    load, made = pi(gives=gives)
    with picamera2(Picamera2(width=642, height=480), load) as read:
        frames = [read() for _ in range(12)]
        (camera,) = made
        assert camera.started
        assert camera.controls == {"FrameRate": 15.0}
    assert all(frame.shape == (480, 642) and frame.dtype == np.uint8 for frame in frames)
    assert [int(frame[0, 0]) for frame in frames] == [255] * 12
    assert [int(frame[1:].max()) for frame in frames] == list(range(1, 13))
    assert [int(frame.min()) for frame in frames] == list(range(1, 13))
    assert not camera.is_open


def test_odd_size_is_made_even():
    """The camera takes even sizes only, as a tuple."""
    load, _ = pi()
    with picamera2(Picamera2(width=641, height=481), load) as read:
        assert read().shape == (480, 640)


@pytest.mark.parametrize(
    ("form", "pixel", "grey"),
    [
        ("RGB888", (255, 0, 0), 29),  # blue comes first in memory
        ("BGR888", (255, 0, 0), 76),  # red
        ("XRGB8888", (255, 0, 0, 0), 29),
        ("XBGR8888", (255, 0, 0, 0), 76),
    ],
)
def test_order_of_colours_is_the_one_in_memory(form, pixel, grey):
    """The camera's names tell the bytes from the other end."""
    assert picamera2_grey(np.full((2, 2, len(pixel)), pixel, np.uint8), form, (2, 2)).tolist() == [[grey] * 2] * 2


def test_unknown_format_is_named():
    """A format nobody reckoned with is no crash: the camera is lost, and the log names the format."""
    load, made = pi(gives="SRGGB10")
    with pytest.raises(CameraLost, match=r"SRGGB10.*YUV420"), picamera2(Picamera2(), load) as read:
        read()
    assert not made[0].is_open


def test_dead_camera_is_lost_after_its_limit():
    """capture_array is never called without a limit; when it is over, requests are flushed and the camera closed."""
    load, made = pi(frames=3)
    with pytest.raises(CameraLost, match="no frame within 2 s"), picamera2(Picamera2(), load) as read:
        for _ in range(4):
            read()
    assert made[0].flushed
    assert not made[0].is_open


def test_no_buffer_is_kept():
    """Every frame gives its request back; else the camera stops after four."""
    load, made = pi()
    with picamera2(Picamera2(), load) as read:
        for _ in range(50):
            read()
        assert made[0]._held == 0


def test_closed_camera_is_lost():
    """What picamera2 raises when somebody has closed the camera means that it is lost."""
    load, made = pi()

    @contextmanager
    def opens():
        with picamera2(Picamera2(), load) as read:
            made[0].close()
            yield read

    with pytest.raises(CameraLost, match="RuntimeError: Camera not opened"), Camera(opens, 5, 5).opened() as newest:
        newest()


def test_camera_that_is_not_there():
    """No such camera, and no picamera2 at all: lost, with what to do."""
    load, _ = pi(cameras=0)
    with pytest.raises(CameraLost, match="camera 0: Camera __init__ sequence"), picamera2(Picamera2(), load):
        pass

    def missing():
        raise ModuleNotFoundError("No module named 'libcamera'")

    with pytest.raises(CameraLost, match=r"python3-picamera2.*libcamera"), picamera2(Picamera2(), missing):
        pass


def test_fake_holds_requests_as_the_real_one_does():
    """The fake starves when four requests are held, and minds releases: it is no kinder than the real class."""
    camera = fakes.Picamera2()
    camera.configure(camera.create_video_configuration(main={"format": "YUV420", "size": (640, 480)}, buffer_count=4))
    held = [camera.capture_request(wait=2.0) for _ in range(4)]
    with pytest.raises(TimeoutError):
        camera.capture_request(wait=2.0)
    held[0].release()
    assert camera.capture_array("main", wait=2.0).shape == (720, 768)
    with pytest.raises(RuntimeError, match="negative"):
        held[0].release()
    with pytest.raises(RuntimeError, match="ref_count 0"):
        held[0].acquire()
    camera.close()
    with pytest.raises(RuntimeError, match="not opened"):
        camera.create_video_configuration(main={})
