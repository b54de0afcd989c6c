"""Frames -> when the detector runs: at once where something moves, at a low rate where nothing does.

Every frame is shrunk to about 64 x 48 cells, which costs 1 to 2 % of a detection, and compared with two
references:

* the frame of the last detection: a difference means that something has moved since, and the detector runs now;
* a slowly adapting background: a difference means that something is there that was not, and the detector runs at least
  every `PRESENT_S`, moving or not.

Background and noise are running medians that move by fixed steps (sigma-delta estimation, Manzanera and Richefeu
2007). Everything follows from pixels and time stamps, so that a replayed file gives the same detections each time.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.values import Pixels

COLUMNS = 64
"""About so many cells lie across a frame. A cell is a square of whole pixels; its level is the mean of its pixels."""
SMALLEST_CHANGE, LARGEST_CHANGE = 3.0, 15.0
"""A cell has changed if its level differs by more than a threshold between these, grey levels ..."""
NOISE_FACTOR = 8.5
"""... which is this many times the median difference that the cell shows anyway: 8.5 times the median of a normal
distribution's absolute values is 5.7 standard deviations, and there are 3,072 cells."""
BACKGROUND_PER_S, NOISE_PER_S = 0.5, 0.1
"""Grey levels a second by which the background follows what is seen, and the noise what differs."""
LONGEST_STEP_S = 1.0
"""Two frames further apart than this move background and noise no further than frames this far apart."""
NEW_SCENE = 0.5
"""If more than this fraction of the cells differ from the background, the light or the camera has changed, and the
background begins anew."""
PRESENT_S = 0.3
"""Longest time between detections while somebody is tracked or something differs from the background, seconds."""
EMPTY_S = 1.0
"""Longest time between detections while nothing does, seconds."""
EARLY = 0.1
"""A frame this fraction of the shortest interval too early is taken: time stamps of cameras are not exact."""

Cells = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Difference:
    """How a frame differs from the references of a `BackgroundModel`: whether something has ``moved`` since the last detection,
    and whether something is ``present`` that is not background.
    """

    moved: bool
    present: bool


@dataclass(slots=True)
class BackgroundModel:
    """What a still camera sees when nothing moves: background, noise, and the frame of the last detection, as cells of
    grey levels, float32 (rows, columns).
    """

    _shape: tuple[int, ...] = ()
    _cells: Cells = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    _background: Cells = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    _noise: Cells = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    _detected: Cells | None = None

    def compare(self, pixels: Pixels, elapsed: float) -> Difference:
        """A grey frame (height, width), ``elapsed`` seconds after the one before -> how it differs. Until a detection
        on a frame of its size has run, it differs from everything.
        """
        self._cells = cells(pixels)
        if pixels.shape != self._shape:
            self._shape, self._background = pixels.shape, self._cells
            self._noise, self._detected = np.zeros_like(self._cells), None
        if self._detected is None:
            return Difference(moved=True, present=True)
        step = min(elapsed, LONGEST_STEP_S)
        threshold = np.clip(NOISE_FACTOR * self._noise, SMALLEST_CHANGE, LARGEST_CHANGE)
        since = _difference(self._cells, self._detected)
        self._noise += NOISE_PER_S * step * np.sign(since - self._noise)
        return Difference(bool((since > threshold).any()), self._is_present(threshold, step))

    def mark_detected(self) -> None:
        """The detector has run on the frame that was compared last."""
        self._detected = self._cells

    def _is_present(self, threshold: Cells, step: float) -> bool:
        """Whether something differs from the background, which follows the frame by ``step`` seconds."""
        differs = int(np.count_nonzero(_difference(self._cells, self._background) > threshold))
        if differs > NEW_SCENE * self._cells.size:
            self._background = self._cells
            return True
        most = BACKGROUND_PER_S * step
        self._background = self._background + np.clip(self._cells - self._background, -most, most)
        return differs > 0


@dataclass(slots=True)
class MotionGate:
    """Decides on which frames the detector runs: at most ``max_fps`` times a second. While the tracks change, and for
    ``settle_s`` seconds after, it runs as often as that, moving or not, so that a track is not taken for lost, and a
    false detection not for a visitor, because of frames without a detection.
    """

    max_fps: float
    settle_s: float
    follow_motion: bool = True
    _scene: BackgroundModel = field(default_factory=BackgroundModel)
    _last: float | None = None
    _looked: float = 0.0
    _due: float = 0.0
    _tracks: frozenset[int] = frozenset()
    _settled: float = 0.0

    def should_detect(self, pixels: Pixels, time: float) -> bool:
        """Whether the detector runs on a grey frame (height, width) taken at ``time``, seconds that never go back."""
        period = 1 / self.max_fps
        is_due = time >= self._due - EARLY * period
        if self.follow_motion:
            elapsed = 0.0 if self._last is None else time - self._last
            self._last = time
            difference = self._scene.compare(pixels, elapsed)
            if not is_due or not self._is_wanted(difference, time, elapsed):
                return False
            self._scene.mark_detected()
        elif not is_due:
            return False
        self._looked, self._due = time, max(self._due + period, time)
        return True

    def update_tracks(self, tracks: Collection[int], time: float) -> None:
        """Numbers of the tracks that were seen by the detection at ``time``, seconds."""
        seen = frozenset(tracks)
        if seen != self._tracks:
            self._tracks, self._settled = seen, time + self.settle_s

    def _is_wanted(self, difference: Difference, time: float, elapsed: float) -> bool:
        """Whether anything calls for a detection. The next frame is expected after another ``elapsed`` seconds: the
        longest time must not be over by then.
        """
        if difference.moved or time < self._settled:
            return True
        longest = PRESENT_S if difference.present or self._tracks else EMPTY_S
        return time + elapsed - self._looked > longest + 1e-6


def cells(pixels: Pixels) -> Cells:
    """A grey frame (height, width) -> the mean levels of its cells, float32 (rows, columns). What is left over at the
    right and at the bottom, less than a cell, is not looked at.
    """
    height, width = pixels.shape
    side = max(1, min(2 * round(width / COLUMNS / 2), height))
    rows, columns = height // side, width // side
    part = pixels[: rows * side, : columns * side]
    while side % 2 == 0:  # OpenCV halves a frame many times faster than it shrinks it by another whole number
        side //= 2
        part = np.asarray(cv2.resize(part, (columns * side, rows * side), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _difference(one: Cells, other: Cells) -> Cells:
    """Absolute difference of two frames' cells, each averaged with its neighbours to the right and below: a small face
    may lie across several cells, and noise is halved.
    """
    return np.asarray(np.abs(cv2.blur(one - other, (2, 2))), np.float32)
