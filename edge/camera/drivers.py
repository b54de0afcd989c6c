"""Camera drivers. To add a camera source, add its settings, a driver and a case here.

A driver is a context manager that opens the camera and yields a function that reads one grey frame.
"""

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from base.logs import line
from edge.camera.file_source import to_grey
from edge.camera.network import load_pyav, network, read_password
from edge.camera_settings import Gstreamer, Http, Live, Picamera2, Rtsp, V4l2
from edge.errors import CameraLost
from edge.values import Frame, Pixels

ReadFrame: TypeAlias = Callable[[], Pixels | Frame]
"""Reads one grey frame, a `Frame` where the camera tells its time; raises `CameraLost` if there is none."""
OpenCamera: TypeAlias = Callable[[], AbstractContextManager[ReadFrame]]
"""Opens a camera; entering the context raises `CameraLost` if that fails."""

log = logging.getLogger("edge.camera.drivers")
PICAMERA2_READ_LIMIT_S = 2.0
"""Without a limit picamera2 waits for ever when the camera dies."""
PICAMERA2_TO_GREY = {
    "RGB888": cv2.COLOR_BGR2GRAY,  # libcamera names the channels in the reverse of their order in memory
    "BGR888": cv2.COLOR_RGB2GRAY,
    "XRGB8888": cv2.COLOR_BGRA2GRAY,
    "XBGR8888": cv2.COLOR_RGBA2GRAY,
}
"""Conversions of picamera2's packed formats."""


def driver_for(settings: Live) -> OpenCamera:
    """The driver for a camera with these settings; raises `SettingsError` if they need what this device lacks."""
    if isinstance(settings, Rtsp | Http):
        av, password = load_pyav(), read_password(settings)
        return lambda: network(settings, password, av)
    if isinstance(settings, Picamera2):
        return lambda: picamera2(settings, lambda: importlib.import_module("picamera2").Picamera2)
    if isinstance(settings, V4l2):
        return lambda: v4l2(settings)
    assert isinstance(settings, Gstreamer)
    return lambda: gstreamer(settings)


@contextmanager
def v4l2(settings: V4l2) -> Iterator[ReadFrame]:
    """Open a USB camera through OpenCV's V4L2 backend, and log the mode that it really has."""
    capture = cv2.VideoCapture(settings.device, cv2.CAP_V4L2)
    try:
        if not capture.isOpened():
            raise CameraLost(f"camera {settings.device} does not open (is {settings.path} there?)")
        if settings.format is not None:  # before the size, because each format has sizes of its own
            capture.set(cv2.CAP_PROP_FOURCC, int.from_bytes(settings.format.ljust(4).encode("ascii"), "little"))
        for key, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, settings.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, settings.height),
            (cv2.CAP_PROP_FPS, settings.fps),
        ):
            capture.set(key, value)
        _log_mode(capture, settings)
        yield lambda: to_grey(_read(capture))
    finally:
        capture.release()


