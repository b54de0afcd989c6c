"""A script of people before a camera, and a detector's noise -> faces in each frame, with who they are.

Nothing is drawn: the faces are what a detector would say. Chance comes from a seed; a scene is the same each time.
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
SWAY, SWAY_S = 0.08, (2.9, 7.1)
"""Whoever stands sways by this share of the face's size, with these periods."""
HIDDEN = 0.35
"""A face is hidden while its middle is within this share of a larger face's size from that one's middle."""
FALSE_S = 0.15
"""So long a false face lasts."""
Point: TypeAlias = tuple[float, float, float, float]
"""Second; middle of the face and its size, pixels."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who goes from point to point at a steady pace, and whose face is turned ``away`` in spans of seconds.
    ``shows`` is an expression, or None if no look at them is good; ``visits`` is how often they are to be counted: once
    if they are a visitor. A ``thing`` does not sway.
    """

    name: str
    route: tuple[Point, ...]
    away: tuple[tuple[float, float], ...] = ()
    shows: str | None = None
    visits: int = 1
    thing: bool = False

    def at(self, time: float) -> tuple[float, float, float] | None:
        """Middle and size of the face at a second; None while it is not to be seen."""
        if not self.route[0][0] <= time <= self.route[-1][0]:
            return None
        turned = bisect_right(self.away, (time, math.inf)) - 1
        if turned >= 0 and time < self.away[turned][1]:
            return None
        next_ = min(bisect_right(self.route, (time, math.inf, 0.0, 0.0)), len(self.route) - 1)
        (then, *a), (later, *b) = self.route[next_ - 1], self.route[next_]
        share = (time - then) / (later - then)
        x, y, size = (p + share * (q - p) for p, q in zip(a, b, strict=True))
        if not self.thing:
            phase = 2 * math.pi * (time + 7 * self.route[0][0])
            x += SWAY * size * (math.sin(phase / SWAY_S[0]) + math.sin(phase / SWAY_S[1]))
            y += SWAY * size * 0.5 * math.sin(phase / SWAY_S[1])
        return x, y, size


@dataclass(frozen=True, slots=True)
class Noise:
    """What a detector gets wrong: how boxes shake (standard deviation, in face sizes), the share of faces it misses,
    false faces a minute anywhere, and how scores vary.
    """

    shake: float = 0.03
    missed: float = 0.05
    false_per_min: float = 2.0
    score: float = 0.06


@dataclass(frozen=True, slots=True)
class Scene:
    """People, for how many seconds they are filmed, and the noise of the detector."""

    people: tuple[Person, ...]
    seconds: float
    noise: Noise = Noise()


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame: its second, who shows their face, found or not, and the faces found, each with its person or None."""

    time: float
    there: tuple[Person, ...]
    faces: tuple[tuple[Detection, Person | None], ...]


def shots(scene: Scene, fps: float, seed: int) -> Iterator[Shot]:
    """The frames of a scene at ``fps``, filmed with the noise of a seed."""
    chance = Random(seed)
    coming = sorted(scene.people, key=lambda person: person.route[0][0], reverse=True)
    present: list[Person] = []
    false: tuple[float, Detection] | None = None
    for index in range(round(scene.seconds * fps) + 1):
        time = index / fps
        while coming and coming[-1].route[0][0] <= time:
            present.append(coming.pop())
        present = [person for person in present if person.route[-1][0] >= time]
        there = _visible([(person, place) for person in present if (place := person.at(time))])
        faces: list[tuple[Detection, Person | None]] = [
            (_found(place, scene.noise, chance), person)
            for person, place in there
            if chance.random() >= scene.noise.missed
        ]
        if chance.random() < scene.noise.false_per_min / 60 / fps:
            false = (time, _anywhere(scene.noise, chance))
        if false and time - false[0] < FALSE_S:
            faces.append((false[1], None))
        chance.shuffle(faces)
        yield Shot(time, tuple(person for person, _ in there), tuple(faces))


Placed: TypeAlias = tuple[Person, tuple[float, float, float]]


def _visible(placed: list[Placed]) -> list[Placed]:
    """Those who are inside the frame and not hidden behind a larger face, which is nearer."""
    height, width = SHAPE
    return [
        (person, (x, y, size))
        for person, (x, y, size) in placed
        if 0 <= x < width
        and 0 <= y < height
        and not any(
            near > size and math.hypot(x - other_x, y - other_y) < HIDDEN * near
            for _, (other_x, other_y, near) in placed
        )
    ]


def _found(place: tuple[float, float, float], noise: Noise, chance: Random) -> Detection:
    """What the detector says of a face that is there."""
    x, y, size = place
    size *= math.exp(chance.gauss(0, noise.shake))
    x, y = x + chance.gauss(0, noise.shake) * size, y + chance.gauss(0, noise.shake) * size
    score = min(1.0, max(0.0, 0.85 + chance.gauss(0, noise.score)))
    return Detection((x - size / 2, y - size / 2, size, size), score)


def _anywhere(noise: Noise, chance: Random) -> Detection:
    """A face where there is none."""
    return _found((chance.uniform(0, SHAPE[1]), chance.uniform(0, SHAPE[0]), chance.uniform(20, 90)), noise, chance)
