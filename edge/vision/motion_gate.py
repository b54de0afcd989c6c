"""Decide on which frames the detector runs, and on which part: at once where something moves, else at a low rate.

Every frame is shrunk to about 64 x 48 cells, which costs 1 to 2 % of a detection, and compared with two references:

* The frame of the last detection. A difference means that something has moved since, and the detector runs now.
* A slowly adapting background. A difference means that something is present that is not background, and the detector
  runs at least every `PRESENT_INTERVAL_S`, whether it moves or not.

Background and noise are running medians that move by fixed steps (sigma-delta estimation, Manzanera and Richefeu
2007). Decisions depend only on pixels and time stamps, so a replayed file gives the same detections each time.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.values import Pixels, Track
from edge.vision.region import RegionSelector, View

COLUMNS = 64
"""Approximate number of cells across a frame. A cell is a square of whole pixels; its level is their mean."""
MIN_THRESHOLD, MAX_THRESHOLD = 3.0, 15.0
"""Bounds of the threshold from which on a cell has changed, grey levels."""
NOISE_FACTOR = 8.5
"""Threshold of a cell over the median absolute difference that its noise causes. With normal noise, 8.5 medians are 5.7
standard deviations; a frame has 3,072 cells."""
BACKGROUND_STEP_PER_S, NOISE_STEP_PER_S = 0.5, 0.1
"""Speed at which background and noise adapt, grey levels per second."""
MAX_STEP_S = 1.0
"""After a longer gap between two frames, background and noise adapt only by as much as in this time."""
NEW_SCENE_FRACTION = 0.5
"""If a larger fraction of the cells differ from the background, the light or the camera has changed, and the background
starts anew."""
PRESENT_INTERVAL_S = 0.3
"""Longest time between detections while a person is tracked or something differs from the background, seconds."""
EMPTY_INTERVAL_S = 1.0
"""Longest time between detections otherwise, seconds."""
EARLY = 0.1
"""A frame may come this fraction of the shortest interval too early, because cameras' time stamps are not exact."""

Cells = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Difference:
    """How a frame differs from the references of a `BackgroundModel`."""

    moved: bool
    """Whether something has moved since the last detection."""
    present: bool
    """Whether something is present that is not background."""
    cells: NDArray[np.bool_]
    """The cells that have moved or are not background, (rows, columns); all of them in a new scene."""


@dataclass(slots=True)
class BackgroundModel:
    """The references that frames of a fixed camera are compared with: background, noise, frame of the last detection.

    All are cells of grey levels, float32 (rows, columns).
    """

    _shape: tuple[int, ...] = ()
    _cells: Cells = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    _background: Cells = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    _noise: Cells = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    _detected: Cells | None = None

    def compare(self, pixels: Pixels, elapsed: float) -> Difference:
        """Compare a grey frame (height, width), taken ``elapsed`` seconds after the previous one, with the references.

        A frame of a new size differs from everything until a detection has run on one.
        """
        self._cells = cell_means(pixels)
        if pixels.shape != self._shape:
            self._shape, self._background = pixels.shape, self._cells
            self._noise, self._detected = np.zeros_like(self._cells), None
        if self._detected is None:
            return Difference(moved=True, present=True, cells=np.ones(self._cells.shape, np.bool_))
        step = min(elapsed, MAX_STEP_S)
        threshold = np.clip(NOISE_FACTOR * self._noise, MIN_THRESHOLD, MAX_THRESHOLD)
        since = _difference(self._cells, self._detected)
        self._noise += NOISE_STEP_PER_S * step * np.sign(since - self._noise)
        moved, present = since > threshold, self._find_present(threshold, step)
        return Difference(bool(moved.any()), bool(present.any()), moved | present)

    def mark_detected(self) -> None:
        """Make the frame that was compared last the frame of the last detection."""
        self._detected = self._cells

    def _find_present(self, threshold: Cells, step: float) -> NDArray[np.bool_]:
        """The cells that differ from the background, which then adapts to the frame by ``step`` seconds.

        In a new scene all cells do.
        """
        differing = np.asarray(_difference(self._cells, self._background) > threshold)
        if int(np.count_nonzero(differing)) > NEW_SCENE_FRACTION * differing.size:
            self._background = self._cells
            return np.ones_like(differing)
        limit = BACKGROUND_STEP_PER_S * step
        self._background = self._background + np.clip(self._cells - self._background, -limit, limit)
        return differing


