"""Tracks that come, stand and vanish -> places where somebody stays, and visits that wait until that is known."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from edge.values import Face, Track

NEAR = 1.5
"""Who is at most so many face sizes from the middle of a place is still in it: a step to the side. Two people side by
side are about two apart, shoulder to shoulder."""
RATIO = 1.35
"""A face larger or smaller by more than this is not in the place but before or behind it."""
DRIFT_S = 5.0
"""A place follows whoever stands in it over so many seconds; who walks outruns it."""
PATIENCE, LONGEST_S = 3.0, 60.0
"""Who stood for so long and vanished is awaited that many times as long, and at most a minute."""
FRESH_S = 1.0
"""A track that is younger has not walked up: the first boxes jump, and a false face may have been the first."""
STAND_S = 3.0
"""Who is in a place for so long stands there; walkers are past it."""
AT_ONCE_S = 2.0
"""Of an absence so much is dwell. And a face that appears so soon where one who stood has walked off was there before:
a passer-by took its track along."""
ASIDE_S = 10.0
"""Who comes back so soon has only stepped aside."""
MAX_SPOTS = 256
Stance = Literal["out", "passing", "staff"]


@dataclass(slots=True, eq=False)
class _Place:
    """Where a face stands: centre and size in pixels; seconds when it was first and last there, and when the present
    track came; dwell in all, seconds; the visits that ended there. ``by`` is the track that walked off, if one did.
    """

    centre: tuple[float, float]
    size: float
    first: float
    seen: float
    came: float
    born: bool = True
    dwell: float = 0.0
    by: int | None = None
    waiting: tuple[Track, ...] = ()

    def has(self, centre: tuple[float, float], size: float) -> bool:
        """Whether a face of this centre and size is in the place."""
        larger, smaller = max(self.size, size), min(self.size, size)
        away = ((self.centre[0] - centre[0]) ** 2 + (self.centre[1] - centre[1]) ** 2) ** 0.5
        return away <= NEAR * larger and larger <= RATIO * smaller

    def stand(self, face: Face, time: float) -> None:
        """The face is there now, and was since last seen."""
        elapsed = time - self.seen
        share = min(1.0, elapsed / DRIFT_S)
        (x, y), (to_x, to_y) = self.centre, face.centre
        self.centre = x + share * (to_x - x), y + share * (to_y - y)
        self.size += share * (face.size - self.size)
        self.dwell, self.seen = self.dwell + elapsed, time

    def goes_on_as(self, track: Track, born: bool, time: float) -> bool:
        """Whether a track that is new in this left place may be who was there."""
        if self.is_over(time) or not self.has(track.face.centre, track.face.size):
            return False
        away = time - self.seen
        if self.by == track.number:
            return away <= ASIDE_S
        return born and (self.by is None or (away <= AT_ONCE_S and self.seen - self.came >= STAND_S))

    def is_one_with(self, other: "_Place") -> bool:
        """Whether the other, too, is somebody who came from nowhere in the same place, soon before or after."""
        earlier, later = (self, other) if self.first <= other.first else (other, self)
        follows = later.first >= earlier.seen and not earlier.is_over(later.first)
        return follows and other.born and other.by is None and self.has(other.centre, other.size)

    def is_over(self, time: float) -> bool:
        """Whether nobody will come back any more."""
        return time - self.seen > min(LONGEST_S, PATIENCE * self.dwell)


@dataclass(slots=True)
class DwellSpots:
    """Dwell by place, across track losses. Who vanishes where they stood may have turned away: a track that begins
    there, out of nothing, goes on with their dwell. Who walks up begins at zero, and nobody goes on where one has
    walked off, so that a door or a queue, where one follows another, is no till. A place with ``limit_s`` is barred
    until nobody was in it for ``forget_s``.
    """

    limit_s: float
    forget_s: float
    _held: dict[int, _Place] = field(default_factory=dict)
    _left: list[_Place] = field(default_factory=list)
    _barred: list[_Place] = field(default_factory=list)
    _staff: list[int] = field(default_factory=list)

    def stay(self, track: Track, time: float) -> Stance:
        """Note where a track is -> whether it is out of all barred places, passes through one, or is of those who stay
        there: it appeared or stands in it.
        """
        face, place = track.face, self._held.get(track.number)
        if place is None or not place.has(face.centre, face.size):
            place = self._enter(track, place, time)
        place.stand(face, time)
        self._forget(time)
        inside = [barred for barred in self._barred if barred.has(face.centre, face.size)]
        if not inside and place.dwell >= self.limit_s:
            inside = [replace(place, waiting=())]  # a barred place does not follow anybody
            self._barred = sorted([*self._barred, *inside], key=lambda each: each.seen)[-MAX_SPOTS:]
            place.dwell = 0.0
        elif not inside:
            return "out"
        elif not place.born and time - place.came < STAND_S:
            return "passing"
        for barred in inside:
            barred.seen = time
        return "staff"

    def bar(self, number: int) -> tuple[int, ...]:
        """A track turns out to be staff -> the numbers of those who vanished where it stands: they were staff, too."""
        place = self._held[number]
        staff, place.waiting = tuple(visit.number for visit in place.waiting), ()
        self._staff += staff
        return staff

    def vanish(self, number: int, visit: Track | None) -> None:
        """A track was lost where it was; its visit, if it was one, waits there."""
        home = self._held.pop(number)
        home.waiting += () if visit is None else (visit,)
        for other in [*self._held.values(), *self._left]:
            if home.is_one_with(other):
                other.first, other.seen = min(home.first, other.first), max(home.seen, other.seen)
                other.dwell, other.waiting = home.dwell + other.dwell, home.waiting + other.waiting
                return
        self._left.append(home)

    def over(self, time: float) -> tuple[list[Track], list[int]]:
        """Visits whose place nobody came back to by ``time``; and the numbers of those that were staff's. At the end,
        ``math.inf``, what is barred is still barred.
        """
        if math.isfinite(time):
            self._forget(time)
        oldest = sorted(self._left, key=lambda place: place.seen)[:-MAX_SPOTS]
        visits: list[Track] = []
        staff, self._staff = self._staff, []
        for place in [place for place in self._left if place.is_over(time) or place in oldest]:
            self._left.remove(place)
            if any(barred.has(place.centre, place.size) for barred in self._barred):
                staff += [visit.number for visit in place.waiting]
            else:
                visits += place.waiting
        return visits, staff

    def _forget(self, time: float) -> None:
        """A barred place is free again when it was left alone for long enough."""
        self._barred = [place for place in self._barred if time - place.seen <= self.forget_s]

    def _enter(self, track: Track, before: _Place | None, time: float) -> _Place:
        """The place a track is in now: one left a while ago in which it goes on, or a new one."""
        if before is not None:
            before.by = track.number
            self._left.append(before)
        born = before is None or time - track.first < FRESH_S
        known = [place for place in self._left if place.goes_on_as(track, born, time)]
        if known:
            place = max(known, key=lambda each: each.dwell)
            self._left.remove(place)
            place.dwell += min(time - place.seen, AT_ONCE_S)
            place.seen = place.came = time
            place.by = None
        else:
            place = _Place(track.face.centre, track.face.size, time, time, time, born)
        self._held[track.number] = place
        return place
