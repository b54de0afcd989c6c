"""Tracks -> those that may be classified; staff, closed hours and lingerers are barred before any look at them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from contract.errors import SettingsError
from edge.settings import AdmitSettings, Day, Hours, Point, Polygon
from edge.words import Track

NEAR = 0.75
"""Two faces are in the same place if their centres are at most this many face sizes apart."""
LEAK = 0.25
"""While nobody is in a place its dwell falls by this much a second: who turns away for a moment has not left, and where
one visitor after another passes, nobody lingers."""
STEP_S = 2.0
"""Two looks further apart than this say nothing of the time between."""
MOST_PLACES = 256
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(slots=True)
class _Place:
    """Somewhere faces stay: centre and size in pixels, when one was last there, and for how long, seconds."""

    centre: tuple[float, float]
    size: float
    seen: float
    dwell: float = 0.0
    barred: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """Tracks that may be classified now, and the numbers of all tracks in the frame that never may."""

    admitted: tuple[Track, ...]
    barred: tuple[int, ...]


@dataclass(slots=True)
class Gate:
    """Decides who is looked at. A track once barred stays barred as long as it lasts."""

    settings: AdmitSettings
    _places: list[_Place] = field(default_factory=list)
    _barred: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Fail at start, not at the first face, if the time zone is none."""
        if self.settings.hours:
            try:
                ZoneInfo(self.settings.hours.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise SettingsError(
                    f"key 'admit.hours.timezone': {self.settings.hours.timezone!r} is no time zone"
                    " of this machine, such as Europe/Berlin"
                ) from error

    def admit(self, tracks: Sequence[Track], shape: tuple[int, int], time: float, utc: datetime) -> Admission:
        """Tracks in a frame of ``shape`` (height, width) at ``time`` seconds and ``utc`` -> who may be classified."""
        closed = self.settings.hours is not None and not is_open(self.settings.hours, utc)
        self._forget(time)
        for track in tracks:
            lingers = self._dwell(track, time)
            if closed or lingers or in_any(_share(track, shape), self.settings.staff_zones):
                self._barred.add(track.number)
        return Admission(
            tuple(track for track in tracks if track.number not in self._barred and not track.counted),
            tuple(track.number for track in tracks if track.number in self._barred),
        )

    def forget(self, numbers: Sequence[int]) -> None:
        """Tracks have ended; their numbers never come again."""
        self._barred.difference_update(numbers)

    def _dwell(self, track: Track, time: float) -> bool:
        """Note that a face is in its place; True if somebody has been there, all in all, for too long."""
        place = self._place_of(track, time)
        away = time - place.seen
        if away <= STEP_S:
            place.dwell += away
        else:
            place.dwell = max(0.0, place.dwell - LEAK * away)
        place.seen = time
        place.barred |= place.dwell >= self.settings.dwell_limit_s
        return place.barred

    def _place_of(self, track: Track, time: float) -> _Place:
        """The nearest place this face is in, or a new one."""
        x, y = track.face.centre
        near = [
            (distance, index)
            for index, place in enumerate(self._places)
            if (distance := ((place.centre[0] - x) ** 2 + (place.centre[1] - y) ** 2) ** 0.5)
            <= NEAR * max(place.size, track.face.size)
        ]
        if near:
            return self._places[min(near)[1]]
        place = _Place(track.face.centre, track.face.size, time)
        self._places.append(place)
        return place

    def _forget(self, time: float) -> None:
        """Drop places that nobody was in for long; if there are too many, those left longest."""

        def is_over(place: _Place) -> bool:
            away = time - place.seen
            return away > (self.settings.forget_s if place.barred else place.dwell / LEAK + STEP_S)

        self._places = [place for place in self._places if not is_over(place)]
        if len(self._places) > MOST_PLACES:
            self._places = sorted(self._places, key=lambda place: (place.barred, place.seen))[-MOST_PLACES:]


def is_open(hours: Hours, utc: datetime) -> bool:
    """Whether the shop is open at an instant; a close before the open is on the next day."""
    local = utc.astimezone(ZoneInfo(hours.timezone))
    now, today = local.strftime("%H:%M"), DAYS[local.weekday()]
    if hours.open < hours.close:
        return today in hours.days and hours.open <= now < hours.close
    yesterday = DAYS[local.weekday() - 1]
    return (today in hours.days and now >= hours.open) or (yesterday in hours.days and now < hours.close)


def in_any(point: Point, zones: Sequence[Polygon]) -> bool:
    """Whether a point lies in one of the polygons."""
    return any(inside(point, zone) for zone in zones)


def inside(point: Point, polygon: Polygon) -> bool:
    """Whether a ray to the right of the point crosses the polygon's border an odd number of times (Shimrat 1962)."""
    x, y = point
    odd = False
    for (ax, ay), (bx, by) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
            odd = not odd
    return odd


def _share(track: Track, shape: tuple[int, int]) -> Point:
    """The middle of a track's face as shares of the frame's width and height."""
    x, y = track.face.centre
    return x / shape[1], y / shape[0]
