"""Measure how long somebody stays in one spot, also across lost tracks, to tell staff from visitors.

A cashier who turns away is lost by the tracker and comes back under a new track number. Dwell time is therefore kept
per spot of the image, not per track. A visit that ends without moving is held back until nobody can be expected to
come back to its spot.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from edge.values import Detection, Track

RADIUS = 1.5
"""Radius of a spot, face sizes. It allows a step to the side. Two people shoulder to shoulder are about 2 apart."""
MAX_SIZE_RATIO = 1.35
"""A face larger or smaller than the spot's by more than this factor stands in front of the spot or behind it."""
FOLLOW_S = 5.0
"""Time constant with which a spot follows the face in it, seconds. A walking person outruns it."""
WAIT_FACTOR, MAX_WAIT_S = 3.0, 60.0
"""A visit is held back for this multiple of its dwell time, and at most for so many seconds."""
NEW_TRACK_S = 1.0
"""A track that enters a spot at a younger age, seconds, counts as having appeared there. The first boxes of a track
jump, and the first detection may be false."""
STANDING_S = 3.0
"""A person in a spot for this long, seconds, stands there. Somebody who walks has passed it by then."""
SHORT_ABSENCE_S = 2.0
"""At most this much of an absence counts as dwell time, seconds. A face that appears within this time in a spot from
which a track has walked off was there before: the track had moved over to a passer-by."""
STEP_ASIDE_S = 10.0
"""A track that comes back to its spot within this time, seconds, has only stepped aside."""
MAX_SPOTS = 256
"""Maximum number of vacant spots, and of staff spots."""

Presence = Literal["outside", "passing", "staff"]
"""Relation of a track to the staff spots."""


@dataclass(slots=True, eq=False)
class DwellSpot:
    """A spot of the image in which a face stays."""

    centre: tuple[float, float]
    """Pixels."""
    size: float
    """Size of the face, pixels."""
    first: float
    """Second at which a face was there first."""
    last: float
    """Second at which a face was there last."""
    entered: float
    """Second at which the present track entered."""
    appeared: bool = True
    """Whether the present track appeared in the spot, rather than walked into it."""
    dwell_s: float = 0.0
    """Total dwell time, seconds."""
    left_by: int | None = None
    """Number of the track that walked out of the spot; None if the last track was lost in it."""
    pending: tuple[Track, ...] = ()
    """Visits that ended in the spot and are not counted yet."""

    def contains(self, centre: tuple[float, float], size: float) -> bool:
        """Whether a face with this centre and size, pixels, is in the spot."""
        larger, smaller = max(self.size, size), min(self.size, size)
        distance = ((self.centre[0] - centre[0]) ** 2 + (self.centre[1] - centre[1]) ** 2) ** 0.5
        return distance <= RADIUS * larger and larger <= MAX_SIZE_RATIO * smaller

    def add(self, face: Detection, time: float) -> None:
        """Add the time since the last observation to the dwell time, and follow the face."""
        elapsed = time - self.last
        weight = min(1.0, elapsed / FOLLOW_S)
        (x, y), (to_x, to_y) = self.centre, face.centre
        self.centre = x + weight * (to_x - x), y + weight * (to_y - y)
        self.size += weight * (face.size - self.size)
        self.dwell_s, self.last = self.dwell_s + elapsed, time

    def may_continue_with(self, track: Track, appeared: bool, time: float) -> bool:
        """Whether a track that is new in this vacant spot may be the person who was there before."""
        if self.is_expired(time) or not self.contains(track.face.centre, track.face.size):
            return False
        absent = time - self.last
        if self.left_by == track.number:
            return absent <= STEP_ASIDE_S
        stood = self.last - self.entered >= STANDING_S
        return appeared and (self.left_by is None or (absent <= SHORT_ABSENCE_S and stood))

    def is_continued_by(self, other: "DwellSpot") -> bool:
        """Whether the other spot is the same: a track was lost in the earlier one, one appeared in the later one."""
        earlier, later = (self, other) if self.first <= other.first else (other, self)
        follows = later.first >= earlier.last and not earlier.is_expired(later.first)
        return follows and later.appeared and earlier.left_by is None and self.contains(other.centre, other.size)

    def is_expired(self, time: float) -> bool:
        """Whether nobody is expected to come back to the spot any more."""
        return time - self.last > min(MAX_WAIT_S, WAIT_FACTOR * self.dwell_s)


