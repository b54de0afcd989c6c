"""Measure what the pipeline sees in the camera's view: faces, light, sharpness and rates of the last seconds."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, TypeAlias

import cv2
import numpy as np

from edge.aiming.advice import MAX_RATIO, MAX_TURN
from edge.camera.image_quality import amount_of_detail, blind_reason, thumbnail_of
from edge.counting.admit import Admission
from edge.counting.track import TrackUpdate
from edge.stages import Observer
from edge.values import Box, Detection, Expression, Frame, Pixels, Track

State: TypeAlias = Literal["good", "small", "unclear", "excluded", "waiting"]
"""Of a face in the live view: good for a prediction, smaller than the card's minimum, or not sharp or certain enough;
excluded by staff zone, hours or dwell; or not classified yet."""
PEOPLE_S = 60.0
"""People are remembered for this long, seconds."""
RATE_S = 5.0
"""Rates are measured over this time, seconds."""
DETAIL_S = 120.0
"""The best amount of detail is that of the last seconds, so that a camera that was moved is judged anew."""
WHITE = 250
"""Grey levels from here on are white: the sensor is saturated."""


@dataclass(frozen=True, slots=True)
class SeenFace:
    """One face of the live view."""

    box: Box
    state: State


@dataclass(frozen=True, slots=True)
class Scene:
    """What one image shows apart from faces."""

    blind: Literal["black", "covered"] | None
    light: float
    """Mean grey level."""
    bright: float
    """Ratio of white pixels."""
    detail: float


@dataclass(slots=True)
class Person:
    """What is known about one track; kept for `PEOPLE_S`."""

    last: float = 0.0
    """Time of the latest observation, seconds."""
    size: float = 0.0
    """Largest face, pixels."""
    observations: int = 0
    """Number of observations that were classified."""
    level: float = 0.0
    """Sum of the mean grey levels of the face."""
    turned: int = 0
    """Number of observations from the side."""
    is_good: bool = False
    """Whether an observation was good enough to count towards the prediction."""


@dataclass(frozen=True, slots=True)
class Faces:
    """What the people of the last minute have in common."""

    people: int
    unknown: int
    face_px: float | None
    light: float | None
    turned: float | None


@dataclass(slots=True)
class Measurements(Observer):
    """Collects what the stages of the pipeline report; all methods are called in the pipeline's thread."""

    needed_px: int
    """Minimum face size of the classifier's card, pixels."""
    min_observations: int
    """People seen in fewer detections are passers-by or errors, and are left out."""
    faces: tuple[SeenFace, ...] = ()
    """Faces of the latest frame that was searched."""
    _people: dict[int, Person] = field(default_factory=dict)
    _tracks: tuple[Track, ...] = ()
    _excluded: frozenset[int] = frozenset()
    _frames: deque[float] = field(default_factory=deque)
    _detections: deque[float] = field(default_factory=deque)
    _details: deque[tuple[float, float]] = field(default_factory=deque)

    def add_frame(self, frame: Frame) -> Scene:
        """Measure a frame, before the pipeline analyses it."""
        self._frames.append(frame.time)
        _forget(self._frames, frame.time - RATE_S)
        scene = measure_scene(frame.pixels)
        self._details.append((frame.time, scene.detail))
        while self._details[0][0] < frame.time - DETAIL_S:
            self._details.popleft()
        return scene

    def best_detail(self) -> float:
        """The highest amount of detail of the last `DETAIL_S`."""
        return max((detail for _, detail in self._details), default=0.0)

    def rates(self, time: float) -> tuple[float, float]:
        """Frames and detections a second, as of ``time``."""
        return _rate(self._frames, time), _rate(self._detections, time)

    def on_tracks(self, frame: Frame, update: TrackUpdate) -> None:
        """Keep the tracks of a frame."""
        self._detections.append(frame.time)
        _forget(self._detections, frame.time - RATE_S)
        self._tracks = update.seen
        self._people = {n: person for n, person in self._people.items() if person.last >= frame.time - PEOPLE_S}

    def on_admission(self, frame: Frame, admission: Admission) -> None:
        """Forget whoever is excluded, and show all faces."""
        self._excluded = frozenset(admission.excluded)
        for number in admission.excluded:
            self._people.pop(number, None)
        self.faces = tuple(SeenFace(track.face.box, self._state(track, None)) for track in self._tracks)

    def on_expressions(self, frame: Frame, tracks: Sequence[Track], expressions: Sequence[Expression]) -> None:
        """Remember whether the observations are good; the expressions themselves are not kept."""
        good = {track.number: expression.good for track, expression in zip(tracks, expressions, strict=True)}
        self.faces = tuple(
            SeenFace(track.face.box, self._state(track, good.get(track.number))) for track in self._tracks
        )
        for track in tracks:
            person = self._people.setdefault(track.number, Person())
            person.last, person.size = frame.time, max(person.size, track.face.size)
            person.observations += 1
            person.level += face_level(frame.pixels, track.face.box)
            person.turned += turn(track.face) > MAX_TURN
            person.is_good |= good[track.number]

    def summary(self, time: float) -> Faces:
        """What the people of the last minute have in common, as of ``time``."""
        people = [
            person
            for person in self._people.values()
            if person.last >= time - PEOPLE_S and person.observations >= self.min_observations
        ]
        if not people:
            return Faces(0, 0, None, None, None)
        return Faces(
            people=len(people),
            unknown=sum(not person.is_good for person in people),
            face_px=median(person.size for person in people),
            light=median(person.level / person.observations for person in people),
            turned=sum(person.turned > MAX_RATIO * person.observations for person in people) / len(people),
        )

    def _state(self, track: Track, good: bool | None) -> State:
        if track.number in self._excluded:
            return "excluded"
        if track.face.size < self.needed_px:
            return "small"
        if good is None:
            return "waiting"
        return "good" if good else "unclear"


def measure_scene(pixels: Pixels) -> Scene:
    """Measure a grey image (h, w) apart from its faces."""
    thumbnail = thumbnail_of(pixels)
    return Scene(
        blind_reason(thumbnail),
        float(thumbnail.mean()),
        float((thumbnail >= WHITE).mean()),
        amount_of_detail(pixels),
    )


def face_level(pixels: Pixels, box: Box) -> float:
    """Mean grey level of a face in an image (h, w); 0 for a box outside it."""
    left, top, right, bottom = box.pixel_bounds(pixels.shape[1], pixels.shape[0])
    part = pixels[top:bottom, left:right]
    return float(cv2.mean(part)[0]) if part.size else 0.0


def turn(face: Detection) -> float:
    """How far a face is turned to its side: 0 from the front, about 0.6 in profile.

    The distance of the nose from the middle between the eyes, along the line through the eyes, over their distance.
    """
    if len(face.landmarks) < 3:
        return 0.0
    right, left, nose = (np.array(point) for point in face.landmarks[:3])
    eyes = left - right
    squared = float(eyes @ eyes)
    return abs(float((nose - (right + left) / 2) @ eyes)) / squared if squared > 0 else 0.0


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] < before:
        times.popleft()


def _rate(times: deque[float], time: float) -> float:
    """Events a second in the last `RATE_S`, or since the first one."""
    recent = [each for each in times if each >= time - RATE_S]
    seconds = time - recent[0] if recent else 0.0
    return (len(recent) - 1) / seconds if seconds > 0 else 0.0
