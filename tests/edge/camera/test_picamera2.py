"""The picamera2 driver, by a fake that pads, substitutes formats and dies: frames are right, or the camera is lost."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest

from edge.camera.capture import Camera
from edge.camera.drivers import picamera2, picamera2_grey
from edge.camera_settings import Picamera2
from edge.commands import cameras
from edge.errors import CameraLost
from tests.support import fakes


def pi(**of):
    """A loader of the fake class, and the list of the cameras that it made."""
    made = []

    def load():
        def make(number):
            made.append(fakes.Picamera2(number, **of))
            return made[-1]

        return make

    return load, made


@pytest.mark.parametrize("gives", [None, "NV12", "RGB888", "BGR888", "XBGR8888", "XRGB8888", "YUV420"])
def test_frame_is_grey_in_whatever_format_it_comes(gives):
    """Padding of YUV420 rows is removed, and a format that replaces it is converted as what it is."""
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
    """The camera accepts only even sizes."""
    load, _ = pi()
    with picamera2(Picamera2(width=641, height=481), load) as read:
        assert read().shape == (480, 640)


@pytest.mark.parametrize(
    ("pixel_format", "pixel", "grey"),
    [
        ("RGB888", (255, 0, 0), 29),  # blue is first in memory
        ("BGR888", (255, 0, 0), 76),  # red
        ("XRGB8888", (255, 0, 0, 0), 29),
        ("XBGR8888", (255, 0, 0, 0), 76),
    ],
)
def test_channels_are_read_in_their_order_in_memory(pixel_format, pixel, grey):
    """The names of the formats list the channels in reverse."""
    assert (
        picamera2_grey(np.full((2, 2, len(pixel)), pixel, np.uint8), pixel_format, (2, 2)).tolist() == [[grey] * 2] * 2
    )


def test_unknown_format_is_named():
    """An unexpected format does not crash: the camera is lost, and the error names the format."""
    load, made = pi(gives="SRGGB10")
    with pytest.raises(CameraLost, match=r"SRGGB10.*YUV420"), picamera2(Picamera2(), load) as read:
        read()
    assert not made[0].is_open


def test_dead_camera_is_lost_after_its_limit():
    """capture_array is called with a time limit, after which requests are flushed and the camera is closed."""
    load, made = pi(frames=3)
    with pytest.raises(CameraLost, match="no frame within 2 s"), picamera2(Picamera2(), load) as read:
        for _ in range(4):
            read()
    assert made[0].flushed
    assert not made[0].is_open


def test_no_buffer_is_held():
    """Every request is released; otherwise the camera would stop after four frames."""
    load, made = pi()
    with picamera2(Picamera2(), load) as read:
        for _ in range(50):
            read()
        assert made[0]._held == 0


def test_closed_camera_is_lost():
    """The exception that picamera2 raises for a closed camera means that the camera is lost."""
    load, made = pi()

    @contextmanager
    def opens():
        with picamera2(Picamera2(), load) as read:
            made[0].close()
            yield read

    with pytest.raises(CameraLost, match="RuntimeError: Camera not opened"), Camera(opens, 5, 5).opened() as newest:
        newest()


def test_missing_camera_or_library_is_reported():
    """Without the camera, or without picamera2, the camera is lost and the error says what to do."""
    load, _ = pi(cameras=0)
    with pytest.raises(CameraLost, match="camera 0: Camera __init__ sequence"), picamera2(Picamera2(), load):
        pass

    def missing():
        raise ModuleNotFoundError("No module named 'libcamera'")

    with pytest.raises(CameraLost, match=r"python3-picamera2.*libcamera"), picamera2(Picamera2(), missing):
        pass


def test_fake_holds_requests_as_the_real_class_does():
    """The fake gives no frame while four requests are held, and refuses wrong releases, like the real class."""
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


@pytest.mark.parametrize("error", ["ValueError('numpy.dtype size changed')", "RuntimeError('no permission')"])
def test_cameras_say_why_picamera2_lists_none(tmp_path, monkeypatch, error):
    """A picamera2 that is installed but broken is a listing that failed; the cameras before it are kept."""
    (tmp_path / "picamera2.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    (listing,) = cameras.cameras(tmp_path / "none")
    assert not listing.works
    assert error.split("'")[1] in listing.text
    assert "FAILED  picamera2 cannot list its cameras" in cameras.as_text([listing])
