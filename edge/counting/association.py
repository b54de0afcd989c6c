"""Where a track should be, how well a face fits it, and which face belongs to which track."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.values import Detection

SPEED = 4.0
"""Standard deviation of the speed of a visitor, face sizes a second."""
PERSISTENCE_S = 1.0
"""A visitor keeps speed and direction for about so long, seconds."""
LONGEST_PREDICTION_S = 1.2
"""A track lost for longer is expected where it would be by then, and with that uncertainty."""
SHAKE = 0.08
"""Standard deviation of what a detector adds to the centre, in face sizes, and to the logarithm of the size."""
GROWTH = 0.3
"""Standard deviation by which the logarithm of a face's size changes in a second."""
LARGEST_RATIO = 1.8
"""A face does not grow or shrink by more than this factor between two observations."""
TAIL = 4.0
"""Degrees of freedom of Student's t: a box is sometimes off by far more than ``SHAKE``."""
NEW = 4.0
"""A face belongs to a track if its log density there, times -2, is less than this; else a new face is more likely. The
density is that of the centre in face sizes and of the logarithm of the size, without constant factors.
"""


@dataclass(frozen=True, slots=True)
class Motion:
    """Estimate of where a face is and where it goes.

    A Kalman filter whose speed is an Ornstein-Uhlenbeck process: it has the standard deviation ``SPEED`` and is
    forgotten with ``PERSISTENCE_S``. Both axes share their variances, as in the random walks of people (Uhlenbeck and
    Ornstein 1930). All times are in seconds, so that the frame rate may change.
    """

    x: float
    y: float
    """Centre, pixels."""
    vx: float
    vy: float
    """Speed, pixels a second."""
    place_variance: float
    covariance: float
    speed_variance: float
    """Variances of centre and speed of one axis, and their covariance; pixels and seconds."""
    log_size: float
    """Logarithm of the size in pixels."""
    size_variance: float
    """Variance of ``log_size``."""

    @classmethod
    def of(cls, face: Detection) -> "Motion":
        """A face seen for the first time."""
        x, y = face.centre
        shake, speed = SHAKE * face.size, SPEED * face.size
        return cls(x, y, 0.0, 0.0, shake**2, 0.0, speed**2, math.log(face.size), SHAKE**2)

    @property
    def size(self) -> float:
        """Size of the face, pixels."""
        return math.exp(self.log_size)

    def after(self, elapsed: float) -> "Motion":
        """The estimate ``elapsed`` seconds later, without an observation."""
        elapsed = min(elapsed, LONGEST_PREDICTION_S)
        keep = math.exp(-elapsed / PERSISTENCE_S)
        reach = PERSISTENCE_S * (1 - keep)
        drive = (SPEED * self.size) ** 2
        spread = PERSISTENCE_S * (2 * elapsed - PERSISTENCE_S * (3 - 4 * keep + keep**2))
        return Motion(
            self.x + reach * self.vx,
            self.y + reach * self.vy,
            keep * self.vx,
            keep * self.vy,
            self.place_variance
            + 2 * reach * self.covariance
            + reach**2 * self.speed_variance
            + drive * max(spread, 0.0),
            keep * (self.covariance + reach * self.speed_variance) + drive * PERSISTENCE_S * (1 - keep) ** 2,
            keep**2 * self.speed_variance + drive * (1 - keep**2),
            self.log_size,
            self.size_variance + GROWTH**2 * elapsed,
        )

    def distance(self, face: Detection) -> float:
        """Squared Mahalanobis distance of a face (three degrees of freedom)."""
        x, y = face.centre
        place = self.place_variance + (SHAKE * face.size) ** 2
        away = (x - self.x) ** 2 + (y - self.y) ** 2
        return away / place + (math.log(face.size) - self.log_size) ** 2 / (self.size_variance + SHAKE**2)

    def cost(self, face: Detection) -> float:
        """How much less likely the face is this track's than a new one: negative if it is the track's, and infinite if
        the size rules it out. The log density of Student's t, times -2, minus ``NEW``.
        """
        ratio = math.log(face.size) - self.log_size
        if abs(ratio) > math.log(LARGEST_RATIO):
            return math.inf
        mean = face.size * self.size
        place = self.place_variance / mean + SHAKE**2 * face.size**2 / mean
        spread = 2 * math.log(place) + math.log(self.size_variance + SHAKE**2)
        return (TAIL + 3) * math.log1p(self.distance(face) / TAIL) + spread - NEW

    def corrected(self, face: Detection) -> "Motion":
        """The estimate after an observation; one that is far off counts less (the weights of Student's t)."""
        x, y = face.centre
        doubt = max(1.0, (TAIL + self.distance(face)) / (TAIL + 3))
        gain = self.place_variance / (self.place_variance + doubt * (SHAKE * face.size) ** 2)
        speed_gain = self.covariance / (self.place_variance + doubt * (SHAKE * face.size) ** 2)
        size_gain = self.size_variance / (self.size_variance + doubt * SHAKE**2)
        off_x, off_y = x - self.x, y - self.y
        return Motion(
            self.x + gain * off_x,
            self.y + gain * off_y,
            self.vx + speed_gain * off_x,
            self.vy + speed_gain * off_y,
            (1 - gain) * self.place_variance,
            (1 - gain) * self.covariance,
            self.speed_variance - speed_gain * self.covariance,
            self.log_size + size_gain * (math.log(face.size) - self.log_size),
            (1 - size_gain) * self.size_variance,
        )


def assign(costs: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Costs (rows, columns) -> pairs of row and column with the smallest sum of costs. A row or a column stays alone
    rather than in a pair whose cost is not negative.

    The Hungarian method with potentials and shortest augmenting paths (Kuhn 1955, Jonker and Volgenant 1987). Each row
    has a column of its own at no cost, which is to stay alone.
    """
    if not costs or not any(cost < 0 for row in costs for cost in row):
        return []
    columns = len(costs[0])
    padded = [[min(cost, 0.0) for cost in row] + [0.0] * len(costs) for row in costs]
    row_of = _matched(padded)
    return [(row, column) for column, row in enumerate(row_of[:columns]) if row >= 0 and costs[row][column] < 0]


def _matched(costs: Sequence[Sequence[float]]) -> list[int]:
    """Finite costs, no more rows than columns -> for each column its row, or -1; every row has a column."""
    columns = len(costs[0])
    row_price, column_price = [0.0] * len(costs), [0.0] * (columns + 1)
    row_of = [-1] * (columns + 1)  # the last column is where each search begins
    for start in range(len(costs)):
        row_of[columns] = start
        column, came = columns, [columns] * (columns + 1)
        shortest, done = [math.inf] * columns, [False] * (columns + 1)
        while row_of[column] >= 0:
            done[column] = True
            row, step, following = row_of[column], math.inf, columns
            for other in range(columns):
                if done[other]:
                    continue
                length = costs[row][other] - row_price[row] - column_price[other]
                if length < shortest[other]:
                    shortest[other], came[other] = length, column
                if shortest[other] < step:
                    step, following = shortest[other], other
            for other in range(columns + 1):
                if done[other]:
                    row_price[row_of[other]] += step
                    column_price[other] -= step
                elif other < columns:
                    shortest[other] -= step
            column = following
        while column != columns:
            row_of[column] = row_of[came[column]]
            column = came[column]
    return row_of[:columns]
