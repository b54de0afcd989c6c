"""Decide which tracks may be classified: never staff, never outside opening hours, never after a long dwell."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from base.errors import SettingsError
from edge.counting.dwell import DwellSpots
from edge.counting.totals import COUNTED, DWELL, OUTSIDE_HOURS, Outcome, in_staff_zone
from edge.settings import AdmitSettings, Day, Hours, Point, Polygon
from edge.values import Track

DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Admission:
    """The gate's decision for one frame."""

    admitted: tuple[Track, ...]
    """Tracks that may be classified in this frame."""
    excluded: tuple[int, ...]
    """Numbers of tracks that are never counted: those in the frame, and ended ones whose visits were pending."""


class Release(NamedTuple):
    """The gate's decision about tracks that ended."""

    visits: tuple[Track, ...]
    """Visits to count now, unless they were excluded in a frame before."""
    gone: tuple[int, ...]
    """Numbers of tracks about which nothing needs to be kept."""
    outcomes: tuple[Outcome, ...]
    """Outcomes of the visits that are decided now, counted or not."""


@dataclass(slots=True)
class AdmissionGate:
    """Decides per frame which tracks may be classified, and when an ended visit may be counted.

    A track that was excluded once stays excluded until it ends. A track that disappears without moving may be staff who
    turned away, so its visit is held back until the dwell spot is known to be empty (see `edge.counting.dwell`).
    """

    settings: AdmitSettings
    _excluded: dict[int, Outcome] = field(default_factory=dict)
    """First reason why a track was excluded, by its number; of live tracks, and of dropped visits until `release`."""
    _spots: DwellSpots = field(init=False)

    def __post_init__(self) -> None:
        """Check the time zone at start rather than at the first face. Raises SettingsError if it does not exist."""
        self._spots = DwellSpots(self.settings.dwell_limit_s, self.settings.forget_s)
        if self.settings.hours:
            try:
                ZoneInfo(self.settings.hours.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise SettingsError(
                    "key 'admit.hours.timezone': must be a time zone that this machine knows, such as Europe/Berlin,"
                    f" is {self.settings.hours.timezone!r}"
                ) from error

    def admit(self, tracks: Sequence[Track], shape: tuple[int, int], time: float, utc: datetime) -> Admission:
        """Decide which tracks of a frame may be classified.

        ``shape`` is the frame's (height, width) in pixels, ``time`` its second on the source's clock, ``utc`` the same
        instant on the wall clock.
        """
        closed = self.settings.hours is not None and not is_open(self.settings.hours, utc)
        passing: set[int] = set()
        excluded_later: list[int] = []
        for track in tracks:
            presence = self._spots.observe(track, time)
            if presence == "passing":
                passing.add(track.number)
            zone = first_polygon(_relative_centre(track, shape), self.settings.staff_zones)
            if presence == "staff" or zone is not None:
                reason = DWELL if zone is None else in_staff_zone(zone)
                dropped = self._spots.exclude(track.number)
                self._excluded |= dict.fromkeys(dropped, reason)
                self._excluded.setdefault(track.number, reason)
                excluded_later += dropped
            if closed:
                self._excluded.setdefault(track.number, OUTSIDE_HOURS)
        hidden = self._excluded.keys() | passing
        return Admission(
            tuple(track for track in tracks if track.number not in hidden and not track.counted),
            (*(track.number for track in tracks if track.number in self._excluded), *excluded_later),
        )

    def release(self, visits: Sequence[Track], gone: Sequence[int], time: float) -> Release:
        """Hold back visits that may be staff, and release those that are decided by ``time``.

        Takes the visits that ended now and the numbers of tracks that ended. At ``math.inf`` every pending visit is
        decided.
        """
        pending = {
            track.number: track for track in visits if track.number in gone and track.number not in self._excluded
        }
        for number in gone:
            self._spots.leave(number, pending.get(number))
        released, staff = self._spots.release(time)
        decided = (*(track for track in visits if track.number not in pending), *released)
        forgotten = (
            *(number for number in gone if number not in pending),
            *(track.number for track in released),
            *staff,
        )
        outcomes = (
            *(self._excluded.get(track.number, COUNTED) for track in decided),
            *(self._excluded.get(number, DWELL) for number in staff),
        )
        for number in forgotten:
            self._excluded.pop(number, None)
        return Release(decided, forgotten, outcomes)


def is_open(hours: Hours, utc: datetime) -> bool:
    """Whether the shop is open at an instant. A closing time before the opening time is on the next day."""
    local = utc.astimezone(ZoneInfo(hours.timezone))
    now, today = local.strftime("%H:%M"), DAYS[local.weekday()]
    if hours.open < hours.close:
        return today in hours.days and hours.open <= now < hours.close
    yesterday = DAYS[local.weekday() - 1]
    return (today in hours.days and now >= hours.open) or (yesterday in hours.days and now < hours.close)


def first_polygon(point: Point, polygons: Sequence[Polygon]) -> int | None:
    """Index of the first polygon that a point is inside of; None if there is none."""
    return next((index for index, polygon in enumerate(polygons) if in_polygon(point, polygon)), None)


def in_polygon(point: Point, polygon: Polygon) -> bool:
    """Whether a point is inside a polygon, convex or not.

    A horizontal ray from the point crosses the border an odd number of times if the point is inside (Shimrat 1962).
    """
    x, y = point
    odd = False
    for (ax, ay), (bx, by) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
            odd = not odd
    return odd


def _relative_centre(track: Track, shape: tuple[int, int]) -> Point:
    """Centre of a track's face as fractions of the frame's width and height."""
    x, y = track.face.centre
    return x / shape[1], y / shape[0]
