"""Tracks -> those that may be classified; staff, closed hours and lingerers are barred before any look at them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from base.errors import SettingsError
from edge.counting.dwell import DwellSpots
from edge.settings import AdmitSettings, Day, Hours, Point, Polygon
from edge.values import Track

DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Admission:
    """Tracks that may be classified now, and the numbers of all that never may: of tracks in the frame, and of ended
    ones whose visits waited.
    """

    admitted: tuple[Track, ...]
    barred: tuple[int, ...]


@dataclass(slots=True)
class AdmissionGate:
    """Decides who is looked at. A track once barred stays barred as long as it lasts. Who vanished where they stood may
    be staff, turned away; their visits wait until that is known.
    """

    settings: AdmitSettings
    _barred: set[int] = field(default_factory=set)
    _places: DwellSpots = field(init=False)

    def __post_init__(self) -> None:
        """Fail at start, not at the first face, if the time zone is none."""
        self._places = DwellSpots(self.settings.dwell_limit_s, self.settings.forget_s)
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
        passing: set[int] = set()
        erased: list[int] = []
        for track in tracks:
            stance = self._places.stay(track, time)
            if stance == "passing":
                passing.add(track.number)
            if stance == "staff" or in_any_polygon(_share(track, shape), self.settings.staff_zones):
                self._barred.add(track.number)
                erased += self._places.bar(track.number)
            if closed:
                self._barred.add(track.number)
        never = self._barred | passing
        return Admission(
            tuple(track for track in tracks if track.number not in never and not track.counted),
            (*(track.number for track in tracks if track.number in self._barred), *erased),
        )

    def release(
        self, visits: Sequence[Track], gone: Sequence[int], time: float
    ) -> tuple[tuple[Track, ...], tuple[int, ...]]:
        """Visits that have ended and numbers of tracks that are gone by ``time`` -> those that need not wait, or no
        longer. At ``math.inf`` none waits.
        """
        waits = {track.number: track for track in visits if track.number in gone and track.number not in self._barred}
        for number in gone:
            self._places.vanish(number, waits.get(number))
        self._barred.difference_update(gone)
        ended, staff = self._places.over(time)
        return (
            (*(track for track in visits if track.number not in waits), *ended),
            (*(number for number in gone if number not in waits), *(track.number for track in ended), *staff),
        )


def is_open(hours: Hours, utc: datetime) -> bool:
    """Whether the shop is open at an instant; a close before the open is on the next day."""
    local = utc.astimezone(ZoneInfo(hours.timezone))
    now, today = local.strftime("%H:%M"), DAYS[local.weekday()]
    if hours.open < hours.close:
        return today in hours.days and hours.open <= now < hours.close
    yesterday = DAYS[local.weekday() - 1]
    return (today in hours.days and now >= hours.open) or (yesterday in hours.days and now < hours.close)


def in_any_polygon(point: Point, zones: Sequence[Polygon]) -> bool:
    """Whether a point lies in one of the polygons."""
    return any(in_polygon(point, zone) for zone in zones)


def in_polygon(point: Point, polygon: Polygon) -> bool:
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
