"""Read face tracks with published identities (LTFT), derive their true visits, and score a tracker on them.

It imports no module of the device, so that other trackers can be measured in an environment of their own.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MIN_SIDE_PX = 18.0
"""Boxes with a shorter side are ignored, both in the truth and in the input of a tracker."""
MIN_BOXES, MIN_VISIT_S, GAP_S = 5, 0.3, 2.0
"""A true visit has at least `MIN_BOXES` boxes over `MIN_VISIT_S` seconds, and ends after `GAP_S` without a box."""
FPS = {"bengal": 25.0}
"""Frame rate of the recordings that do not have 30 frames a second."""
SHAPES = {"choke": (600, 800)}
"""Height and width in pixels by prefix of the recording's name; the others have 1080 x 1920."""
STEPS = (1, 3, 6)
"""Frame rates: every frame, every third and every sixth."""


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
        """Return the recording without the boxes that are annotated as false."""
        frames = tuple(tuple(box for box in boxes if box.is_face) for boxes in self.frames)
        return Recording(self.name, self.fps, self.shape, frames)

    def every(self, step: int) -> "Recording":
        """Return the recording with every ``step``-th frame."""
        return Recording(self.name, self.fps / step, self.shape, self.frames[::step])


@dataclass(frozen=True, slots=True)
class TrackerOutput:
    """The tracks that a tracker has made of a recording."""

    numbers: tuple[tuple[int | None, ...], ...]
    """For each frame the track number of each box, in the order of the boxes; None for a box of no track."""
    counted: frozenset[int]
    """Numbers of the tracks that count as visits."""


@dataclass(frozen=True, slots=True)
class TrackScore:
    """Visits counted by a tracker, beside the truth."""

    truth: int
    visits: int
    switches: int
    """Changes of a person's track number within one visit (CLEAR MOT, Bernardin and Stiefelhagen 2008)."""
    mixed: int
    """Counted tracks with boxes of more than one person."""

    @property
    def error(self) -> float:
        """Relative error of the visits; negative if too few were counted."""
        return (self.visits - self.truth) / self.truth


def read(path: Path) -> Recording:
    """Read a file of the LTFT data set; ValueError if a line has another length than it says.

    The first line is the number of frames. Each other line has a frame's index, a number of boxes, and for each box id,
    x, y, width, height, face (0 or 1) and confidence.
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
        frames[index] = tuple(box for box in map(_box, groups) if min(box.box[2:]) >= MIN_SIDE_PX)
    shape = next((shape for prefix, shape in SHAPES.items() if path.stem.startswith(prefix)), (1080, 1920))
    return Recording(path.stem, FPS.get(path.stem, 30.0), shape, tuple(frames))


def recordings(folder: Path) -> list[Recording]:
    """Read all recordings of a folder, in order of their names."""
    return [read(path) for path in sorted(folder.glob("*.txt"))]


def true_visits(recording: Recording) -> int:
    """Return the number of true visits, by the published identities at the full frame rate."""
    times: dict[int, list[float]] = defaultdict(list)
    for index, boxes in enumerate(recording.frames):
        for box in boxes:
            if box.is_face:
                times[box.person].append(index / recording.fps)
    return sum(map(_visits, times.values()))


def score(recording: Recording, output: TrackerOutput, truth: int) -> TrackScore:
    """Score the tracks of a recording against ``truth`` visits."""
    switches, last = 0, dict[int, tuple[float, int]]()
    owners: dict[int, set[int]] = defaultdict(set)
    for index, (boxes, numbers) in enumerate(zip(recording.frames, output.numbers, strict=True)):
        time = index / recording.fps
        for box, number in zip(boxes, numbers, strict=True):
            if number is None or not box.is_face:
                continue
            owners[number].add(box.person)
            before = last.get(box.person)
            switches += before is not None and before[1] != number and time - before[0] <= GAP_S
            last[box.person] = time, number
    mixed = sum(len(owners[number]) > 1 for number in output.counted)
    return TrackScore(truth, len(output.counted), switches, mixed)


def hits(numbers: Sequence[Sequence[int | None]]) -> Counter[int]:
    """Return the number of boxes of each track."""
    return Counter(number for frame in numbers for number in frame if number is not None)


def _box(values: Sequence[str]) -> TruthBox:
    x, y, width, height = map(float, values[1:5])
    return TruthBox(int(values[0]), (x, y, width, height), values[5] == "1", float(values[6]))


def _visits(times: Sequence[float]) -> int:
    """Return the visits of one person, from the times of their boxes."""
    visits = [[times[0]]]
    for time in times[1:]:
        if time - visits[-1][-1] > GAP_S:
            visits.append([])
        visits[-1].append(time)
    return sum(len(visit) >= MIN_BOXES and visit[-1] - visit[0] >= MIN_VISIT_S for visit in visits)