@dataclass(slots=True)
class MotionGate:
    """Decides on which frames the detector runs, and with ``regions`` on which part of a frame.

    Each time the set of tracks changes, the detector runs at ``max_fps`` for a while, whether anything moves or not.
    Otherwise frames without a detection could make a track seem lost, or a false detection seem a visitor.
    """

    max_fps: float
    """Maximum number of detections per second."""
    full_rate_s: float
    """How long the detector runs at the full rate after the tracks have changed, seconds."""
    follow_motion: bool = True
    """Without it the detector always runs at ``max_fps``, on whole frames."""
    regions: RegionSelector | None = None
    """Chooses the part of a frame; without it the detector sees whole frames."""
    _background: BackgroundModel = field(default_factory=BackgroundModel)
    _last_frame: float | None = None
    _last_detection: float = 0.0
    _due: float = 0.0
    _tracks: frozenset[int] = frozenset()
    _full_rate_until: float = 0.0
    _view: View | None = None
    """What the detector saw last."""

    def select(self, pixels: Pixels, time: float) -> View | None:
        """What the detector sees of a grey frame (height, width); None if it does not run.

        ``time`` is when the frame was taken, seconds that never go back.
        """
        period = 1 / self.max_fps
        is_due = time >= self._due - EARLY * period
        view = View.whole(pixels.shape)
        if self.follow_motion:
            elapsed = 0.0 if self._last_frame is None else time - self._last_frame
            self._last_frame = time
            difference = self._background.compare(pixels, elapsed)
            if not is_due or not self._is_needed(difference, time, elapsed):
                return None
            self._background.mark_detected()
            if self.regions:
                view = self.regions.select(pixels.shape, difference.cells, cell_side(pixels.shape), time)
        elif not is_due:
            return None
        self._last_detection, self._due = time, max(self._due + period, time)
        self._view = view
        return view

    def update_tracks(self, tracks: Collection[Track], time: float) -> None:
        """Report the tracks that the detection at ``time`` (seconds) observed.

        Small faces that other frames show better are left out of a view, so no track is lost there.
        """
        observed = frozenset(track.number for track in tracks)
        if self._view and self._view.is_partial:
            observed |= self._tracks
        if observed != self._tracks:
            self._tracks, self._full_rate_until = observed, time + self.full_rate_s
        if self.regions:
            self.regions.update_tracks(tracks, time)

    def _is_needed(self, difference: Difference, time: float, elapsed: float) -> bool:
        """Whether a detection is needed now rather than on the next frame, expected ``elapsed`` seconds later."""
        if difference.moved or time < self._full_rate_until:
            return True
        interval = PRESENT_INTERVAL_S if difference.present or self._tracks else EMPTY_INTERVAL_S
        return time + elapsed - self._last_detection > interval + 1e-6


def cell_side(shape: tuple[int, ...]) -> int:
    """Side of the cells of a frame of ``shape`` (height, width), pixels."""
    return max(1, min(2 * round(shape[1] / COLUMNS / 2), shape[0]))


def cell_means(pixels: Pixels) -> Cells:
    """Mean grey levels of the cells of a grey frame (height, width), float32 (rows, columns).

    Pixels at the right and bottom that do not fill a cell are ignored.
    """
    height, width = pixels.shape
    side = cell_side(pixels.shape)
    rows, columns = height // side, width // side
    part = pixels[: rows * side, : columns * side]
    while side % 2 == 0:  # OpenCV halves a frame many times faster than it shrinks it by another whole factor
        side //= 2
        part = np.asarray(cv2.resize(part, (columns * side, rows * side), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _difference(one: Cells, other: Cells) -> Cells:
    """Absolute difference of two frames' cells, each averaged with its neighbours to the right and below.

    The averaging halves the noise, and it keeps a small face that lies across several cells.
    """
    return np.asarray(np.abs(cv2.blur(one - other, (2, 2))), np.float32)
