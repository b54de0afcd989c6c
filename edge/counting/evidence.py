"""Accumulate what the observations of a track prove: that it is a face, and whether it moves."""

import math
from dataclasses import dataclass, field

from edge.values import Detection

MAX_STILL_STD, MAX_STILL_STD_LONG = 0.02, 0.04
"""A track does not move if the standard deviation of its centre is below this, face sizes. The second value holds for
tracks of `LONG_S` or more. In the measured clips, people who stand or sit vary by at least 0.033 in tracks of one
second and 0.08 in tracks of ten; faces on a screen by at most 0.004."""
MAX_STILL_STD_WITH_NOISE = 0.05
"""A track whose centre varies by more than this including detector noise, face sizes, is not still either. At low frame
rates the sway of a person looks like noise."""
MAX_STILL_TRAVEL = 0.3
"""A track that ends farther from where it began, face sizes, is not still."""
SAME_SCALE = 0.02
"""Two observations are of the same scale if their scales differ by at most this ratio."""
SHORT_S, LONG_S = 0.8, 10.0
"""Tracks shorter than the first, seconds, are never called still."""
STILL_STANDARD_ERRORS = 2.0
"""A track is still if its variance is below the limit by this many standard errors."""
MOVING_STANDARD_ERRORS, MOVING_MIN_OBSERVATIONS = 4.0, 10
"""A track moves if its variance exceeds the limit by this many standard errors, after this many observations. The test
is repeated for every frame and therefore stricter."""
MAX_SCALES = 4
"""Number of scales whose positions are kept; the one that was observed longest ago is replaced."""
MAX_OBSERVATIONS = 1 << 14
"""Number of observations after which the sums are halved, so that a poster that is moved is noticed."""


@dataclass(slots=True)
class _Position:
    """Where a face was in the observations of one scale, in face sizes."""

    scale: float
    mean: tuple[float, float]
    last: tuple[float, float]
    observations: float = 0.0


@dataclass(slots=True)
class Evidence:
    """Running sums over the observations of one track, in constant memory.

    Positions are compared with others of the same scale only, because a still face has slightly different boxes at two
    scales.
    """

    faces: int = 0
    """Number of observations with a high face score."""
    high: int = 0
    """Number of observations to which the detector gave a high score."""
    observations: int = 0
    """Number of observations."""
    _score_sum: float = 0.0
    _size: float = 0.0
    """Size of the first face, pixels: the unit of all distances below."""
    _count: float = 0.0
    _positions: list[_Position] = field(default_factory=list)
    """Positions of the latest scales; the latest one comes last."""
    _squares: float = 0.0
    """Sum of squared deviations of the centre from its mean at the same scale."""
    _steps: float = 0.0
    """Sum of squared steps of the centre between consecutive observations of a scale."""
    _step_count: float = 0.0
    """Number of these steps."""
    _first: tuple[float, float] = (0.0, 0.0)
    _last: tuple[float, float] = (0.0, 0.0)

    def add(self, face: Detection, high: float) -> None:
        """Add an observation; ``high`` is the high score, 0 to 1."""
        self.faces += face.face_score >= high
        self.high += face.score >= high
        self.observations += 1
        self._score_sum += face.score
        self._size = self._size or face.size
        if self._count >= MAX_OBSERVATIONS:
            self._halve()
        self._last = centre = (face.centre[0] / self._size, face.centre[1] / self._size)
        if not self._count:
            self._first = centre
        self._count += 1
        self._add_position(face.scale, centre)

    def _add_position(self, scale: float, centre: tuple[float, float]) -> None:
        """Compare a centre, in face sizes, with the others of its scale."""
        near = [each for each in self._positions if abs(scale - each.scale) <= SAME_SCALE * each.scale]
        position = near[-1] if near else _Position(scale, centre, centre)
        others = [each for each in self._positions if each is not position]
        self._positions = [*others[-(MAX_SCALES - 1) :], position]
        position.observations += 1
        before, position.mean = position.mean, _towards(position.mean, centre, 1 / position.observations)
        self._squares += (centre[0] - before[0]) * (centre[0] - position.mean[0])
        self._squares += (centre[1] - before[1]) * (centre[1] - position.mean[1])
        if near:
            self._steps += _squared_distance(centre, position.last)
            self._step_count += 1
        position.last = centre

    def _halve(self) -> None:
        """Halve all sums, so that later observations weigh more."""
        self._count, self._squares = self._count / 2, self._squares / 2
        self._steps, self._step_count = self._steps / 2, self._step_count / 2
        for position in self._positions:
            position.observations = max(1.0, position.observations / 2)

    @property
    def high_ratio(self) -> float:
        """Fraction of the observations to which the detector gave a high score."""
        return self.high / max(1, self.observations)

    @property
    def mean_score(self) -> float:
        """Mean score of the observations, 0 to 1."""
        return self._score_sum / max(1, self.observations)

    @property
    def travel(self) -> float:
        """Distance between the first and the last observation, face sizes."""
        return math.sqrt(_squared_distance(self._first, self._last))

    def is_still(self, seconds: float) -> bool:
        """Whether a track that lasted ``seconds`` has not moved, apart from detector noise."""
        motion, error = self._motion()
        limit = MAX_STILL_STD_LONG if seconds >= LONG_S else MAX_STILL_STD
        if seconds < SHORT_S or self.travel > MAX_STILL_TRAVEL:
            return False
        if self._squares > MAX_STILL_STD_WITH_NOISE**2 * self._step_count:
            return False
        return motion + STILL_STANDARD_ERRORS * error < limit**2

    def is_moving(self) -> bool:
        """Whether the track has moved by more than detector noise explains."""
        motion, error = self._motion()
        enough = self._count >= MOVING_MIN_OBSERVATIONS
        return enough and motion - MOVING_STANDARD_ERRORS * error > MAX_STILL_STD_LONG**2

    def _motion(self) -> tuple[float, float]:
        """Variance of the true centre and its standard error, squared face sizes.

        Detector noise changes from frame to frame, but people sway over seconds. Half the mean squared step between
        consecutive observations therefore estimates the noise, and the rest of the variance is motion (von Neumann
        1941).
        """
        if self._step_count < 2:
            return 0.0, math.inf
        noise = self._steps / self._step_count / 2
        motion = self._squares / self._step_count - noise
        return motion, noise * math.sqrt(2 / self._count)


def _squared_distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


def _towards(a: tuple[float, float], b: tuple[float, float], weight: float) -> tuple[float, float]:
    return a[0] + weight * (b[0] - a[0]), a[1] + weight * (b[1] - a[1])
