"""Join detections over time into tracks, one per visitor, and decide which tracks are visits."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from edge.counting.association import Motion, assign
from edge.counting.evidence import LONG_S
from edge.counting.fixed_faces import FixedFaces
from edge.counting.totals import FIXED_FACE, Outcome
from edge.counting.track_state import REFERENCE_FPS, TrackState
from edge.settings import TrackSettings
from edge.values import Detection, Track

MIN_GAP_FRAMES = 2.5
"""At low frame rates a track is kept for this many frames, even if that is longer than ``gap_s``: one frame may lack
the face."""
MAX_GAP_S = 10.0
"""A track is never kept for longer than this without an observation, seconds."""
DOUBTFUL_COST = 2.0
"""An assignment whose cost is at most this far from zero could have gone the other way. The cost is twice the logarithm
of a likelihood ratio, so 2 is a ratio of e."""
DOUBTFUL_GAP_S = 0.3
"""Assignments after gaps shorter than this, seconds, are never doubtful."""
MAX_INTERVALS = 32
"""The frame rate is the median of at most this many intervals between frames."""
MIN_INTERVAL_S = 1e-3


@dataclass(frozen=True, slots=True)
class TrackUpdate:
    """Result of one step of the tracker."""

    seen: tuple[Track, ...]
    """Tracks observed in this frame."""
    visits: tuple[Track, ...]
    """Tracks to count now, because they ended as a visit or have reached ``max_visit_s``."""
    gone: tuple[int, ...]
    """Numbers of tracks that ended, or turned out to be fixed faces."""
    rejected: tuple[Outcome, ...] = ()
    """Why the tracks that ended without being a visit are none."""


@dataclass(frozen=True, slots=True)
class _NewTrack:
    """A detection that starts a track."""

    face: Detection
    may_be_lost_track: bool
    """Whether the detection might belong to a track that is lost."""


@dataclass(slots=True)
class Tracker:
    """Follows visitors from frame to frame.

    Detections are assigned in two rounds, as in ByteTrack (Zhang et al. 2022). First, detections with a high face score
    continue tracks or start new ones. Then the others continue tracks that are left. A visitor who turns away is often
    detected with a low score: that continues the track, but the face check keeps it from starting one. All limits are
    in seconds, so they hold at any frame rate. Frames on which the detector did not run must not be passed on.
    """

    settings: TrackSettings
    fixed: FixedFaces = field(default_factory=FixedFaces)
    """Faces that never move."""
    _states: list[TrackState] = field(default_factory=list)
    _next_number: int = 0
    _frame: int = -1
    """Index of the latest frame."""
    _frame_time: float | None = None
    _intervals: list[float] = field(default_factory=list)
    """Latest times between frames, seconds."""
    _rejected: list[Outcome] = field(default_factory=list)
    """Outcomes of tracks that ended without being a visit, since the last `TrackUpdate`."""

    def update(
        self, detections: Sequence[Detection], time: float, shape: tuple[int, int], *, is_partial: bool = False
    ) -> TrackUpdate:
        """Continue and start tracks with the detections of a frame.

        ``shape`` is the frame's (height, width) in pixels; ``time`` is its second and must not decrease. Detections
        below the low score are ignored. ``is_partial`` says that faces may be missing which other frames show.
        """
        visits, gone = self._close(time)  # first: a face after the gap is another person, and a pause is no frame rate
        self._begin_frame(time)
        continued, new = self._assign(detections, time, shape)
        for state in self._states:
            state.is_missed = state not in continued and (state.is_missed or not is_partial)
        started = [self._start(each, time) for each in new]
        self._states += started
        fixed = tuple(state.number for state in continued if self._becomes_fixed(state, time))
        seen = tuple(state.track for state in [*continued, *started] if not state.is_fixed)
        return TrackUpdate(seen, visits, gone + fixed, self._take_rejected())

    def skip(self, time: float) -> TrackUpdate:
        """Let time pass without a frame; tracks end after the gap."""
        visits, gone = self._close(time)
        return TrackUpdate((), visits, gone, self._take_rejected())

    def finish(self) -> TrackUpdate:
        """End all tracks at the end of the source."""
        states, self._states = self._states, []
        visits = self._visits_among(states)
        return TrackUpdate((), visits, _reported(states), self._take_rejected())

    def _assign(
        self, detections: Sequence[Detection], time: float, shape: tuple[int, int]
    ) -> tuple[list[TrackState], list[_NewTrack]]:
        """Continue tracks with detections. Returns the continued tracks, and the detections that start new ones."""
        candidates = [
            (state, state.motion.predict(time - state.track.last))
            for state in self._states
            if not state.has_left(time, shape)
        ]
        continued: list[TrackState] = []
        new: list[_NewTrack] = []
        for is_high in (True, False):
            found = [face for face in detections if self._is_in_round(face, shape, is_high)]
            costs = [[motion.cost(face) for face in found] for _, motion in candidates]
            pairs = assign(costs)
            for row, column in pairs:
                state, motion = candidates[row]
                self._continue(state, motion, found[column], time, costs[row][column])
                continued.append(state)
            rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
            if is_high:
                unassigned = [costs[row] for row in range(len(costs)) if row not in rows]
                new = [
                    _NewTrack(face, any(row[column] < DOUBTFUL_COST for row in unassigned))
                    for column, face in enumerate(found)
                    if column not in columns
                ]
            candidates = [each for row, each in enumerate(candidates) if row not in rows]
        return continued, new

    def _is_in_round(self, face: Detection, shape: tuple[int, int], is_high: bool) -> bool:
        # The check is made for whole faces: where the border of the frame cuts one off, the detector decides.
        score = max(face.score, face.face_score) if _is_cut_off(face, shape) else face.face_score
        return (score >= self.settings.high) == is_high and face.score >= self.settings.low

    def _start(self, new: _NewTrack, time: float) -> TrackState:
        """Start a track."""
        face, at_fixed_face = new.face, new.face in self.fixed
        track = Track(self._take_number(), face, time, time, 1, doubtful_low=int(new.may_be_lost_track))
        state = TrackState(track, Motion.from_detection(face), self._frame, is_fixed=at_fixed_face)
        state.add(face, self.settings.high, at_fixed_face=at_fixed_face)
        return state

    def _continue(self, state: TrackState, predicted: Motion, face: Detection, time: float, cost: float) -> None:
        """Continue a track, given its predicted motion and the cost of the assignment."""
        track = state.track
        is_doubtful = time - track.last >= DOUBTFUL_GAP_S and cost > -DOUBTFUL_COST
        state.motion = predicted.update(face)
        state.add(face, self.settings.high, at_fixed_face=face in self.fixed)
        state.track = replace(
            track,
            face=face,
            last=time,
            observations=track.observations + 1,
            doubtful_high=max(track.doubtful_high, int(is_doubtful)),
        )

    def _becomes_fixed(self, state: TrackState, time: float) -> bool:
        """Update whether a track is a fixed face. Returns whether it has just turned out to be one.

        A fixed face that moves after all becomes a visitor with a new track number.
        """
        if state.is_fixed:
            if state.evidence.is_moving() or state.track.face not in self.fixed:
                if not state.track.counted:
                    self._rejected.append(FIXED_FACE)
                state.restart(self._take_number(), self._frame, time)
            else:
                self.fixed.add(state.track.face, time)
            return False
        if state.seconds < LONG_S or not state.evidence.is_still(state.seconds):
            return False
        self.fixed.add(state.track.face, time)
        state.is_fixed = True
        return True

    def _close(self, time: float) -> tuple[tuple[Track, ...], tuple[int, ...]]:
        """End tracks that were not observed for the gap, and count once those that have reached ``max_visit_s``.

        Returns the visits to count and the numbers of the tracks that ended.
        """
        self.fixed.forget(time)
        ended = [state for state in self._states if time - state.track.last > self._gap_s(state)]
        self._states = [state for state in self._states if state not in ended]
        long_visits = []
        for state in self._states:
            is_due = not state.track.counted and state.seconds >= self.settings.max_visit_s
            if is_due and state.rejection(self.settings, 1 / self._fps(state)) is None:
                long_visits.append(state.visit(self.settings.min_high_ratio))
                state.track = replace(state.track, counted=True)
        return (*self._visits_among(ended), *long_visits), _reported(ended)

    def _visits_among(self, ended: Sequence[TrackState]) -> tuple[Track, ...]:
        """Visits among the tracks that ended. Tracks that did not move are remembered as fixed faces instead."""
        visits = []
        for state in ended:
            if state.track.counted:
                continue
            rejection = state.rejection(self.settings, 1 / self._fps(state))
            if rejection is None:
                visits.append(state.visit(self.settings.min_high_ratio))
                continue
            self._rejected.append(rejection)
            if rejection == FIXED_FACE and not (state.is_fixed or state.is_mostly_fixed):
                self.fixed.add(state.track.face, state.track.last)
        return tuple(visits)

    def _take_rejected(self) -> tuple[Outcome, ...]:
        rejected, self._rejected = tuple(self._rejected), []
        return rejected

    def _take_number(self) -> int:
        """A track number that was never used before."""
        self._next_number += 1
        return self._next_number - 1

    def _begin_frame(self, time: float) -> None:
        self._frame += 1
        if self._frame_time is not None:
            self._intervals = [*self._intervals[-(MAX_INTERVALS - 1) :], time - self._frame_time]
        self._frame_time = time

    def _fps(self, state: TrackState) -> float:
        """Frames per second since a track started: the detector may have run less often before.

        A track that has just started has the rate of the last interval.
        """
        intervals = self._intervals[-max(1, self._frame - state.first_frame) :]
        return 1 / max(median(intervals), MIN_INTERVAL_S) if intervals else REFERENCE_FPS

    def _gap_s(self, state: TrackState) -> float:
        """Time without an observation after which a track ends, seconds."""
        return max(self.settings.gap_s, min(MIN_GAP_FRAMES / self._fps(state), MAX_GAP_S))


def _is_cut_off(face: Detection, shape: tuple[int, int]) -> bool:
    """Whether the border of a frame of ``shape`` (height, width) cuts a face off."""
    height, width = shape
    return face.box.left < 0 or face.box.top < 0 or face.box.right > width or face.box.bottom > height


def _reported(states: Sequence[TrackState]) -> tuple[int, ...]:
    """Numbers of the tracks that are not fixed faces, whose numbers are not known to other stages."""
    return tuple(state.number for state in states if not state.is_fixed)
