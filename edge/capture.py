"""A camera or a file -> frames. Live sources drop what nobody waited for, files drop nothing."""

import importlib
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np

from contract.logs import line
from edge.clock import Clock, MonotonicClock, ReplayClock, floor, now
from edge.errors import CameraLost
from edge.replay import clip, grey
from edge.settings import Capture, File, Gstreamer, Live, Picamera2, V4l2
from edge.words import Frame, Missing, Pixels

log = logging.getLogger("edge.capture")
TICK_S = 1.0
"""While there is no camera the rest of the daemon goes on this often."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
CLOSE_S = 1.0
"""How long to wait for a driver to let go: a process that ends while a thread is inside OpenCV may abort."""
REOPEN_S = 120.0
"""A camera is opened again because of what it shows at most so often."""
MOST_STUCK = 4
"""So many threads may hang in a driver; more attempts would only fill memory."""

Read: TypeAlias = Callable[[], Pixels]
"""One frame, grey; CameraLost if there is none."""
Open: TypeAlias = Callable[[], AbstractContextManager[Read]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where frames come from: the stream, its clock, and the second it starts at."""

    frames: Iterator[Frame | Missing]
    clock: Clock
    start: float
    dropped: Callable[[], int]
    reopen: Callable[[], None]
    """Open the camera again, because it shows the same picture for ever; nothing for a file."""


def source(settings: Capture, stop: threading.Event, window_s: float) -> Source:
    """Settings -> the source they name. A file that does not open is a ClipError now; a camera that does not is tried
    again for ever. ``stop`` ends the stream. The time of a file begins with a window, so that every replay falls into
    windows in the same way.
    """
    if isinstance(settings, File):
        frames = itertools.takewhile(lambda _: not stop.is_set(), clip(settings))
        return Source(frames, ReplayClock(floor(now(), window_s)), 0.0, lambda: 0, lambda: None)
    camera = Camera(camera_of(settings), settings.open_limit_s, settings.read_limit_s)
    newest = live(camera, stop, random.Random())  # noqa: S311
    clock = MonotonicClock(time.monotonic, now)
    return Source(newest, clock, time.monotonic(), lambda: camera.dropped, camera.reopen)


def camera_of(settings: Live) -> Open:
    """Settings of a camera -> what opens it."""
    if isinstance(settings, Picamera2):
        return lambda: picamera2(settings, lambda: importlib.import_module("picamera2").Picamera2)
    if isinstance(settings, V4l2):
        return lambda: v4l2(settings)
    assert isinstance(settings, Gstreamer)
    return lambda: gstreamer(settings)


def live(camera: "Camera", stop: threading.Event, jitter: random.Random) -> Iterator[Frame | Missing]:
    """Frames of a camera, newest first and none twice; while it is away a `Missing` each second, and a new attempt to
    open it after a random, growing wait.
    """
    failures = 0
    while not stop.is_set():
        try:
            with camera.opened() as newest:
                while not stop.is_set():
                    frame = newest()
                    if failures:
                        log.info(line("camera_back"))
                        failures = 0
                    yield frame
        except CameraLost as error:
            if not failures:
                log.warning(line("camera_lost", reason=error))
            failures += 1
            again = time.monotonic() + jitter.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures, 10)))
            yield Missing(time.monotonic(), error.reason, tried=not error.hung)
            while time.monotonic() < again and not stop.wait(TICK_S):
                yield Missing(time.monotonic(), error.reason)


class Camera:
    """A camera read by a thread of its own, because a driver may hang for ever; keeps the newest frame."""

    def __init__(self, opens: Open, open_limit_s: float, read_limit_s: float) -> None:
        self._open, self._open_limit_s, self._read_limit_s = opens, open_limit_s, read_limit_s
        self._threads: list[threading.Thread] = []
        self._reopened = -REOPEN_S
        self._reopen = False
        self.dropped = 0

    def reopen(self) -> None:
        """Have the next frame raise CameraLost, so that the camera is opened again; not too often."""
        if time.monotonic() - self._reopened >= REOPEN_S:
            self._reopen, self._reopened = True, time.monotonic()

    @contextmanager
    def opened(self) -> Iterator[Callable[[], Frame]]:
        """Inside, a call waits for a frame that was not given before; CameraLost if it takes too long."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= MOST_STUCK:
            raise CameraLost(f"the driver hangs: {MOST_STUCK} attempts have not come back", hung=True)
        slot = _Slot()
        thread = threading.Thread(target=self._fill, args=(slot,), daemon=True, name="camera")
        self._threads.append(thread)
        thread.start()
        limit = self._open_limit_s

        def newest() -> Frame:
            nonlocal limit
            if self._reopen:
                self._reopen = False
                raise CameraLost("the same picture for too long", reason="frozen")
            frame = slot.take(limit)
            limit = self._read_limit_s
            return frame

        try:
            yield newest
        finally:
            slot.close()
            thread.join(CLOSE_S)

    def _fill(self, slot: "_Slot") -> None:
        """The thread: open, read until told to end, and say what went wrong."""
        try:
            with self._open() as read:
                while not slot.closed:
                    self.dropped += slot.put(Frame(read(), time.monotonic()))
        except CameraLost as error:
            slot.fail(error)
        except Exception as error:  # noqa: BLE001 (a driver may raise anything; here it means that the camera is lost)
            slot.fail(CameraLost(f"{type(error).__name__}: {error}"))


class _Slot:
    """Room for one frame between two threads; a new frame replaces one that nobody took."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._error: CameraLost | None = None
        self.closed = False

    def put(self, frame: Frame) -> int:
        """Leave a frame; how many were dropped for it."""
        with self._changed:
            dropped = int(self._frame is not None)
            self._frame = frame
            self._changed.notify()
            return dropped

    def fail(self, error: CameraLost) -> None:
        """There will be no more frames."""
        with self._changed:
            self._error = error
            self._changed.notify()

    def close(self) -> None:
        """Nobody takes frames any more."""
        with self._changed:
            self.closed = True

    def take(self, limit_s: float) -> Frame:
        """Wait for a frame and take it."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._frame or self._error, limit_s):
                raise CameraLost(f"no frame within {limit_s:g} s", hung=True)
            if self._frame is None:
                assert self._error is not None
                raise self._error
            frame, self._frame = self._frame, None
            return frame


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
        yield lambda: _next(capture)
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
            raise CameraLost(f"pipeline does not open: {settings.pipeline}")
        yield lambda: _next(capture)
    finally:
        capture.release()


def has_gstreamer() -> bool:
    """Whether this build of OpenCV has GStreamer; its list of backends names it even where it has not."""
    lines = [row for row in cv2.getBuildInformation().splitlines() if "GStreamer:" in row]
    return bool(lines) and "YES" in lines[0]


def _next(capture: cv2.VideoCapture) -> Pixels:
    ok, picture = capture.read()
    if not ok:
        raise CameraLost("the camera gives no more frames")
    return grey(picture)


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
