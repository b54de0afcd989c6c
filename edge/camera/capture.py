"""Open the configured source and stream its frames: a file in full, a camera with reconnects and newest frame only."""

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from base.backoff import full_jitter
from base.logs import line
from edge.camera.drivers import OpenCamera, driver_for
from edge.camera.file_source import read_frames
from edge.camera_settings import Capture, File
from edge.errors import CameraLost
from edge.system.clock import MonotonicClock, ReplayClock, SourceClock, floor_to_grid, now
from edge.values import Frame, MissingFrame

log = logging.getLogger("edge.camera.capture")
MISSING_FRAME_INTERVAL_S = 1.0
"""Interval of `MissingFrame` in the stream while there is no camera, so that the pipeline goes on."""
FIRST_RETRY_S, MAX_RETRY_S = 1.0, 20.0
"""Upper bound of the random wait before the first retry, and of any wait. A camera that is back must be noticed within
half a minute, however long it was away."""
CLOSE_LIMIT_S = 1.0
"""How long to wait for a driver to return after closing: a process that ends while a thread is inside OpenCV can
abort."""
REOPEN_INTERVAL_S = 120.0
"""Shortest time between two reopenings of a camera whose image is frozen."""
MAX_STUCK_THREADS = 4
"""Maximum number of threads that hang in a driver; further attempts would only fill memory."""


@dataclass(frozen=True, slots=True)
class Source:
    """A stream of frames with its clock."""

    frames: Iterator[Frame | MissingFrame]
    clock: SourceClock
    start: float
    """Time at which the stream starts, seconds of the clock."""
    dropped: Callable[[], int]
    """Number of frames that a live source has dropped so far because the pipeline was busy."""
    reopen: Callable[[], None]
    """Reopen a camera whose image is frozen; does nothing for a file."""


def source(settings: Capture, stop: threading.Event, window_s: float) -> Source:
    """Open the source that the settings describe; ``stop`` ends the stream.

    A file that cannot be opened raises `ClipError` at once, while a camera is retried for ever. The clock of a file
    starts at a multiple of ``window_s``, so that every replay divides into the same windows.
    """
    if isinstance(settings, File):
        frames = itertools.takewhile(lambda _: not stop.is_set(), read_frames(settings))
        return Source(frames, ReplayClock(floor_to_grid(now(), window_s)), 0.0, lambda: 0, lambda: None)
    camera = Camera(driver_for(settings), settings.open_limit_s, settings.read_limit_s)
    newest = live_frames(camera, stop, random.Random())  # noqa: S311
    clock = MonotonicClock(time.monotonic, now)
    return Source(newest, clock, time.monotonic(), lambda: camera.dropped, camera.reopen)


def live_frames(camera: "Camera", stop: threading.Event, rng: random.Random) -> Iterator[Frame | MissingFrame]:
    """Stream the newest frame of a camera, none twice, until ``stop`` is set.

    While the camera is lost, yields a `MissingFrame` every second and retries after a random, growing wait
    (exponential back-off with full jitter).
    """
    failures, reason = 0, ""
    while not stop.is_set():
        try:
            with camera.opened() as next_frame:
                while not stop.is_set():
                    frame = next_frame()
                    if failures:
                        log.info(line("camera_back"))
                        failures, reason = 0, ""
                    yield frame
        except CameraLost as error:
            if str(error) != reason:
                reason = str(error)
                log.warning(line("camera_lost", reason=reason))
            failures += 1
            wait_s = max(error.retry_s, full_jitter(rng, failures, FIRST_RETRY_S, MAX_RETRY_S))
            retry = time.monotonic() + wait_s
            yield MissingFrame(time.monotonic(), error.reason, attempt_returned=not error.hung)
            while time.monotonic() < retry and not stop.wait(MISSING_FRAME_INTERVAL_S):
                yield MissingFrame(time.monotonic(), error.reason, attempt_returned=not error.hung)


class Camera:
    """A camera that is read by a thread of its own, because a driver may hang for ever; keeps only the newest frame."""

    def __init__(self, open_camera: OpenCamera, open_limit_s: float, read_limit_s: float) -> None:
        """Time limits, in seconds, for opening the camera up to its first frame, and for each later frame."""
        self._open, self._open_limit_s, self._read_limit_s = open_camera, open_limit_s, read_limit_s
        self._threads: list[threading.Thread] = []
        self._reopened = -REOPEN_INTERVAL_S
        self._reopen = False
        self.dropped = 0

    def reopen(self) -> None:
        """Make the next frame raise `CameraLost`, so that the camera is reopened; at most every `REOPEN_INTERVAL_S`."""
        if time.monotonic() - self._reopened >= REOPEN_INTERVAL_S:
            self._reopen, self._reopened = True, time.monotonic()

    @contextmanager
    def opened(self) -> Iterator[Callable[[], Frame]]:
        """Open the camera; yields a function that waits for the next frame and raises `CameraLost` after its limit."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= MAX_STUCK_THREADS:
            raise CameraLost(f"the driver hangs: {MAX_STUCK_THREADS} attempts have not returned", hung=True)
        latest = _LatestFrame()
        thread = threading.Thread(target=self._fill, args=(latest,), daemon=True, name="camera")
        self._threads.append(thread)
        thread.start()
        limit = self._open_limit_s

        def next_frame() -> Frame:
            nonlocal limit
            if self._reopen:
                self._reopen = False
                raise CameraLost("the camera gives the same image for too long", reason="frozen")
            frame = latest.take(limit)
            limit = self._read_limit_s
            return frame

        try:
            yield next_frame
        finally:
            latest.close()
            thread.join(CLOSE_LIMIT_S)

    def _fill(self, latest: "_LatestFrame") -> None:
        """Run in the thread: open the camera and read frames until closed; an error is handed to the reader."""
        try:
            with self._open() as read:
                while not latest.closed:
                    image = read()
                    self.dropped += latest.put(image if isinstance(image, Frame) else Frame(image, time.monotonic()))
        except CameraLost as error:
            latest.fail(error)
        except Exception as error:  # noqa: BLE001 (a driver may raise anything, which means that the camera is lost)
            latest.fail(CameraLost(f"{type(error).__name__}: {error}"))


class _LatestFrame:
    """Hands frames from one thread to another; a new frame replaces one that was not taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._error: CameraLost | None = None
        self.closed = False

    def put(self, frame: Frame) -> int:
        """Leave a frame; returns the number of frames dropped for it, 0 or 1."""
        with self._changed:
            dropped = int(self._frame is not None)
            self._frame = frame
            self._changed.notify()
            return dropped

    def fail(self, error: CameraLost) -> None:
        """Announce that there are no more frames, and why."""
        with self._changed:
            self._error = error
            self._changed.notify()

    def close(self) -> None:
        """Announce that no more frames are taken."""
        with self._changed:
            self.closed = True

    def take(self, limit_s: float) -> Frame:
        """Wait for a frame for at most ``limit_s`` seconds and take it; raises `CameraLost` if there is none."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._frame or self._error, limit_s):
                raise CameraLost(f"no frame within {limit_s:g} s", hung=True)
            if self._frame is None:
                assert self._error is not None
                raise self._error
            frame, self._frame = self._frame, None
            return frame
