"""Face tracks with published identities (LTFT), their true visits, and the score of a tracker on them.

Imports nothing of the device, so that trackers of other packages can be measured in an environment of their own.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SMALLEST_PX = 18.0
"""Boxes whose shorter side is smaller are left out, of the truth and of what a tracker sees."""
MIN_BOXES, MIN_VISIT_S, GAP_S = 5, 0.3, 2.0
"""A true visit has at least so many true boxes that span so many seconds; it ends when none follows for ``GAP_S``."""
FPS = {"bengal": 25.0}
"""Frames a second of the recordings that do not have 30."""
SHAPES = {"choke": (600, 800)}
"""Height and width, pixels, of recordings whose name begins so; the others have 1080 x 1920."""
STEPS = (1, 3, 6)
"""Every frame, every third and every sixth."""


@dataclass(frozen=True, slots=True)
class TruthBox:
    """One box of a recording."""

    person: int
    """Published identity."""
    box: tuple[float, float, float, float]
    """Left, top, width, height, pixels."""
    is_face: bool
    """False for a false detection, or one box over several faces."""
    score: float
    """Confidence of the detector that made the recording, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The boxes of one video, frame by frame."""

    name: str
    fps: float
    shape: tuple[int, int]
    """Height and width, pixels."""
    frames: tuple[tuple[TruthBox, ...], ...]

    def without_false(self) -> "Recording":
        """The same without the boxes that are marked as false."""
        frames = tuple(tuple(box for box in boxes if box.is_face) for boxes in self.frames)
        return Recording(self.name, self.fps, self.shape, frames)

    def every(self, step: int) -> "Recording":
        """Every n-th frame."""
        return Recording(self.name, self.fps / step, self.shape, self.frames[::step])


@dataclass(frozen=True, slots=True)
class Followed:
    """What a tracker made of a recording."""

    numbers: tuple[tuple[int | None, ...], ...]
    """For each frame the track number of each box, in the order of the boxes; None for a box of no track."""
    counted: frozenset[int]
    """Numbers of the tracks that count as visits."""


@dataclass(frozen=True, slots=True)
class TrackScore:
    """A tracker's visits beside the truth."""

    truth: int
    visits: int
    switches: int
    """How often a person is found under another number within one visit (CLEAR MOT, Bernardin, Stiefelhagen 2008)."""
    mixed: int
    """Counted tracks that hold boxes of more than one person."""

    @property
    def error(self) -> float:
        """Visits too many, as a ratio of the truth; negative for too few."""
        return (self.visits - self.truth) / self.truth


Follow = Callable[[Recording], Followed]
"""A tracker."""


def read(path: Path) -> Recording:
    """A file of the LTFT data set -> the recording. ValueError if a line does not hold what it says.

    The first line is the number of frames; each other one is a frame's index, a number of boxes, and for each of these
    id, x, y, w, h, face and confidence.
    """
    total, *lines = path.read_text().splitlines()
    frames: list[tuple[TruthBox, ...]] = [()] * int(total)
    for row, line in enumerate(lines, start=2):
        values = line.split()
        if not values:
            continue
        index, boxes = int(values[0]), int(values[1])
        if len(values) != 2 + 7 * boxes:
            raise ValueError(
                f"{path}, line {row}: must hold 7 values for each of {boxes} boxes, holds {len(values) - 2}"
            )
        groups = [values[start : start + 7] for start in range(2, len(values), 7)]
        frames[index] = tuple(box for box in map(_box, groups) if min(box.box[2:]) >= SMALLEST_PX)
    shape = next((shape for prefix, shape in SHAPES.items() if path.stem.startswith(prefix)), (1080, 1920))
    return Recording(path.stem, FPS.get(path.stem, 30.0), shape, tuple(frames))


def recordings(folder: Path) -> list[Recording]:
    """All recordings of a folder, by name."""
    return [read(path) for path in sorted(folder.glob("*.txt"))]


def true_visits(recording: Recording) -> int:
    """Visits by the published identities, at the full frame rate."""
    times: dict[int, list[float]] = defaultdict(list)
    for index, boxes in enumerate(recording.frames):
        for box in boxes:
            if box.is_face:
                times[box.person].append(index / recording.fps)
    return sum(map(_visits, times.values()))


def score(recording: Recording, followed: Followed, truth: int) -> TrackScore:
    """A tracker's answer for a recording -> its score against ``truth`` visits."""
    switches, last = 0, dict[int, tuple[float, int]]()
    owners: dict[int, set[int]] = defaultdict(set)
    for index, (boxes, numbers) in enumerate(zip(recording.frames, followed.numbers, strict=True)):
        time = index / recording.fps
        for box, number in zip(boxes, numbers, strict=True):
            if number is None or not box.is_face:
                continue
            owners[number].add(box.person)
            before = last.get(box.person)
            switches += before is not None and before[1] != number and time - before[0] <= GAP_S
            last[box.person] = time, number
    mixed = sum(len(owners[number]) > 1 for number in followed.counted)
    return TrackScore(truth, len(followed.counted), switches, mixed)


def hits(numbers: Sequence[Sequence[int | None]]) -> Counter[int]:
    """Track number -> how many boxes it has."""
    return Counter(number for frame in numbers for number in frame if number is not None)


def _box(values: Sequence[str]) -> TruthBox:
    x, y, width, height = map(float, values[1:5])
    return TruthBox(int(values[0]), (x, y, width, height), values[5] == "1", float(values[6]))


def _visits(times: Sequence[float]) -> int:
    """Seconds of one person's boxes -> visits."""
    spans = [[times[0]]]
    for time in times[1:]:
        if time - spans[-1][-1] > GAP_S:
            spans.append([])
        spans[-1].append(time)
    return sum(len(span) >= MIN_BOXES and span[-1] - span[0] >= MIN_VISIT_S for span in spans)
