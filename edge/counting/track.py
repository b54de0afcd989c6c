"""Faces in a frame -> tracks of visitors."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from edge.counting.association import Motion, assign
from edge.counting.evidence import LONG_S, Evidence
from edge.counting.fixed_faces import FixedFaces
from edge.settings import TrackSettings
from edge.values import Face, Track

OUTWARD = 0.5
"""A face at the border that moves out by more face sizes a second than this is leaving."""
KNOWN = 4
"""After so many observations the speed of a track is known."""
FRAMES = 2.5
"""Where ``gap_s`` is less than so many frames last, as on a slow device, they are bridged: one may lack the face ..."""
LONGEST_GAP_S = 10.0
"""... but no gap longer than this: what comes less often cannot be followed."""
RATE = 10.0
"""Frames a second at which ``min_sightings`` is meant as it stands."""
DOUBT = 2.0
"""An association whose cost is at most this far from the limit might as well have gone the other way. Twice the
logarithm of a ratio of likelihoods: 2 is a ratio of e."""
WALKED = 0.3
"""A track that ends at least this many face sizes from where it began is somebody who walks. It may be a frame shorter
than a visit, as half of all visits are that last little longer; one that stays may be only half a frame shorter."""
ROUNDING_S = 1e-6
"""Times are sums of floating-point numbers."""
WEAK = 1.5
"""A visit whose ratio of high scores is below this many times the minimum might as well be none."""
DOUBT_GAP_S = 0.3
"""A gap that is shorter, seconds, is no reason for doubt."""


@dataclass(frozen=True, slots=True)
class TrackUpdate:
    """One step of the tracker: tracks seen in this frame; tracks to be counted now, because they ended as a visit or
    have lasted so long; numbers of all tracks that are over, or turned out to be faces that never move.
    """

    seen: tuple[Track, ...]
    visits: tuple[Track, ...]
    gone: tuple[int, ...]


@dataclass(slots=True)
class _Course:
    """A track with its motion, as of ``track.last``, and its evidence."""

    track: Track
    motion: Motion
    evidence: Evidence = field(default_factory=Evidence)
    missed: bool = False
    """Whether the last frame did not show it."""
    fixed: bool = False
    """Whether it is taken for a face that never moves; its number is not told to anybody."""
    inside: Evidence = field(default_factory=Evidence)
    """Evidence of the observations where a face is known that never moves."""

    @property
    def seconds(self) -> float:
        """From the first observation to the last."""
        return self.track.last - self.track.first

    def visit(self, min_high_ratio: float) -> Track:
        """The track as it is counted; in doubt if its evidence is weak, too."""
        weak = self.evidence.high_ratio < WEAK * min_high_ratio
        return replace(self.track, doubtful_low=max(self.track.doubtful_low, int(weak)))

    @property
    def stays_at_fixed(self) -> bool:
        """Whether most observations are of a face that never moves, as after somebody who walked past it."""
        return 2 * self.inside.observations >= self.evidence.observations and not self.inside.moves()


@dataclass(slots=True)
class Tracker:
    """Follows visitors from frame to frame.

    A face with a high score starts a track or continues one; a face with a low score continues a track that no other
    face continues (the two rounds of ByteTrack, Zhang et al. 2022). All limits are in seconds, whatever the frame rate.
    Frames on which no detection ran are not told to the tracker; the time since the last one then bridges them.
    """

    settings: TrackSettings
    fixed: FixedFaces = field(default_factory=FixedFaces)
    """Faces that never move."""
    _courses: list[_Course] = field(default_factory=list)
    _next: int = 0
    _intervals: list[float] = field(default_factory=list)
    _last: float | None = None

    def update(self, faces: Sequence[Face], time: float, shape: tuple[int, int]) -> TrackUpdate:
        """Faces of the frame of ``shape`` (height, width) taken at ``time`` (seconds, never going back) -> the tracks
        after it. Faces below the low score are ignored.
        """
        self._keep_pace(time)
        visits, gone = self._close(time)  # first: after the gap it is somebody else
        followed, left = self._match(faces, time, shape)
        for course in self._courses:
            course.missed = course not in followed
        new = [self._begin(face, time, again) for face, again in left]
        self._courses += new
        turned = tuple(course.track.number for course in followed if self._turns_fixed(course, time))
        seen = tuple(course.track for course in [*followed, *new] if not course.fixed)
        return TrackUpdate(seen, visits, gone + turned)

    def miss(self, time: float) -> TrackUpdate:
        """There was no frame at ``time``: nobody is seen, and who was is gone after a while."""
        visits, gone = self._close(time)
        return TrackUpdate((), visits, gone)

    def finish(self) -> TrackUpdate:
        """The source has ended: every track ends here."""
        courses, self._courses = self._courses, []
        return TrackUpdate(
            (), self._ended(courses), tuple(course.track.number for course in courses if not course.fixed)
        )

    def _match(
        self, faces: Sequence[Face], time: float, shape: tuple[int, int]
    ) -> tuple[list[_Course], list[tuple[Face, bool]]]:
        """Continue tracks -> those continued, and the faces with a high score that start tracks, each with whether it
        might be a track that is lost.
        """
        expected = [
            (course, course.motion.after(time - course.track.last))
            for course in self._courses
            if not _has_left(course, time, shape)
        ]
        followed: list[_Course] = []
        left: list[tuple[Face, bool]] = []
        for is_high in (True, False):
            found = [face for face in faces if self._is_in_round(face, is_high)]
            costs = [[motion.cost(face) for face in found] for _, motion in expected]
            pairs = assign(costs)
            for row, column in pairs:
                course, motion = expected[row]
                self._follow(course, motion, found[column], time, costs[row][column])
                followed.append(course)
            rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
            if is_high:
                left = [
                    (face, any(costs[row][column] < DOUBT for row in range(len(costs)) if row not in rows))
                    for column, face in enumerate(found)
                    if column not in columns
                ]
            expected = [each for row, each in enumerate(expected) if row not in rows]
        return followed, left

    def _is_in_round(self, face: Face, is_high: bool) -> bool:
        return face.score >= self.settings.high if is_high else self.settings.low <= face.score < self.settings.high

    def _begin(self, face: Face, time: float, again: bool) -> _Course:
        """A new track; ``again``: it might be one that is lost."""
        track = Track(self._next, face, time, time, 1, doubtful_low=int(again))
        self._next += 1
        course = _Course(track, Motion.of(face), fixed=self.fixed.holds(face))
        course.evidence.add(face, is_high=True)
        if course.fixed:
            course.inside.add(face, is_high=True)
        return course

    def _follow(self, course: _Course, expected: Motion, face: Face, time: float, cost: float) -> None:
        """A track meets its face again; where it was expected, and at what cost."""
        track = course.track
        other = time - track.last >= DOUBT_GAP_S and cost > -DOUBT
        course.motion = expected.corrected(face)
        course.evidence.add(face, face.score >= self.settings.high)
        if self.fixed.holds(face):
            course.inside.add(face, face.score >= self.settings.high)
        course.track = replace(
            track,
            face=face,
            last=time,
            sightings=track.sightings + 1,
            doubtful_high=max(track.doubtful_high, int(other)),
        )

    def _turns_fixed(self, course: _Course, time: float) -> bool:
        """Note whether a track is a fixed face by now -> whether it has just turned out to be one. One that moves after
        all is a visitor from now on, under a new number.
        """
        if course.fixed:
            if course.evidence.moves() or not self.fixed.holds(course.track.face):
                course.fixed = False
                course.track = replace(course.track, number=self._next, first=time, sightings=1, counted=False)
                course.evidence, course.inside = Evidence(), Evidence()
                self._next += 1
            else:
                self.fixed.learn(course.track.face, time)
            return False
        if course.seconds < LONG_S or not course.evidence.is_still(course.seconds):
            return False
        self.fixed.learn(course.track.face, time)
        course.fixed = True
        return True

    def _close(self, time: float) -> tuple[tuple[Track, ...], tuple[int, ...]]:
        """End what was not seen for the gap; count, once, what has lasted ``max_visit_s``."""
        self.fixed.forget(time)
        gap_s = max(self.settings.gap_s, min(FRAMES / self._rate(), LONGEST_GAP_S))
        over = [course for course in self._courses if time - course.track.last > gap_s]
        self._courses = [course for course in self._courses if time - course.track.last <= gap_s]
        lasting = []
        for course in self._courses:
            if not course.track.counted and not course.fixed and course.seconds >= self.settings.max_visit_s:
                lasting.append(course.visit(self.settings.min_high_ratio))
                course.track = replace(course.track, counted=True)
        gone = tuple(course.track.number for course in over if not course.fixed)
        return (*self._ended(over), *lasting), gone

    def _ended(self, courses: Sequence[_Course]) -> tuple[Track, ...]:
        """Tracks that are over -> those that are visits; what did not move is learnt."""
        visits = []
        for course in courses:
            if course.fixed or not self._is_visit(course) or course.stays_at_fixed:
                continue
            if course.evidence.is_still(course.seconds):
                self.fixed.learn(course.track.face, course.track.last)
            else:
                visits.append(course.visit(self.settings.min_high_ratio))
        return tuple(visits)

    def _is_visit(self, course: _Course) -> bool:
        """Whether a track was seen for long enough, and clearly enough, to be somebody, and is not counted yet."""
        track, frame_s = course.track, 1 / self._rate()
        slack = frame_s if course.evidence.travel >= WALKED else frame_s / 2
        needed = round(self.settings.min_sightings / (RATE * frame_s))
        return (
            not track.counted
            and track.sightings >= max(2, needed)
            and course.evidence.high >= max(1, needed)
            and course.evidence.high_ratio >= self.settings.min_high_ratio
            and course.seconds >= self.settings.min_visit_s - slack - ROUNDING_S
        )

    def _keep_pace(self, time: float) -> None:
        if self._last is not None:
            self._intervals = [*self._intervals[-31:], time - self._last]
        self._last = time

    def _rate(self) -> float:
        """Frames a second, by the median of the last intervals."""
        return 1 / max(median(self._intervals), 1e-3) if self._intervals else RATE


def _has_left(course: _Course, time: float, shape: tuple[int, int]) -> bool:
    """Whether a visitor was on the way out when last seen: the box cut off by a border, which makes its centre seem to
    slow down, or the centre beyond it by now. A face inside the frame is then somebody who comes in.
    """
    if not course.missed or course.track.sightings < KNOWN:
        return False
    motion, elapsed = course.motion, min(time - course.track.last, 1.0)
    x, y, width, height = course.track.face.box
    out = OUTWARD * course.track.face.size
    for low, length, limit, place, speed in zip(
        (x, y), (width, height), shape[::-1], (motion.x, motion.y), (motion.vx, motion.vy), strict=True
    ):
        if (low < 0 and speed < -out) or (low + length > limit and speed > out):
            return True
        if not 0 <= place + elapsed * speed <= limit:
            return True
    return False
