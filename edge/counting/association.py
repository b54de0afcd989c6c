"""Predict where a track's face is, score how well each detection fits it, and assign detections to tracks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.values import Detection

SPEED_STD = 4.0
"""Standard deviation of a visitor's speed, face sizes per second."""
SPEED_TIME_S = 1.0
"""Time constant with which a visitor's speed and direction change, seconds."""
MAX_PREDICTION_S = 1.2
"""A track that is lost for longer is predicted, with its uncertainty, for this time only, seconds."""
DETECTION_STD = 0.08
"""Standard deviation of the detector's error: of the centre in face sizes, and of the logarithm of the size."""
SIZE_STD = 0.3
"""Standard deviation by which the logarithm of a face's size changes in one second."""
MAX_SIZE_RATIO = 1.8
"""Largest factor by which a face's size may change between two observations."""
DEGREES_OF_FREEDOM = 4.0
"""Degrees of freedom of Student's t distribution: a box is occasionally off by far more than `DETECTION_STD`."""
NEW_TRACK_COST = 4.0
"""A detection belongs to a track if -2 times its log density under the track is less than this; otherwise a new face is
more likely. The density is that of the centre, in face sizes, and of the logarithm of the size, without constant
factors."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Estimate of a face's position, speed and size: the state of a Kalman filter.

    Speed is an Ornstein-Uhlenbeck process (Uhlenbeck and Ornstein 1930) with standard deviation `SPEED_STD` and time
    constant `SPEED_TIME_S`. Both axes share their variances. All times are in seconds, so the frame rate may change.
    """

    x: float
    y: float
    """Centre, pixels."""
    vx: float
    vy: float
    """Speed, pixels per second."""
    position_variance: float
    covariance: float
    speed_variance: float
    """Variances of centre and speed along one axis, and their covariance; in pixels and seconds."""
    log_size: float
    """Logarithm of the size in pixels."""
    size_variance: float
    """Variance of ``log_size``."""

    @classmethod
    def from_detection(cls, face: Detection) -> "Motion":
        """Estimate after the first detection of a track."""
        x, y = face.centre
        error, speed = DETECTION_STD * face.size, SPEED_STD * face.size
        return cls(x, y, 0.0, 0.0, error**2, 0.0, speed**2, math.log(face.size), DETECTION_STD**2)

    @property
    def size(self) -> float:
        """Size of the face, pixels."""
        return math.exp(self.log_size)

    def predict(self, elapsed: float) -> "Motion":
        """Estimate ``elapsed`` seconds later, without a detection (prediction step of the Kalman filter)."""
        elapsed = min(elapsed, MAX_PREDICTION_S)
        decay = math.exp(-elapsed / SPEED_TIME_S)
        reach = SPEED_TIME_S * (1 - decay)
        drive = (SPEED_STD * self.size) ** 2
        spread = SPEED_TIME_S * (2 * elapsed - SPEED_TIME_S * (3 - 4 * decay + decay**2))
        return Motion(
            self.x + reach * self.vx,
            self.y + reach * self.vy,
            decay * self.vx,
            decay * self.vy,
            self.position_variance
            + 2 * reach * self.covariance
            + reach**2 * self.speed_variance
            + drive * max(spread, 0.0),
            decay * (self.covariance + reach * self.speed_variance) + drive * SPEED_TIME_S * (1 - decay) ** 2,
            decay**2 * self.speed_variance + drive * (1 - decay**2),
            self.log_size,
            self.size_variance + SIZE_STD**2 * elapsed,
        )

    def distance(self, face: Detection) -> float:
        """Squared Mahalanobis distance of a detection: of its centre (x, y) and of the logarithm of its size."""
        x, y = face.centre
        variance = self.position_variance + (DETECTION_STD * face.size) ** 2
        squared = (x - self.x) ** 2 + (y - self.y) ** 2
        log_ratio = math.log(face.size) - self.log_size
        return squared / variance + log_ratio**2 / (self.size_variance + DETECTION_STD**2)

    def cost(self, face: Detection) -> float:
        """Cost of assigning a detection to this track rather than to a new one; the track is more likely if negative.

        The cost is -2 times the log density of Student's t distribution, minus `NEW_TRACK_COST`. It is infinite if the
        size differs by more than `MAX_SIZE_RATIO`.
        """
        log_ratio = math.log(face.size) - self.log_size
        if abs(log_ratio) > math.log(MAX_SIZE_RATIO):
            return math.inf
        area = face.size * self.size
        variance = self.position_variance / area + DETECTION_STD**2 * face.size**2 / area
        log_determinant = 2 * math.log(variance) + math.log(self.size_variance + DETECTION_STD**2)
        fit = (DEGREES_OF_FREEDOM + 3) * math.log1p(self.distance(face) / DEGREES_OF_FREEDOM)
        return fit + log_determinant - NEW_TRACK_COST

    def update(self, face: Detection) -> "Motion":
        """Estimate after a detection (update step of the Kalman filter).

        An outlier has a lower weight, as in the maximum likelihood estimate under Student's t distribution.
        """
        x, y = face.centre
        inverse_weight = max(1.0, (DEGREES_OF_FREEDOM + self.distance(face)) / (DEGREES_OF_FREEDOM + 3))
        gain = self.position_variance / (self.position_variance + inverse_weight * (DETECTION_STD * face.size) ** 2)
        speed_gain = self.covariance / (self.position_variance + inverse_weight * (DETECTION_STD * face.size) ** 2)
        size_gain = self.size_variance / (self.size_variance + inverse_weight * DETECTION_STD**2)
        error_x, error_y = x - self.x, y - self.y
        return Motion(
            self.x + gain * error_x,
            self.y + gain * error_y,
            self.vx + speed_gain * error_x,
            self.vy + speed_gain * error_y,
            (1 - gain) * self.position_variance,
            (1 - gain) * self.covariance,
            self.speed_variance - speed_gain * self.covariance,
            self.log_size + size_gain * (math.log(face.size) - self.log_size),
            (1 - size_gain) * self.size_variance,
        )


