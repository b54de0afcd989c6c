"""Total how tracks ended: counted, or the reason why not. Totals only; nothing is kept per track.

Each track has exactly one outcome, so the totals add up to the number of tracks that ended.

``counted``: a visit. A face too small or too blurred for a prediction still counts, as ``unknown``.
``staff_zone_1``, ``staff_zone_2``, ...: was in that staff zone. ``dwell``: stayed in one spot, as staff do.
``outside_hours``: was seen outside the opening hours. ``too_short``: too few observations, or shorter than
``track.min_visit_s``. ``low_score``: too few detections with a high score. ``fixed_face``: never moved, as a poster.

The last three are decided first: without the staff rules they would not be visits either.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Outcome: TypeAlias = str
COUNTED, DWELL, OUTSIDE_HOURS = "counted", "dwell", "outside_hours"
TOO_SHORT, LOW_SCORE, FIXED_FACE = "too_short", "low_score", "fixed_face"
HOUR_S = 3600.0
SENTENCE = re.compile(r"\d+ tracks?: [a-z0-9,;() ]+")
"""What `describe` returns."""


def in_staff_zone(index: int) -> Outcome:
    """Outcome of a track that was in a staff zone, given the zone's index in the configuration."""
    return f"staff_zone_{index + 1}"


@dataclass(slots=True)
class TrackTotals:
    """Number of tracks by outcome: since the start, and in the last full hour on the source's clock."""

    since_start: Counter[Outcome] = field(default_factory=Counter)
    unknown: int = 0
    """Counted visits without a prediction."""
    hours: int = 0
    """Number of full hours since the first frame."""
    last_hour: Mapping[Outcome, int] = field(default_factory=dict)
    _open_hour: Counter[Outcome] = field(default_factory=Counter)
    _hour_start: float | None = None
    """Second on the source's clock."""

    def add(self, outcomes: Iterable[Outcome], unknown: int = 0) -> None:
        """Add tracks whose outcome is decided now; ``unknown`` of them were counted without a prediction."""
        decided = Counter(outcomes)
        self.since_start += decided
        self._open_hour += decided
        self.unknown += unknown

    def pass_time(self, time: float) -> None:
        """Close the hours that end until ``time``, seconds."""
        if self._hour_start is None:
            self._hour_start = time
        while time >= self._hour_start + HOUR_S:
            self._hour_start += HOUR_S
            self.hours += 1
            self.last_hour, self._open_hour = self._open_hour, Counter()


@dataclass(slots=True)
class PublishedTotals:
    """The totals of the last full hour, as far as they may be published under k-anonymity.

    They change once an hour. Numbers below ``k`` are absent, so that one to ``k`` - 1 tracks look like none. The number
    of counted visits is that of the windows released in that hour. It therefore tells nothing that those windows do not
    tell. The number counted in the hour itself would: a window that spans two hours could be divided with it.
    """

    k: int
    max_outcomes: int
    """Maximum number of outcomes; of more the smallest are left out."""
    _hours: int = 0
    _released: int = 0
    _published: dict[Outcome, int] | None = None

    def update(self, totals: TrackTotals, released: int) -> dict[Outcome, int] | None:
        """Return what may be published; None before the first hour is full.

        ``released`` is the number of visits in all windows that were released since the start.
        """
        if totals.hours == self._hours:
            return self._published
        shown = Counter({name: number for name, number in totals.last_hour.items() if name != COUNTED})
        shown[COUNTED] = released - self._released
        largest = shown.most_common(self.max_outcomes)
        self._published = {name: number for name, number in sorted(largest) if number >= self.k}
        self._hours, self._released = totals.hours, released
        return self._published


def describe(totals: TrackTotals, zones: int, held: int = 0) -> str:
    """One sentence with all totals since the start.

    ``zones`` is the number of staff zones, ``held`` how many of the counted visits are held back for ``k``.
    """
    number = totals.since_start
    held = min(held, number[COUNTED])  # the spool may hold back visits of earlier runs, too
    parts = [f"{number[COUNTED] - held} counted"]
    parts += [f"{number[in_staff_zone(index)]} in staff zone {index + 1}" for index in range(zones)]
    parts += [
        f"{number[outcome]} {name}"
        for outcome, name in (
            (TOO_SHORT, "too short"),
            (LOW_SCORE, "with low scores"),
            (DWELL, "dwell"),
            (FIXED_FACE, "fixed"),
            (OUTSIDE_HOURS, "outside opening hours"),
        )
    ]
    tracks, visits = number.total(), f"{totals.unknown} of {number[COUNTED]} visits unknown"
    return (
        f"{tracks} track{'' if tracks == 1 else 's'}: {', '.join(parts)}, {held} held back for k;"
        f" {visits} (face too small, blurred or turned away)"
    )
