"""Report to the updater what the daemon does: a small file in the unit's runtime directory, which is in memory."""

import logging
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from base.logs import line
from edge.stages import Observer, Stage, WindowPublisher
from edge.system.clock import boot_id
from edge.system.installed_release import installed_release
from edge.values import Window

log = logging.getLogger(__name__)
NAME = "progress.json"
INTERVAL_S = 2.0
MODE = 0o644
"""The updater is another user, and the unit's umask would keep it out."""
MAX_TIMES = 31
"""Number of detections whose median time is reported."""


class Progress(Struct, frozen=True, kw_only=True):
    """What a daemon has done since its start. Nothing of it depends on how many people were in view.

    The updater of an older release reads what a newer daemon writes, so fields are only ever added.
    """

    boot: str
    """Random id of this start."""
    release: str | None
    """Name of the slot from which it runs."""
    seconds: float
    """Time since the start."""
    frames: int
    """Frames that the camera has delivered."""
    windows: int
    """Windows that have ended."""
    window_s: float
    """Duration of a window, seconds."""
    connected: bool
    """Whether there is a connection to the broker."""
    acknowledged: int
    """Messages that the broker has acknowledged."""
    detection_ms: float | None
    """Median time of a detection, milliseconds; None before the first."""


class ProgressFile(Observer):
    """Counts frames, windows and detection times, and writes them every `INTERVAL_S` if systemd names a directory."""

    def __init__(
        self,
        window_s: float,
        environment: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        folder = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._path = Path(folder) / NAME if folder else None
        self._boot, self._release, self._window_s, self._now = boot_id(), installed_release(), window_s, now
        self._started, self._due = now(), -1.0
        self._frames = self._windows = 0
        self._detections: deque[float] = deque(maxlen=MAX_TIMES)
        self._failed = False

    def on_stage_time(self, stage: Stage, seconds: float) -> None:
        """Count a frame or a detection."""
        if stage == "quality":
            self._frames += 1
        elif stage == "detect":
            self._detections.append(seconds * 1000)

    def on_windows(self, windows: Sequence[Window]) -> None:
        """Count windows that ended."""
        self._windows += len(windows)

    def write(self, publisher: WindowPublisher) -> None:
        """Write the file if it is due. A failure is logged once; the daemon counts on."""
        if self._path is None or self._now() < self._due:
            return
        self._due = self._now() + INTERVAL_S
        progress = Progress(
            boot=self._boot,
            release=self._release,
            seconds=round(self._now() - self._started, 1),
            frames=self._frames,
            windows=self._windows,
            window_s=self._window_s,
            connected=publisher.connected,
            acknowledged=publisher.acknowledged,
            detection_ms=round(statistics.median(self._detections), 1) if self._detections else None,
        )
        draft = self._path.with_suffix(".new")
        try:
            draft.write_bytes(msgspec.json.encode(progress))
            draft.chmod(MODE)
            draft.replace(self._path)
        except OSError as error:
            if not self._failed:
                log.warning(line("progress_failed", reason=error))
            self._failed = True
