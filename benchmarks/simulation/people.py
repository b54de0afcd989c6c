"""Simulate the detections of a face detector for scripted people, with detector noise and known identities.

No image is rendered. All randomness comes from a seed: the same seed gives the same detections.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from edge.values import Detection

SHAPE = (480, 640)
"""Height and width of the frames, pixels."""
SWAY, SWAY_PERIODS_S = 0.08, (2.9, 7.1)
"""Amplitude of a standing person's sway, as a fraction of the face size, and its periods."""
OCCLUSION = 0.35
"""A face is occluded while its centre is within this fraction of a larger face's size from that face's centre."""
FALSE_DETECTION_S = 0.15
"""Duration of a false detection."""
Position: TypeAlias = tuple[float, float, float]
"""Centre x, centre y and size of a face, pixels."""
Waypoint: TypeAlias = tuple[float, float, float, float]
"""Second, centre x, centre y and size of a face, pixels."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person who moves between waypoints at constant speed."""

    name: str
    route: tuple[Waypoint, ...]
    away: tuple[tuple[float, float], ...] = ()
    """Intervals in which the face is turned away or occluded, seconds."""
    expression: str | None = None
    """The expression shown; None if no observation is good enough to be classified."""
    visits: int = 1
    """How often the person is to be counted: 1 for a visitor, 0 for staff."""
    is_object: bool = False
    """Whether it is an object, such as a poster, which does not sway."""

    def at(self, time: float) -> Position | None:
        """Return the position of the face at a second; None while it cannot be seen."""
        if not self.route[0][0] <= time <= self.route[-1][0]:
            return None
        interval = bisect_right(self.away, (time, math.inf)) - 1
        if interval >= 0 and time < self.away[interval][1]:
            return None
        index = min(bisect_right(self.route, (time, math.inf, 0.0, 0.0)), len(self.route) - 1)
        (begin, *from_), (end, *to) = self.route[index - 1], self.route[index]
        progress = (time - begin) / (end - begin)
        x, y, size = (a + progress * (b - a) for a, b in zip(from_, to, strict=True))
        if not self.is_object:
            phase = 2 * math.pi * (time + 7 * self.route[0][0])
            x += SWAY * size * (math.sin(phase / SWAY_PERIODS_S[0]) + math.sin(phase / SWAY_PERIODS_S[1]))
            y += SWAY * size * 0.5 * math.sin(phase / SWAY_PERIODS_S[1])
        return x, y, size


@dataclass(frozen=True, slots=True)
class Noise:
    """Errors of the simulated detector."""

    jitter: float = 0.03
    """Standard deviation of box position and log size, in face sizes."""
    missed: float = 0.05
    """Fraction of the faces that are not detected."""
    false_per_min: float = 2.0
    """False detections per minute, anywhere in the frame."""
    score: float = 0.06
    """Standard deviation of the scores."""


@dataclass(frozen=True, slots=True)
class Scene:
    """People, the length of the recording in seconds, and the noise of the detector."""

    people: tuple[Person, ...]
    seconds: float
    noise: Noise = Noise()


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """The detections of one frame."""

    time: float
    visible: tuple[Person, ...]
    """People whose face can be seen, detected or not."""
    faces: tuple[tuple[Detection, Person | None], ...]
    """Detections with their person; None for a false detection."""


def simulate(scene: Scene, fps: float, seed: int) -> Iterator[SimulatedFrame]:
    """Yield the frames of a scene."""
    rng, noise = Random(seed), scene.noise
    coming = sorted(scene.people, key=lambda person: person.route[0][0], reverse=True)
    present: list[Person] = []
    false: tuple[float, Detection] | None = None
    for index in range(round(scene.seconds * fps) + 1):
        time = index / fps
        while coming and coming[-1].route[0][0] <= time:
            present.append(coming.pop())
        present = [person for person in present if person.route[-1][0] >= time]
        visible = _visible([(person, position) for person in present if (position := person.at(time))])
        faces: list[tuple[Detection, Person | None]] = [
            (_detection(position, noise, rng), person) for person, position in visible if rng.random() >= noise.missed
        ]
        if rng.random() < noise.false_per_min / 60 / fps:
            anywhere = (rng.uniform(0, SHAPE[1]), rng.uniform(0, SHAPE[0]), rng.uniform(20, 90))
            false = (time, _detection(anywhere, noise, rng))
        if false and time - false[0] < FALSE_DETECTION_S:
            faces.append((false[1], None))
        rng.shuffle(faces)
        yield SimulatedFrame(time, tuple(person for person, _ in visible), tuple(faces))


def _visible(placed: list[tuple[Person, Position]]) -> list[tuple[Person, Position]]:
    """Return those inside the frame and not occluded by a larger face, which is nearer to the camera."""
    height, width = SHAPE
    return [
        (person, (x, y, size))
        for person, (x, y, size) in placed
        if 0 <= x < width
        and 0 <= y < height
        and not any(
            other_size > size and math.hypot(x - other_x, y - other_y) < OCCLUSION * other_size
            for _, (other_x, other_y, other_size) in placed
        )
    ]


def _detection(position: Position, noise: Noise, rng: Random) -> Detection:
    """Return the detector's output for a face at this position."""
    x, y, size = position
    size *= math.exp(rng.gauss(0, noise.jitter))
    x, y = x + rng.gauss(0, noise.jitter) * size, y + rng.gauss(0, noise.jitter) * size
    score = min(1.0, max(0.0, 0.85 + rng.gauss(0, noise.score)))
    return Detection((x - size / 2, y - size / 2, size, size), score)
