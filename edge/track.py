"""Faces in a frame -> tracks of visitors."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge.settings import TrackSettings
from edge.words import Face, Track

REACH = 0.8
"""A face belongs to a track if it is at most this many face sizes from where the track should be ..."""
NEW_REACH_PER_S = 6.0
"""... and, while its speed is not known yet, this many more for each second since it was seen: a walker passes about
nine face sizes a second ..."""
REACH_PER_S = 1.5
"""... or this many once it is ..."""
FURTHEST = 2.5
"""... but never more than this many, however long ago."""
OUTWARD = 0.5
"""A face at the border that moves out by more face sizes a second than this is leaving."""
KNOWN = 4
"""After so many sightings the speed of a track is known."""
LARGEST_RATIO = 1.8
"""A face does not grow or shrink more than this between two sightings."""
GROWTH = 2.0
"""Where two meet, a face a tenth larger is as unlikely as one a fifth of its size further away."""
CHANGED = 0.5
"""A face of another size is somebody else sooner, as where one comes in while another leaves: from a track whose
speed is known it counts as this much further away, for each factor of e."""
MEMORY = 0.6
"""How much of the speed estimate a new sighting replaces, of boxes that shake; less where they come more often."""
FRAMES = 2.5
"""Where ``gap_s`` is less than so many frames last, as on a slow device, they are bridged: one may lack the face ..."""
LONGEST_GAP_S = 10.0
"""... but no gap longer than this: what comes less often cannot be followed."""
RATE = 10.0
"""Frames a second at which ``min_sightings`` and ``MEMORY`` are meant as they stand."""


@dataclass(frozen=True, slots=True)
class Tracks:
    """One step of the tracker: tracks seen in this frame; tracks to be counted now, because they ended as a visit or
    have lasted so long; numbers of all tracks that are over.
    """

    seen: tuple[Track, ...]
    visits: tuple[Track, ...]
    gone: tuple[int, ...]


@dataclass(slots=True)
class _Course:
    """A track and where it is heading: pixels a second."""

    track: Track
    speed: tuple[float, float] = (0.0, 0.0)
    missed: bool = False

    def at(self, time: float) -> tuple[float, float]:
        """Where the face should be, if it went on for at most a second."""
        ahead = min(time - self.track.last, 1.0)
        x, y = self.track.face.centre
        return x + self.speed[0] * ahead, y + self.speed[1] * ahead


@dataclass(slots=True)
class Tracker:
    """Follows visitors from frame to frame: nearest face first, at constant speed, gaps bridged for ``gap_s``; for
    longer where frames are further apart.
    """

    settings: TrackSettings
    _courses: list[_Course] = field(default_factory=list)
    _next: int = 0
    _intervals: list[float] = field(default_factory=list)
    _last: float | None = None

    def update(self, faces: Sequence[Face], time: float, shape: tuple[int, int]) -> Tracks:
        """Faces of the frame of ``shape`` (height, width) taken at ``time`` (seconds, never going back) -> the tracks
        after it.
        """
        self._keep_pace(time)
        visits, gone = self._close(time)  # first: after the gap it is somebody else
        pairs, strangers = self._match(faces, time, shape)
        for course in self._courses:
            course.missed = True
        for course, face in pairs:
            self._follow(course, face, time)
        new = [_Course(Track(self._next + index, face, time, time, 1)) for index, face in enumerate(strangers)]
        self._next += len(new)
        self._courses += new
        seen = tuple(course.track for course in [*(course for course, _ in pairs), *new])
        return Tracks(seen, visits, gone)

    def miss(self, time: float) -> Tracks:
        """There was no frame at ``time``: nobody is seen, and who was is gone after a while."""
        visits, gone = self._close(time)
        return Tracks((), visits, gone)

    def finish(self) -> Tracks:
        """The source has ended: every track ends here."""
        tracks = [course.track for course in self._courses]
        self._courses = []
        visits = tuple(track for track in tracks if self._is_visit(track))
        return Tracks((), visits, tuple(track.number for track in tracks))

    def _match(
        self, faces: Sequence[Face], time: float, shape: tuple[int, int]
    ) -> tuple[list[tuple[_Course, Face]], list[Face]]:
        """Pairs of track and face, nearest first, each at most once; and the faces that belong to no track."""
        left = dict(enumerate(faces))
        if not faces or not self._courses:
            return [], list(faces)
        distance = self._distances(faces, time, shape)
        free, pairs = set(range(len(self._courses))), []
        for flat in np.argsort(distance, axis=None, kind="stable").tolist():
            row, column = divmod(flat, len(faces))
            if not np.isfinite(distance[row, column]):
                break
            if row in free and column in left:
                free.remove(row)
                pairs.append((self._courses[row], left.pop(column)))
        return pairs, list(left.values())

    def _distances(self, faces: Sequence[Face], time: float, shape: tuple[int, int]) -> NDArray[np.float64]:
        """(tracks, faces): distance in face sizes, and more for another size; infinite where it cannot be the same
        visitor.
        """
        should = np.array([course.at(time) for course in self._courses])
        size = np.array([course.track.face.size for course in self._courses])
        there = np.array([face.centre for face in faces])
        other = np.array([face.size for face in faces])
        mean = np.sqrt(size[:, None] * other[None])
        distance = np.hypot(*(should[:, None] - there[None]).transpose(2, 0, 1)) / mean
        ratio = np.maximum(size[:, None], other[None]) / np.minimum(size[:, None], other[None])
        reach = np.array([_reach(course, time, shape) for course in self._courses])
        known = np.array([course.track.sightings >= KNOWN for course in self._courses])
        apart = distance + CHANGED * known[:, None] * np.log(ratio)
        unlike = distance + GROWTH * np.log(ratio)
        return np.where((apart <= reach[:, None]) & (ratio <= LARGEST_RATIO), unlike, np.inf)

    def _follow(self, course: _Course, face: Face, time: float) -> None:
        """A track meets its face again."""
        track = course.track
        elapsed = max(time - track.last, 1e-3)
        now = [(new - old) / elapsed for new, old in zip(face.centre, track.face.centre, strict=True)]
        share = 1.0 if track.sightings == 1 else 1 - (1 - MEMORY) ** min(elapsed * RATE, 1.0)
        x, y = (share * new + (1 - share) * old for new, old in zip(now, course.speed, strict=True))
        course.speed, course.missed = (x, y), False
        course.track = replace(track, face=face, last=time, sightings=track.sightings + 1)

    def _close(self, time: float) -> tuple[tuple[Track, ...], tuple[int, ...]]:
        """End what was not seen for the gap; count, once, what has lasted ``max_visit_s``."""
        gap_s = max(self.settings.gap_s, min(FRAMES / self._rate(), LONGEST_GAP_S))
        visits, gone, open_courses = [], [], []
        for course in self._courses:
            track = course.track
            if time - track.last > gap_s:
                gone.append(track.number)
                if self._is_visit(track):
                    visits.append(track)
                continue
            if not track.counted and track.last - track.first >= self.settings.max_visit_s:
                visits.append(track)
                course.track = replace(track, counted=True)
            open_courses.append(course)
        self._courses = open_courses
        return tuple(visits), tuple(gone)

    def _is_visit(self, track: Track) -> bool:
        """Whether a track was long and steady enough to be somebody, and is not counted yet."""
        needed = max(2, round(self.settings.min_sightings * self._rate() / RATE))
        return not track.counted and track.sightings >= needed and track.last - track.first >= self.settings.min_visit_s

    def _keep_pace(self, time: float) -> None:
        if self._last is not None:
            self._intervals = [*self._intervals[-31:], time - self._last]
        self._last = time

    def _rate(self) -> float:
        """Frames a second, by the median of the last intervals."""
        return 1 / max(median(self._intervals), 1e-3) if self._intervals else RATE


def _reach(course: _Course, time: float, shape: tuple[int, int]) -> float:
    """How many face sizes from where a track should be its face may be found. Somebody who has left the frame is not
    looked for inside it: a face there is somebody who comes in.
    """
    if _has_left(course, time, shape):
        return 0.0
    growth = REACH_PER_S if course.track.sightings >= KNOWN else NEW_REACH_PER_S
    return min(REACH + growth * (time - course.track.last), FURTHEST)


def _has_left(course: _Course, time: float, shape: tuple[int, int]) -> bool:
    """Whether a visitor was on the way out when last seen: the box cut off by a border, which makes its centre seem to
    slow down, or the centre beyond it by now.
    """
    if not course.missed or course.track.sightings < KNOWN:
        return False
    x, y, width, height = course.track.face.box
    out = OUTWARD * course.track.face.size
    for low, length, limit, speed, now in zip(
        (x, y), (width, height), shape[::-1], course.speed, course.at(time), strict=True
    ):
        if (low < 0 and speed < -out) or (low + length > limit and speed > out) or not 0 <= now <= limit:
            return True
    return False