def assign(costs: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pairs of row and column that minimise the sum of costs; pairs with a cost of zero or more stay unassigned.

    ``costs`` is a matrix (rows, columns) and may hold ``math.inf``. The method is the Hungarian method with potentials
    and shortest augmenting paths (Kuhn 1955, Jonker and Volgenant 1987). An extra column per row, at no cost, stands
    for "unassigned".
    """
    if not costs or not any(cost < 0 for row in costs for cost in row):
        return []
    columns = len(costs[0])
    padded = [[min(cost, 0.0) for cost in row] + [0.0] * len(costs) for row in costs]
    row_of = _match_all(padded)
    return [(row, column) for column, row in enumerate(row_of[:columns]) if row >= 0 and costs[row][column] < 0]


def _match_all(costs: Sequence[Sequence[float]]) -> list[int]:
    """Row of each column, or -1. Every row gets a column. Costs must be finite, with no more rows than columns."""
    columns = len(costs[0])
    row_potential, column_potential = [0.0] * len(costs), [0.0] * (columns + 1)
    row_of = [-1] * (columns + 1)  # the extra last column is the start of each search
    for start in range(len(costs)):
        row_of[columns] = start
        column, previous = columns, [columns] * (columns + 1)
        shortest, done = [math.inf] * columns, [False] * (columns + 1)
        while row_of[column] >= 0:
            done[column] = True
            row, step, nearest = row_of[column], math.inf, columns
            for other in range(columns):
                if done[other]:
                    continue
                length = costs[row][other] - row_potential[row] - column_potential[other]
                if length < shortest[other]:
                    shortest[other], previous[other] = length, column
                if shortest[other] < step:
                    step, nearest = shortest[other], other
            for other in range(columns + 1):
                if done[other]:
                    row_potential[row_of[other]] += step
                    column_potential[other] -= step
                elif other < columns:
                    shortest[other] -= step
            column = nearest
        while column != columns:
            row_of[column] = row_of[previous[column]]
            column = previous[column]
    return row_of[:columns]