@dataclass(slots=True)
class DwellSpots:
    """Dwell time per spot, continued across lost tracks.

    A track that appears in a spot where another was lost continues its dwell time. A track that walks into a spot
    starts at zero. So does a track in a spot out of which somebody walked, because in a doorway or a queue one person
    follows another. A spot with a dwell time of ``limit_s`` seconds becomes a staff spot, until nobody was in it for
    ``forget_s`` seconds.
    """

    limit_s: float
    forget_s: float
    _occupied: dict[int, DwellSpot] = field(default_factory=dict)
    """Spot of each live track, by track number."""
    _vacant: list[DwellSpot] = field(default_factory=list)
    _staff_spots: list[DwellSpot] = field(default_factory=list)
    _excluded: list[int] = field(default_factory=list)
    """Numbers of ended tracks that were found to be staff since the last `release`."""

    def observe(self, track: Track, time: float) -> Presence:
        """Add an observation of a track.

        Returns ``outside`` if the track is in no staff spot, ``passing`` if it walks through one, and ``staff`` if it
        appeared or stands in one.
        """
        face, spot = track.face, self._occupied.get(track.number)
        if spot is None or not spot.contains(face.centre, face.size):
            spot = self._enter(track, spot, time)
        spot.add(face, time)
        self._forget(time)
        inside = [staff for staff in self._staff_spots if staff.contains(face.centre, face.size)]
        if not inside and spot.dwell_s >= self.limit_s:
            inside = [replace(spot, pending=())]  # a copy: unlike a dwell spot, a staff spot does not follow the face
            self._staff_spots = sorted([*self._staff_spots, *inside], key=lambda each: each.last)[-MAX_SPOTS:]
            spot.dwell_s = 0.0
        elif not inside:
            return "outside"
        elif not spot.appeared and time - spot.entered < STANDING_S:
            return "passing"
        for staff in inside:
            staff.last = time
        return "staff"

    def exclude(self, number: int) -> tuple[int, ...]:
        """Drop the pending visits of a track's spot, because the track is staff. Returns the visits' track numbers."""
        spot = self._occupied[number]
        dropped, spot.pending = tuple(visit.number for visit in spot.pending), ()
        self._excluded += dropped
        return dropped

    def leave(self, number: int, visit: Track | None) -> None:
        """End a track in its spot. Its visit, if it was one, becomes pending there."""
        spot = self._occupied.pop(number)
        spot.pending += () if visit is None else (visit,)
        for other in [*self._occupied.values(), *self._vacant]:
            if spot.is_continued_by(other):
                other.first, other.last = min(spot.first, other.first), max(spot.last, other.last)
                other.dwell_s, other.pending = spot.dwell_s + other.dwell_s, spot.pending + other.pending
                return
        self._vacant.append(spot)

    def release(self, time: float) -> tuple[list[Track], list[int]]:
        """Remove vacant spots that are expired at ``time``.

        Returns their visits, and the track numbers of visits that were staff. Staff spots that are long unused are
        forgotten, but not at ``math.inf``, the end of the source.
        """
        if math.isfinite(time):
            self._forget(time)
        surplus = sorted(self._vacant, key=lambda spot: spot.last)[:-MAX_SPOTS]
        visits: list[Track] = []
        excluded, self._excluded = self._excluded, []
        for spot in [spot for spot in self._vacant if spot.is_expired(time) or spot in surplus]:
            self._vacant.remove(spot)
            if any(staff.contains(spot.centre, spot.size) for staff in self._staff_spots):
                excluded += [visit.number for visit in spot.pending]
            else:
                visits += spot.pending
        return visits, excluded

    def _forget(self, time: float) -> None:
        """Drop staff spots in which nobody was for `forget_s`."""
        self._staff_spots = [spot for spot in self._staff_spots if time - spot.last <= self.forget_s]

    def _enter(self, track: Track, previous: DwellSpot | None, time: float) -> DwellSpot:
        """Move a track from its previous spot into a vacant spot that it continues, or into a new one."""
        if previous is not None:
            previous.left_by = track.number
            self._vacant.append(previous)
        appeared = previous is None or time - track.first < NEW_TRACK_S
        candidates = [spot for spot in self._vacant if spot.may_continue_with(track, appeared, time)]
        if candidates:
            spot = max(candidates, key=lambda each: each.dwell_s)
            self._vacant.remove(spot)
            spot.dwell_s += min(time - spot.last, SHORT_ABSENCE_S)
            spot.last = spot.entered = time
            spot.left_by = None
        else:
            spot = DwellSpot(track.face.centre, track.face.size, time, time, time, appeared)
        self._occupied[track.number] = spot
        return spot
