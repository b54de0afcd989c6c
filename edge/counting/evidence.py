"""What the observations of a track say: whether it was a face at all, and whether it moved."""

import math
from dataclasses import dataclass

from edge.values import Detection

STILL, STILL_LONG = 0.02, 0.04
"""A face whose centre varies by less than this many face sizes (standard deviation) does not move; the second holds for
tracks of ``LONG_S`` or more. Nobody stands so still: people who stand and sit in the measured clips vary by at least
0.033 in tracks of a second and 0.08 in tracks of ten, faces on a screen by 0.004 at most."""
JITTER = 0.05
"""Nor is a face still whose centre varies by more than this in all, the detector's noise included: where frames are
rare, swaying looks like noise."""
SHORT_S, LONG_S = 0.8, 10.0
"""A track shorter than the first, seconds, is never said to be still."""
CONFIDENCE = 2.0
"""A track is still if it is so by this many standard errors ..."""
MOVED_CONFIDENCE, MOVED_OBSERVATIONS = 4.0, 10
"""... and moves if it does by this many, which is asked again in each frame, and has so many observations."""
MOST = 1 << 14
"""After so many observations the sums begin to forget, so that a poster that is moved is noticed."""


@dataclass(slots=True)
class Evidence:
    """Sums over the observations of one track, so that memory does not grow."""

    high: int = 0
    """Observations with a high score."""
    observations: int = 0
    _size: float = 0.0
    _count: float = 0.0
    _mean: tuple[float, float] = (0.0, 0.0)
    _squares: float = 0.0
    _first: tuple[float, float] = (0.0, 0.0)
    _last: tuple[float, float] = (0.0, 0.0)
    _steps: float = 0.0

    def add(self, face: Detection, is_high: bool) -> None:
        """One more observation."""
        self.high += is_high
        self.observations += 1
        self._size = self._size or face.size
        if self._count >= MOST:
            self._count, self._squares, self._steps = self._count / 2, self._squares / 2, self._steps / 2
        here = (face.centre[0] / self._size, face.centre[1] / self._size)
        if self._count:
            self._steps += _squared(here, self._last)
        else:
            self._first = here
        self._count += 1
        before, self._mean = self._mean, _towards(self._mean, here, 1 / self._count)
        self._squares += (here[0] - before[0]) * (here[0] - self._mean[0])
        self._squares += (here[1] - before[1]) * (here[1] - self._mean[1])
        self._last = here

    @property
    def high_ratio(self) -> float:
        """The ratio of observations that have a high score."""
        return self.high / max(1, self.observations)

    @property
    def travel(self) -> float:
        """Distance from the first observation to the last, in face sizes."""
        return math.sqrt(_squared(self._first, self._last))

    def is_still(self, seconds: float) -> bool:
        """Whether a track of so many seconds has not moved, beyond what the detector's noise explains."""
        motion, error = self._motion()
        limit = STILL_LONG if seconds >= LONG_S else STILL
        if seconds < SHORT_S or self._squares > JITTER**2 * (self._count - 1):
            return False
        return motion + CONFIDENCE * error < limit**2

    def moves(self) -> bool:
        """Whether a track has moved, beyond what the detector's noise explains."""
        motion, error = self._motion()
        return self._count >= MOVED_OBSERVATIONS and motion - MOVED_CONFIDENCE * error > STILL_LONG**2

    def _motion(self) -> tuple[float, float]:
        """Variance of the true centre and its standard error, squared face sizes.

        The noise of a detector changes from frame to frame; people sway over seconds. So half the mean squared step
        from one observation to the next estimates the noise, and what the variance has beyond it is motion (von
        Neumann 1941).
        """
        if self._count < 3:
            return 0.0, math.inf
        noise = self._steps / (self._count - 1) / 2
        motion = self._squares / (self._count - 1) - noise
        return motion, noise * math.sqrt(2 / self._count)


def _squared(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


def _towards(a: tuple[float, float], b: tuple[float, float], ratio: float) -> tuple[float, float]:
    return a[0] + ratio * (b[0] - a[0]), a[1] + ratio * (b[1] - a[1])
