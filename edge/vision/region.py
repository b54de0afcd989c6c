"""Choose the part of a frame that the detector sees, so that small faces keep the camera's resolution.

A frame of 1280 x 720 is shrunk to a third for a network of 416 x 320: a face of 30 pixels has 10 there. Where people
are few and far away, all that moves lies in a part of the frame. The detector then sees this part alone, shrunk less or
not at all, for the same work. The whole frame has its turn every `WHOLE_INTERVAL_S`, after at least `MIN_PARTS`
detections in regions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.values import Box, Detection, Pixels, Track

WHOLE_INTERVAL_S = 0.3
"""The detector sees the whole frame this long after it last did, seconds, ..."""
MIN_PARTS = 2
"""... and after at least so many detections in regions. At low rates every other observation would be missing
otherwise."""
MIN_GAIN = 1.3
"""A region is used if it makes faces at least this many times larger in the network's input than the whole frame."""
MIN_REMEMBERED = 2
"""A tracked face counts for at least so many detections, as in the tracker (`edge.counting.track`)."""
LARGE_FACE_PX = 20.0
"""A tracked face that is this large in the network's input is seen well in the whole frame, and no region is used."""
MARGIN_CELLS = 1
"""Cells added on each side of those that changed, because a part of a face may differ little from the background."""
MARGIN_FACES = 1.0
"""Margin around a tracked face, face sizes; nobody walks as far between two detections."""
SLACK, MAX_SLACK = 1.1, 1.4
"""A new region is this much larger than needed, and it is kept as long as it holds all that is needed, makes faces
larger by `MIN_GAIN`, and a new one would make them at most the second value larger than that. With the same region,
faces that do not move have the same boxes."""
CUT_PX = 1.0
"""A box that comes this close to a border of the region inside the frame may be cut off there, pixels."""


class Region(NamedTuple):
    """A part of a frame, in whole pixels."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> "Region":
        """All of a frame of ``shape`` (height, width)."""
        return cls(0, 0, shape[1], shape[0])


@dataclass(frozen=True, slots=True)
class View:
    """What the detector sees of a frame."""

    region: Region
    """The part of the frame that is scaled to the network's input."""
    better_seen: Region | None = None
    """A part of the region that is seen alone in other frames, at a larger scale."""
    min_size: float = 0.0
    """Faces in ``better_seen`` that are smaller than this, pixels, are left to the other frames. Boxes of two scales
    differ by a few hundredths of a face, and a poster would seem to move."""

    @property
    def is_partial(self) -> bool:
        """Whether faces may be left out that other frames show."""
        return self.better_seen is not None

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> "View":
        """All of a frame of ``shape`` (height, width)."""
        return cls(Region.whole(shape))


class _Detector(Protocol):
    def detect(self, pixels: Pixels, /) -> Sequence[Detection]: ...


def detect_in_view(detector: _Detector, pixels: Pixels, view: View) -> tuple[Detection, ...]:
    """Detect the faces in a view of a grey frame (height, width), in pixels of the frame; best first.

    Faces that a border of the region may cut off are left out. Those at a border of the frame stay.
    """
    left, top, width, height = view.region
    if view.region == Region.whole(pixels.shape):
        found = detector.detect(pixels)
        part = view.better_seen
        return tuple(face for face in found if part is None or face.size >= view.min_size or not _holds(part, face.box))
    found = detector.detect(pixels[top : top + height, left : left + width])
    rows, columns = pixels.shape
    open_sides = (left > 0, top > 0, left + width < columns, top + height < rows)
    return tuple(
        replace(
            face,
            box=Box(face.box.left + left, face.box.top + top, face.box.width, face.box.height),
            landmarks=tuple((x + left, y + top) for x, y in face.landmarks),
        )
        for face in found
        if not _is_cut(face.box, (width, height), open_sides)
    )