def _log_mode(capture: cv2.VideoCapture, settings: V4l2) -> None:
    """Log format, size and rate of an open USB camera, as a warning where they are not those of the settings."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1").strip()
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    found = (code, width, height, round(capture.get(cv2.CAP_PROP_FPS), 2))
    wanted = (settings.format or code, settings.width, settings.height, float(settings.fps))
    fields = dict(zip(("format", "width", "height", "fps"), found, strict=True))
    if found == wanted:
        log.info(line("camera_mode", device=settings.device, **fields))
    else:
        asked = "{} {}x{} at {:g} fps".format(*wanted)
        log.warning(line("camera_mode", device=settings.device, **fields, asked=asked))


@contextmanager
def gstreamer(settings: Gstreamer) -> Iterator[ReadFrame]:
    """Open a GStreamer pipeline through an OpenCV that is built with GStreamer."""
    if not has_gstreamer():
        raise CameraLost("this OpenCV is built without GStreamer; use the one of JetPack or of Debian (python3-opencv)")
    capture = cv2.VideoCapture(settings.pipeline, cv2.CAP_GSTREAMER)
    try:
        if not capture.isOpened():
            raise CameraLost("capture.pipeline does not open (set GST_DEBUG=3 in the environment to see why)")
        size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        yield lambda: gstreamer_grey(_read(capture), size)
    finally:
        capture.release()


def gstreamer_grey(image: NDArray[Any], size: tuple[int, int]) -> Pixels:
    """Convert a frame of a GStreamer pipeline of ``size`` (width, height) to grey (h, w).

    OpenCV delivers GRAY8 as (h, w), BGR as (h, w, 3), BGRx and BGRA as (h, w, 4). NV12, NV21, I420 and YV12 come as
    (h * 3 / 2, w), with the grey image above the colour planes. JPEG comes as a single row of bytes. Raises
    `CameraLost` for any other layout.
    """
    width, height = size
    if image.dtype == np.uint8:
        shape = image.shape[:2] if image.ndim == 3 and image.shape[2] == 1 else image.shape
        if shape == (height, width, 4):
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2GRAY), np.uint8)
        if shape in {(height, width), (height, width, 3)}:
            return to_grey(image)
        if shape == (height * 3 // 2, width):
            return to_grey(image)[:height]
    raise CameraLost(
        f"pipeline gives {image.dtype} {image.shape} for {width} x {height}, which is no known format; put"
        " videoconvert ! video/x-raw,format=GRAY8 before its appsink"
    )


def has_gstreamer() -> bool:
    """Whether this build of OpenCV has GStreamer; its list of backends names it in any case."""
    lines = [row for row in cv2.getBuildInformation().splitlines() if "GStreamer:" in row]
    return bool(lines) and "YES" in lines[0]


def _read(capture: cv2.VideoCapture) -> NDArray[Any]:
    """Read a frame as OpenCV delivers it; raises `CameraLost` if there is none."""
    ok, image = capture.read()
    if not ok:
        raise CameraLost("the camera gives no more frames")
    return image


@contextmanager
def picamera2(settings: Picamera2, load: Callable[[], Any]) -> Iterator[ReadFrame]:
    """Open a Raspberry Pi camera; ``load`` imports the class Picamera2, which most devices do not have."""
    try:
        camera = load()(settings.camera)
    except ImportError as error:
        raise CameraLost(f"picamera2 cannot be imported (apt install python3-picamera2): {error}") from error
    except (RuntimeError, IndexError) as error:
        raise CameraLost(f"camera {settings.camera}: {error}") from error
    try:
        wanted = {"format": "YUV420", "size": (settings.width // 2 * 2, settings.height // 2 * 2)}
        camera.configure(camera.create_video_configuration(main=wanted, buffer_count=4))
        actual = camera.camera_configuration()["main"]  # configure() may silently change what was asked for
        camera.set_controls({"FrameRate": float(settings.fps)})
        camera.start()
        yield lambda: _picamera2_frame(camera, actual)
    finally:
        camera.close()


def _picamera2_frame(camera: Any, stream: dict[str, Any]) -> Pixels:
    """Read a grey frame of a stream with this configuration."""
    try:
        array = camera.capture_array("main", wait=PICAMERA2_READ_LIMIT_S)
    except TimeoutError as error:
        camera.cancel_all_and_flush()
        raise CameraLost(f"no frame within {PICAMERA2_READ_LIMIT_S:g} s") from error
    return picamera2_grey(array, stream["format"], stream["size"])


def picamera2_grey(array: Any, pixel_format: str, size: tuple[int, int]) -> Pixels:
    """Convert an array of picamera2, in the format and size (width, height) it really has, to grey (h, w).

    The upper rows of planar formats are the grey image; those of YUV420 are padded to the stride.
    """
    width, height = size
    if pixel_format in ("YUV420", "YVU420", "NV12", "NV21"):
        return np.ascontiguousarray(array[:height, :width])
    if pixel_format not in PICAMERA2_TO_GREY:
        allowed = ", ".join(PICAMERA2_TO_GREY)
        raise CameraLost(f"camera gives {pixel_format}; must be YUV420, YVU420, NV12, NV21 or one of {allowed}")
    return np.asarray(cv2.cvtColor(array, PICAMERA2_TO_GREY[pixel_format]), np.uint8)[:height, :width]
