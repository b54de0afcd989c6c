"""Value types that the pipeline stages exchange: frame, box, detection, expression, track, window."""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from contract.fields import Reason

Pixels: TypeAlias = NDArray[np.uint8]
"""Grey image, (height, width), 0 black to 255 white."""

Point: TypeAlias = tuple[float, float]
"""x and y in pixels of the image."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An image with its capture time."""

    pixels: Pixels
    time: float
    """Seconds of the source's clock, which never goes back."""


class Box(NamedTuple):
    """An axis-aligned rectangle in pixels of the image; it may extend past the image border.

    A box is a tuple, so it unpacks as ``x, y, w, h = box``. For arrays of boxes see `edge.vision.boxes`.
    """

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def from_corners(cls, left: float, top: float, right: float, bottom: float) -> "Box":
        """The box between two opposite corners."""
        return cls(left, top, right - left, bottom - top)

    @property
    def right(self) -> float:
        """The right edge (x)."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The bottom edge (y)."""
        return self.top + self.height

    @property
    def centre(self) -> Point:
        """The centre (x, y)."""
        return self.left + self.width / 2, self.top + self.height / 2

    @property
    def size(self) -> float:
        """The longer side, pixels."""
        return max(self.width, self.height)

    @property
    def area(self) -> float:
        """Width times height, square pixels; 0 for a box with a negative side."""
        return max(0.0, self.width) * max(0.0, self.height)

    def intersection(self, other: "Box") -> float:
        """The area shared with another box, square pixels."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)

    def iou(self, other: "Box") -> float:
        """Intersection over union with another box, 0 to 1; 0 if both are empty."""
        shared = self.intersection(other)
        union = self.area + other.area - shared
        return shared / union if union > 0 else 0.0

    def scale(self, factor: float) -> "Box":
        """The same box in an image that is ``factor`` times as large."""
        return Box(self.left * factor, self.top * factor, self.width * factor, self.height * factor)

    def clip(self, width: float, height: float) -> "Box":
        """The part of the box inside an image of ``width`` x ``height``; zero width or height if there is none."""
        left, top = min(max(self.left, 0.0), width), min(max(self.top, 0.0), height)
        right, bottom = min(max(self.right, left), width), min(max(self.bottom, top), height)
        return Box.from_corners(left, top, right, bottom)

    def pixel_bounds(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, clipped to an image and rounded to whole pixels, to slice or draw with."""
        left, right = (min(max(round(edge), 0), width) for edge in (self.left, self.right))
        top, bottom = (min(max(round(edge), 0), height) for edge in (self.top, self.bottom))
        return left, top, max(left, right), max(top, bottom)


@dataclass(frozen=True, slots=True)
class Detection:
    """The detector's output for one face in one frame."""

    box: Box
    """The face, in pixels of the frame. A plain ``(left, top, width, height)`` is converted."""
    score: float
    """The detector's confidence, 0 to 1."""
    landmarks: tuple[Point, ...] = ()
    """Right eye, left eye, nose, right and left corner of the mouth (the person's own right and left), or none."""
    scale: float = field(default=1.0, compare=False)
    """Pixels of the network's input for each pixel of the frame. A still face has slightly different boxes at two
    scales."""
    checked: float | None = None
    """The score after the face check (`edge.vision.face_check`), 0 to 1; None if the detection was not checked."""

    def __post_init__(self) -> None:
        """Convert a plain tuple to a `Box`."""
        object.__setattr__(self, "box", Box(*self.box))

    @property
    def face_score(self) -> float:
        """How certain it is that this is a face, 0 to 1: the score after the face check, or without one the score."""
        return self.score if self.checked is None else self.checked

    @property
    def centre(self) -> Point:
        """The centre of the box (x, y), pixels."""
        return self.box.centre

    @property
    def size(self) -> float:
        """The longer side of the box, pixels."""
        return self.box.size


@dataclass(frozen=True, slots=True)
class Expression:
    """The classifier's output for one face in one frame."""

    probabilities: tuple[float, ...]
    """One per label, in the order of the bundle's labels; they sum to 1."""
    good: bool
    """Whether the observation is large, sharp and certain enough to count towards the prediction."""


@dataclass(frozen=True, slots=True)
class Track:
    """The observations of one person so far, joined over time."""

    number: int
    """Identifies the track; never reused in a run."""
    face: Detection
    """The latest detection."""
    first: float
    """Time of the first observation, seconds."""
    last: float
    """Time of the latest observation, seconds."""
    observations: int
    """Number of observations."""
    counted: bool = False
    """Whether the visit is already counted because it has lasted the longest time allowed."""
    doubtful_low: int = 0
    """1 if the track may be no visit of its own (the continuation of another track, or no face), else 0."""
    doubtful_high: int = 0
    """1 if the track may hold two people (another person may have taken over after a gap), else 0."""


@dataclass(frozen=True, slots=True)
class MissingFrame:
    """Stands in the stream where the source has no frame."""

    time: float
    """Seconds of the source's clock."""
    reason: Reason
    """Why there is no frame, as the counts message reports it."""
    attempt_returned: bool = False
    """Whether the last attempt to read a frame has returned. False while a driver hangs."""


@dataclass(frozen=True, slots=True)
class Window:
    """The counts of one interval of the source's clock."""

    start: float
    """Seconds of the source's clock."""
    end: float
    """Seconds of the source's clock."""
    visits: dict[str, int]
    """Number of visits per label."""
    coverage: float
    """Fraction of the interval in which the camera was watched, 0 to 1."""
    degraded: tuple[Reason, ...]
    """What reduced the coverage or the quality of the counts."""
    doubtful_low: int = 0
    """Visits that may be part of another visit, or no person's."""
    doubtful_high: int = 0
    """Visits that may be those of two people."""
