"""Settings of a camera -> what opens it; inside, each call reads a frame, in grey."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import cv2
import numpy as np

from edge.camera.file_source import grey
from edge.errors import CameraLost
from edge.settings import Gstreamer, Live, Picamera2, V4l2
from edge.values import Pixels

Read: TypeAlias = Callable[[], Pixels]
"""One frame, grey; CameraLost if there is none."""
Open: TypeAlias = Callable[[], AbstractContextManager[Read]]


def driver_for(settings: Live) -> Open:
    """Settings of a camera -> what opens it."""
    if isinstance(settings, Picamera2):
        return lambda: picamera2(settings, lambda: importlib.import_module("picamera2").Picamera2)
    if isinstance(settings, V4l2):
        return lambda: v4l2(settings)
    assert isinstance(settings, Gstreamer)
    return lambda: gstreamer(settings)


@contextmanager
def v4l2(settings: V4l2) -> Iterator[Read]:
    """A USB camera by OpenCV's V4L2 backend."""
    capture = cv2.VideoCapture(settings.device, cv2.CAP_V4L2)
    try:
        if not capture.isOpened():
            path = settings.device if isinstance(settings.device, str) else f"/dev/video{settings.device}"
            raise CameraLost(f"camera {settings.device} does not open (is {path} there?)")
        for key, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, settings.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, settings.height),
            (cv2.CAP_PROP_FPS, settings.fps),
        ):
            capture.set(key, value)
        yield lambda: grey(_next(capture))
    finally:
        capture.release()


@contextmanager
def gstreamer(settings: Gstreamer) -> Iterator[Read]:
    """A GStreamer pipeline by OpenCV, which must be built with it."""
    if not has_gstreamer():
        raise CameraLost("this OpenCV is built without GStreamer; use the one of JetPack or of Debian (python3-opencv)")
    capture = cv2.VideoCapture(settings.pipeline, cv2.CAP_GSTREAMER)
    try:
        if not capture.isOpened():
            raise CameraLost("capture.pipeline does not open (GST_DEBUG=3 in the environment says why)")
        size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        yield lambda: gstreamer_grey(_next(capture), size)
    finally:
        capture.release()


def gstreamer_grey(picture: Any, size: tuple[int, int]) -> Pixels:
    """A frame as OpenCV takes it out of a pipeline of (width, height) -> grey (h, w); CameraLost if that is not known.

    It may be GRAY8 (h, w), BGR (h, w, 3), BGRx or BGRA (h, w, 4), or NV12, NV21, I420 or YV12 (h * 3 / 2, w), in which
    the grey picture is above its colours. A JPEG is a single row of bytes.
    """
    width, height = size
    if picture.dtype == np.uint8:
        shape = picture.shape[:2] if picture.ndim == 3 and picture.shape[2] == 1 else picture.shape
        if shape == (height, width, 4):
            return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2GRAY), np.uint8)
        if shape in {(height, width), (height, width, 3)}:
            return grey(picture)
        if shape == (height * 3 // 2, width):
            return grey(picture)[:height]
    raise CameraLost(
        f"pipeline gives {picture.dtype} {picture.shape} for {width} x {height}; before its appsink put "
        "videoconvert ! video/x-raw,format=GRAY8"
    )


def has_gstreamer() -> bool:
    """Whether this build of OpenCV has GStreamer; its list of backends names it even where it has not."""
    lines = [row for row in cv2.getBuildInformation().splitlines() if "GStreamer:" in row]
    return bool(lines) and "YES" in lines[0]


def _next(capture: cv2.VideoCapture) -> Any:
    """A frame as OpenCV gives it; CameraLost if there is none."""
    ok, picture = capture.read()
    if not ok:
        raise CameraLost("the camera gives no more frames")
    return picture


@contextmanager
def picamera2(settings: Picamera2, load: Callable[[], Any]) -> Iterator[Read]:
    """A Raspberry Pi camera. ``load`` gives the class Picamera2; it is called only here, as most devices have none."""
    try:
        camera = load()(settings.camera)
    except ImportError as error:
        raise CameraLost(f"picamera2 does not import (apt install python3-picamera2): {error}") from error
    except (RuntimeError, IndexError) as error:
        raise CameraLost(f"camera {settings.camera}: {error}") from error
    try:
        wanted = {"format": "YUV420", "size": (settings.width // 2 * 2, settings.height // 2 * 2)}
        camera.configure(camera.create_video_configuration(main=wanted, buffer_count=4))
        given = camera.camera_configuration()["main"]  # configure() may change what was asked for, silently
        camera.set_controls({"FrameRate": float(settings.fps)})
        camera.start()
        yield lambda: _picamera2_frame(camera, given)
    finally:
        camera.close()


def _picamera2_frame(camera: Any, given: dict[str, Any]) -> Pixels:
    try:
        array = camera.capture_array("main", wait=2.0)  # without a limit it waits for ever when the camera dies
    except TimeoutError as error:
        camera.cancel_all_and_flush()
        raise CameraLost("no frame within 2 s") from error
    return picamera2_grey(array, given["format"], given["size"])


TO_GREY = {
    "RGB888": cv2.COLOR_BGR2GRAY,  # libcamera names the bytes from the other end
    "BGR888": cv2.COLOR_RGB2GRAY,
    "XRGB8888": cv2.COLOR_BGRA2GRAY,
    "XBGR8888": cv2.COLOR_RGBA2GRAY,
}


def picamera2_grey(array: Any, form: str, size: tuple[int, int]) -> Pixels:
    """An array of picamera2 in the format and (width, height) it really has -> grey (h, w).

    The upper rows of planar formats are the grey picture already; YUV420's keep the padding of the stride.
    """
    width, height = size
    if form in ("YUV420", "YVU420", "NV12", "NV21"):
        return np.ascontiguousarray(array[:height, :width])
    if form not in TO_GREY:
        raise CameraLost(f"camera gives {form}; expected YUV420, NV12 or one of {', '.join(TO_GREY)}")
    return np.asarray(cv2.cvtColor(array, TO_GREY[form]), np.uint8)[:height, :width]