@dataclass(slots=True)
class RegionSelector:
    """Chooses what the detector sees: the part of a frame that has changed, and the tracked faces."""

    input_shape: tuple[int, int]
    """Height and width of the network's input, pixels."""
    remember_s: float
    """Time for which the position of a face counts after its last observation, seconds; at least `MIN_REMEMBERED`
    detections."""
    _faces: dict[int, tuple[Box, float, int]] = field(default_factory=dict)
    """Box, time and number of the detection of the last observation, by the number of the track."""
    _detections: int = 0
    _shape: tuple[int, int] = (0, 0)
    """Height and width of the last frame, pixels."""
    _part: Region | None = None
    """The last region that was chosen."""
    _last_whole: float = float("-inf")
    _parts: int = 0
    """Number of detections in regions since the detector saw the whole frame."""

    def select(self, shape: tuple[int, int], changed: NDArray[np.bool_], side: int, time: float) -> View:
        """What the detector sees of a frame of ``shape`` (height, width) at ``time``, seconds.

        ``changed`` (rows, columns) says which cells of ``side`` pixels have moved or differ from the background.
        Positions in frames of another size are forgotten.
        """
        if shape != self._shape:
            self._shape, self._part, self._faces = shape, None, {}
        self._detections += 1
        self._faces = {
            number: (box, last, detection)
            for number, (box, last, detection) in self._faces.items()
            if time - last <= self.remember_s or self._detections - detection <= MIN_REMEMBERED
        }
        is_due = time - self._last_whole > WHOLE_INTERVAL_S - 1e-6 and self._parts >= MIN_PARTS
        part = self._choose(shape, changed, side)
        if part and not is_due:
            self._parts += 1
            return View(part)
        self._last_whole, self._parts = time, 0
        return View(Region.whole(shape), part, LARGE_FACE_PX / self._scale(shape))

    def update_tracks(self, tracks: Collection[Track], time: float) -> None:
        """Report the tracks that the detection at ``time`` (seconds) observed."""
        self._faces.update((track.number, (track.face.box, time, self._detections)) for track in tracks)

    def _choose(self, shape: tuple[int, int], changed: NDArray[np.bool_], side: int) -> Region | None:
        """A part of the frame with all that changed and all tracked faces; None if the whole frame is to be seen.

        The last part is returned again as long as it is good enough.
        """
        scale = self._scale(shape)
        boxes = [box for box, *_ in self._faces.values()]
        if any(box.size * scale >= LARGE_FACE_PX for box in boxes):
            return None
        wanted = [_grown(box, MARGIN_FACES * box.size) for box in boxes]
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        if len(rows):
            cells = Box.from_corners(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            wanted.append(_grown(cells, MARGIN_CELLS).scale(side))
        if not wanted:
            return None
        around = Box.from_corners(
            min(box.left for box in wanted),
            min(box.top for box in wanted),
            max(box.right for box in wanted),
            max(box.bottom for box in wanted),
        ).clip(shape[1], shape[0])
        least = max(MIN_GAIN * scale, self._part_scale(self._fitted(around, shape, 1.0)) / MAX_SLACK)
        if not self._part or not _holds(self._part, around) or self._part_scale(self._part) < least:
            self._part = self._fitted(around, shape, SLACK)
        return self._part if self._part_scale(self._part) >= MIN_GAIN * scale else None

    def _scale(self, shape: tuple[int, int]) -> float:
        """By how much an image of ``shape`` (height, width) is scaled for the network; at most 1 for a part."""
        return min(1.0, self.input_shape[0] / shape[0], self.input_shape[1] / shape[1])

    def _part_scale(self, part: Region) -> float:
        return self._scale((part.height, part.width))

    def _fitted(self, box: Box, shape: tuple[int, int], slack: float) -> Region:
        """The smallest region around a box, ``slack`` times as large, that fills the input without being enlarged."""
        height, width = self.input_shape
        factor = max(1.0, slack * box.width / width, slack * box.height / height)
        size = (min(shape[1], int(np.ceil(width * factor))), min(shape[0], int(np.ceil(height * factor))))
        left, top = (
            int(min(max(0.0, centre - length / 2), limit - length))
            for centre, length, limit in zip(box.centre, size, (shape[1], shape[0]), strict=True)
        )
        return Region(left, top, *size)


def _grown(box: Box, margin: float) -> Box:
    return Box(box.left - margin, box.top - margin, box.width + 2 * margin, box.height + 2 * margin)


def _holds(region: Region, box: Box) -> bool:
    left, top, width, height = region
    return left <= box.left and top <= box.top and box.right <= left + width and box.bottom <= top + height


def _is_cut(box: Box, size: tuple[int, int], open_sides: tuple[bool, bool, bool, bool]) -> bool:
    """Whether a box in a region of ``size`` (width, height) reaches a side beyond which the frame goes on."""
    reaches = (
        box.left < CUT_PX,
        box.top < CUT_PX,
        box.right > size[0] - CUT_PX,
        box.bottom > size[1] - CUT_PX,
    )
    return any(is_open and does for is_open, does in zip(open_sides, reaches, strict=True))
