"""The words of the design as values: frame, face, expression, sighting, track."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from contract.message import Reason

Pixels: TypeAlias = NDArray[np.uint8]
"""Grey levels, (height, width), 0 black to 255 white."""

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, width, height in pixels of the frame; may reach over its border."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture and when it was taken, in seconds of a clock that never goes back."""

    pixels: Pixels
    time: float


@dataclass(frozen=True, slots=True)
class Detection:
    """Where a face is: box and landmarks (right eye, left eye, nose, right and left corner of the mouth; x, y in pixels
    of the frame; left and right are the person's own), and the detector's score, 0 to 1.
    """

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...] = ()

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box, pixels."""
        x, y, w, h = self.box
        return x + w / 2, y + h / 2

    @property
    def size(self) -> float:
        """The longer side of the box, pixels."""
        return max(self.box[2], self.box[3])


@dataclass(frozen=True, slots=True)
class Expression:
    """What the classifier says of one face in one frame: probabilities in the order of the bundle's labels, and whether
    the sighting is good enough for a verdict (size, sharpness, certainty).
    """

    probabilities: tuple[float, ...]
    good: bool


@dataclass(frozen=True, slots=True)
class Track:
    """One visitor as far as seen."""

    number: int
    """Never reused in a run."""
    face: Detection
    """The latest observation."""
    first: float
    """Second of the first observation."""
    last: float
    """Second of the latest observation."""
    observations: int
    """Number of observations."""
    counted: bool = False
    """Whether the visit is counted already because it lasted so long."""
    doubtful_low: int = 0
    """1 if the track may be no visit of its own: the continuation of another, or no face; else 0."""
    doubtful_high: int = 0
    """1 if the track may hold two people: somebody else may have gone on after a gap; else 0."""


@dataclass(frozen=True, slots=True)
class MissingFrame:
    """No frame, at a second of the source's clock, and why; the window says so. ``attempt_returned``: an attempt to get one has
    just come back, which a driver that hangs does not.
    """

    time: float
    reason: Reason
    attempt_returned: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted in a span of the source's clock, seconds: visits per label, the share of the span that was
    really looked at, and what kept it from being all of it.
    """

    start: float
    end: float
    visits: dict[str, int]
    coverage: float
    degraded: tuple[Reason, ...]
    doubtful_low: int = 0
    """Visits that may be part of another one, or nobody's."""
    doubtful_high: int = 0
    """Visits that may be those of two people."""
