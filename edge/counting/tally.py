"""Count visits per expression label in consecutive time windows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contract.fields import Reason
from contract.labels import UNKNOWN
from edge.values import Expression, Track, Window

FRAME_COVERS_S = 1.0
"""A frame covers at most this much time before it, seconds. Longer gaps between frames reduce the coverage."""
Sums = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CountedVisit:
    """A visit as it was counted."""

    track: Track
    label: str
    """The prediction: one of the bundle's labels, or ``unknown``."""


@dataclass(slots=True)
class Tally:
    """Counts every visit once, in the window in which it ends.

    The first window lasts ``first_s``, so that the others start at full minutes (or multiples of ``window_s``). A
    window includes its end and excludes its start. All times are seconds on the source's clock.
    """

    labels: tuple[str, ...]
    """Labels in the classifier's output order."""
    window_s: float
    start: float
    """Start of the open window."""
    first_s: float
    _sums: dict[int, Sums] = field(default_factory=dict)
    """Sum of the probabilities of each track's good observations, by track number."""
    _excluded: set[int] = field(default_factory=set)
    _visits: dict[str, int] = field(default_factory=dict)
    _doubtful: tuple[int, int] = (0, 0)
    """Doubtful visits of the open window: those that may be none, and those that may be two."""
    _covered_s: float = 0.0
    _last_frame: float | None = None
    _reasons: dict[Reason, None] = field(default_factory=dict)
    _end: float = field(init=False)
    _now: float = field(init=False)

    def __post_init__(self) -> None:
        """Open the first window."""
        self._end, self._now = self.start + self.first_s, self.start

    def add_frame(self, time: float) -> list[Window]:
        """Add a frame to the coverage. Returns the windows that ended before ``time``."""
        since = self.start if self._last_frame is None else self._last_frame
        self._last_frame = time
        return self._close_until(time, max(since, time - FRAME_COVERS_S))

    def add_missing(self, time: float, reason: Reason) -> list[Window]:
        """Let time pass without a frame, for a reason. Returns the windows that ended before ``time``."""
        self.add_reason(reason)
        return self._close_until(time, time, reason)

    def add_reason(self, reason: Reason) -> None:
        """Mark the open window as degraded, for a reason."""
        self._reasons[reason] = None

    def add_observations(self, tracks: Sequence[Track], expressions: Sequence[Expression]) -> None:
        """Add one frame's expression probabilities to their tracks. Observations that are not good are ignored."""
        for track, expression in zip(tracks, expressions, strict=True):
            if expression.good:
                sums = self._sums.setdefault(track.number, np.zeros(len(self.labels)))
                sums += expression.probabilities

    def exclude(self, numbers: Sequence[int]) -> None:
        """Erase the observations of tracks that must not be analysed, and never count them."""
        self._excluded.update(numbers)
        for number in numbers:
            self._sums.pop(number, None)

    def count(self, visits: Sequence[Track], gone: Sequence[int]) -> tuple[CountedVisit, ...]:
        """Count visits in the open window, then forget the tracks whose numbers are in ``gone``.

        Returns the visits that were counted, which are those that were not excluded.
        """
        counted = tuple(
            CountedVisit(track, self._prediction(track.number))
            for track in visits
            if track.number not in self._excluded
        )
        for visit in counted:
            self._visits[visit.label] = self._visits.get(visit.label, 0) + 1
            low, high = self._doubtful
            self._doubtful = low + visit.track.doubtful_low, high + visit.track.doubtful_high
        for number in gone:
            self._sums.pop(number, None)
        self._excluded.difference_update(gone)
        return counted

    def finish(self) -> list[Window]:
        """Close the open window at the end of the source. Returns it, or nothing if it has no duration."""
        return [self._close_window(self._now)] if self._now > self.start else []

    def _prediction(self, number: int) -> str:
        """The label under which a track is counted."""
        return predicted(self.labels, self._sums.get(number))

    def _close_until(self, time: float, covered_from: float, reason: Reason | None = None) -> list[Window]:
        """Close the windows that end before ``time``. The time from ``covered_from`` to ``time`` counts as covered.

        Every window opened here gets the ``reason``.
        """
        windows = []
        self._now = time
        while time > self._end:
            self._covered_s += max(0.0, self._end - max(covered_from, self.start))
            windows.append(self._close_window(self._end))
            if reason:
                self.add_reason(reason)
        self._covered_s += max(0.0, time - max(covered_from, self.start))
        return windows

    def _close_window(self, end: float) -> Window:
        """Close the open window at ``end`` and open the next one."""
        coverage = min(1.0, self._covered_s / (end - self.start))
        visits = {label: self._visits.get(label, 0) for label in (*self.labels, UNKNOWN)}
        window = Window(self.start, end, visits, round(coverage, 4), tuple(self._reasons), *self._doubtful)
        self.start, self._end = end, end + self.window_s
        self._covered_s, self._visits, self._reasons, self._doubtful = 0.0, {}, {}, (0, 0)
        return window


def predicted(labels: Sequence[str], sums: Sums | None) -> str:
    """Label with the largest sum of probabilities over a track's good observations (sum rule, Kittler 1998).

    ``unknown`` if ``sums`` is None, because there is no good observation.
    """
    return UNKNOWN if sums is None else labels[int(sums.argmax())]
