"""A camera or a file -> frames. Live sources drop what nobody waited for, files drop nothing."""

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from base.logs import line
from edge.camera.drivers import Open, camera_of
from edge.camera.file_source import clip
from edge.errors import CameraLost
from edge.settings import Capture, File
from edge.system.clock import MonotonicClock, ReplayClock, SourceClock, floor_to_grid, now
from edge.values import Frame, Missing

log = logging.getLogger("edge.camera.capture")
TICK_S = 1.0
"""While there is no camera the rest of the daemon goes on this often."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 20.0
"""A camera that is back has to be noticed within half a minute, however long it was away."""
CLOSE_S = 1.0
"""How long to wait for a driver to let go: a process that ends while a thread is inside OpenCV may abort."""
REOPEN_S = 120.0
"""A camera is opened again because of what it shows at most so often."""
MOST_STUCK = 4
"""So many threads may hang in a driver; more attempts would only fill memory."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where frames come from: the stream, its clock, and the second it starts at."""

    frames: Iterator[Frame | Missing]
    clock: SourceClock
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
        return Source(frames, ReplayClock(floor_to_grid(now(), window_s)), 0.0, lambda: 0, lambda: None)
    camera = Camera(camera_of(settings), settings.open_limit_s, settings.read_limit_s)
    newest = live(camera, stop, random.Random())  # noqa: S311
    clock = MonotonicClock(time.monotonic, now)
    return Source(newest, clock, time.monotonic(), lambda: camera.dropped, camera.reopen)


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
