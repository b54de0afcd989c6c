"""Hold what the tracker knows about one track: its motion, its evidence, and whether it is a visit."""

from dataclasses import dataclass, field, replace

from edge.counting.association import Motion
from edge.counting.evidence import Evidence
from edge.counting.totals import FIXED_FACE, LOW_SCORE, TOO_SHORT, Outcome
from edge.settings import TrackSettings
from edge.values import Detection, Track

REFERENCE_FPS = 10.0
"""Frame rate at which the minimum number of observations of `edge.settings.TrackSettings` holds, frames per second."""
WALKING_TRAVEL = 0.3
"""A track that ends at least this far from where it began, face sizes, is a person who walks. It may be one frame
shorter than the minimum visit, because half of the visits that last slightly longer appear that short. A track that
stays may be only half a frame shorter."""
MAX_PAIR_TRAVEL = 1.5
"""A track of two observations that lie further apart than this, face sizes, is no visit: they are as likely of two
people who pass each other."""
STEADY_S, STEADY_TRAVEL, STEADY_COVERAGE = 2.0, 5.0, 0.5
"""A track of at least so many seconds that ends so many face sizes from where it began, and was observed in so large a
fraction of the frames, may have few high scores: a person who walks in profile or looks down."""
ROUNDING_S = 1e-6
"""Tolerance for sums of floating-point times, seconds."""
WEAK_FACTOR = 1.5
"""A visit is doubtful if its ratio of high scores is below this multiple of the minimum."""
LEAVING_SPEED = 0.5
"""A face at the border that moves outwards at this speed or more, face sizes per second, is leaving."""
MIN_OBSERVATIONS_FOR_SPEED = 4
"""Number of observations after which the speed of a track is known."""
MAX_EXIT_PREDICTION_S = 1.0
"""The centre of a lost track is extrapolated for at most this time, seconds, to see whether it left the frame."""


@dataclass(slots=True, eq=False)
class TrackState:
    """One track as the tracker keeps it."""

    track: Track
    motion: Motion
    """Position, speed and size at ``track.last``."""
    first_frame: int
    """Index of the frame of the first observation, among the frames given to the tracker."""
    evidence: Evidence = field(default_factory=Evidence)
    is_missed: bool = False
    """Whether the track was not observed in the last frame that could show it."""
    is_fixed: bool = False
    """Whether the track is a fixed face; it is then not reported."""
    at_fixed_face: Evidence = field(default_factory=Evidence)
    """Evidence of the observations at the position of a known fixed face."""

    @property
    def seconds(self) -> float:
        """Time from the first observation to the last."""
        return self.track.last - self.track.first

    @property
    def number(self) -> int:
        """Number of the track."""
        return self.track.number

    def add(self, face: Detection, high: float, *, at_fixed_face: bool) -> None:
        """Add an observation to the evidence; ``high`` is the high score, 0 to 1."""
        self.evidence.add(face, high)
        if at_fixed_face:
            self.at_fixed_face.add(face, high)

    def restart(self, number: int, frame: int, time: float) -> None:
        """Turn a fixed face that moves after all into a new track that starts now."""
        self.is_fixed, self.first_frame = False, frame
        self.track = replace(self.track, number=number, first=time, observations=1, counted=False)
        self.evidence, self.at_fixed_face = Evidence(), Evidence()

    def visit(self, min_high_ratio: float) -> Track:
        """The track as it is counted; doubtful if few of its scores are high."""
        is_weak = self.evidence.high_ratio < WEAK_FACTOR * min_high_ratio
        return replace(self.track, doubtful_low=max(self.track.doubtful_low, int(is_weak)))

    def rejection(self, settings: TrackSettings, frame_s: float) -> Outcome | None:
        """Why the track is no visit: it was too short, not clear enough, or a fixed face. None if it is one.

        ``frame_s`` is the time between two frames, seconds.
        """
        slack = frame_s if self.evidence.travel >= WALKING_TRAVEL else frame_s / 2
        needed = round(settings.min_observations / (REFERENCE_FPS * frame_s))
        if self.is_fixed:
            return FIXED_FACE
        if self.track.observations < max(2, needed) or self.seconds < settings.min_visit_s - slack - ROUNDING_S:
            return TOO_SHORT
        if self.track.observations == 2 and self.evidence.travel > MAX_PAIR_TRAVEL:
            return TOO_SHORT
        is_clear = self.evidence.high_ratio >= settings.min_high_ratio or self._is_steady_walk(settings, frame_s)
        if self.evidence.faces < max(1, needed) or not is_clear:
            return LOW_SCORE
        return FIXED_FACE if self.is_mostly_fixed or self.evidence.is_still(self.seconds) else None

    def _is_steady_walk(self, settings: TrackSettings, frame_s: float) -> bool:
        """Whether the track is long, goes far, has few gaps, and its mean score is halfway to the high one or more."""
        return (
            self.seconds >= STEADY_S
            and self.evidence.travel >= STEADY_TRAVEL
            and self.track.observations * frame_s >= STEADY_COVERAGE * self.seconds
            and self.evidence.mean_score >= (settings.low + settings.high) / 2
        )

    @property
    def is_mostly_fixed(self) -> bool:
        """Whether most observations are of a known fixed face, as for a track that a passer-by left at a poster."""
        mostly = 2 * self.at_fixed_face.observations >= self.evidence.observations
        return mostly and not self.at_fixed_face.is_moving()

    def has_left(self, time: float, shape: tuple[int, int]) -> bool:
        """Whether the person was leaving the frame of ``shape`` (height, width) when last observed.

        This is so if the box was cut off by the border it moved towards, which makes the centre seem to slow down, or
        if the extrapolated centre is outside the frame by now. A face inside the frame is then somebody who enters.
        """
        if not self.is_missed or self.track.observations < MIN_OBSERVATIONS_FOR_SPEED:
            return False
        motion, elapsed = self.motion, min(time - self.track.last, MAX_EXIT_PREDICTION_S)
        x, y, width, height = self.track.face.box
        leaving = LEAVING_SPEED * self.track.face.size
        for low, length, limit, centre, speed in zip(
            (x, y), (width, height), shape[::-1], (motion.x, motion.y), (motion.vx, motion.vy), strict=True
        ):
            if (low < 0 and speed < -leaving) or (low + length > limit and speed > leaving):
                return True
            if not 0 <= centre + elapsed * speed <= limit:
                return True
        return False
