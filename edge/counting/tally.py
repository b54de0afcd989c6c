"""Expressions of tracks -> visits per label in windows of time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contract.labels import UNKNOWN
from contract.message import Reason
from edge.values import Expression, Track, Window

LOOK_S = 1.0
"""A frame vouches for the second before it, not for more: what lies further back was not looked at."""
Sums = NDArray[np.float64]


@dataclass(slots=True)
class Tally:
    """Counts each visit once, in the window in which it ends. The first window lasts ``first_s``, so that those after
    it begin at full minutes (or whatever a window is); the others ``window_s``. A window holds its end, not its start.
    """

    labels: tuple[str, ...]
    window_s: float
    start: float
    first_s: float
    _sums: dict[int, Sums] = field(default_factory=dict)
    _barred: set[int] = field(default_factory=set)
    _visits: dict[str, int] = field(default_factory=dict)
    _doubtful: tuple[int, int] = (0, 0)
    """Visits of the open window that may be none, and that may be two."""
    _covered: float = 0.0
    _seen: float | None = None
    _reasons: dict[Reason, None] = field(default_factory=dict)
    _end: float = field(init=False)
    _now: float = field(init=False)

    def __post_init__(self) -> None:
        """The first window is open."""
        self._end, self._now = self.start + self.first_s, self.start

    def look(self, time: float) -> list[Window]:
        """A frame was taken at ``time``, seconds -> the windows that are over by then."""
        since = self.start if self._seen is None else self._seen
        self._seen = time
        return self._close_until(time, max(since, time - LOOK_S))

    def miss(self, time: float, reason: Reason) -> list[Window]:
        """There was no frame at ``time``, and why -> the windows that are over by then."""
        self.note(reason)
        return self._close_until(time, time, reason)

    def note(self, reason: Reason) -> None:
        """The open window sees less than it should."""
        self._reasons[reason] = None

    def add_observations(self, tracks: Sequence[Track], expressions: Sequence[Expression]) -> None:
        """What the classifier says of tracks in one frame; sightings that are not good say nothing."""
        for track, expression in zip(tracks, expressions, strict=True):
            if expression.good:
                sums = self._sums.setdefault(track.number, np.zeros(len(self.labels)))
                sums += expression.probabilities

    def bar(self, numbers: Sequence[int]) -> None:
        """Erase what is known of tracks that must not be analysed; they are never counted."""
        self._barred.update(numbers)
        for number in numbers:
            self._sums.pop(number, None)

    def count(self, visits: Sequence[Track], gone: Sequence[int]) -> None:
        """Tracks to be counted now, and the numbers of those that are over."""
        for track in visits:
            if track.number not in self._barred:
                label = self._verdict(track.number)
                self._visits[label] = self._visits.get(label, 0) + 1
                low, high = self._doubtful
                self._doubtful = low + track.doubtful_low, high + track.doubtful_high
        for number in gone:
            self._sums.pop(number, None)
        self._barred.difference_update(gone)

    def finish(self) -> list[Window]:
        """The source has ended: the open window, shorter than the others, if it holds any time at all."""
        return [self._window(self._now)] if self._now > self.start else []

    def _verdict(self, number: int) -> str:
        """The label with the largest sum of probabilities over a track's good sightings (sum rule, Kittler 1998)."""
        sums = self._sums.get(number)
        return UNKNOWN if sums is None else self.labels[int(sums.argmax())]

    def _close_until(self, time: float, covered_from: float, reason: Reason | None = None) -> list[Window]:
        """Close windows that end before ``time``; the span from ``covered_from`` to ``time`` was looked at. ``reason``
        holds for every window that is opened.
        """
        windows = []
        self._now = time
        while time > self._end:
            self._covered += max(0.0, self._end - max(covered_from, self.start))
            windows.append(self._window(self._end))
            if reason:
                self.note(reason)
        self._covered += max(0.0, time - max(covered_from, self.start))
        return windows

    def _window(self, end: float) -> Window:
        """Close the open window at ``end`` and open the next."""
        coverage = min(1.0, self._covered / (end - self.start))
        visits = {label: self._visits.get(label, 0) for label in (*self.labels, UNKNOWN)}
        window = Window(self.start, end, visits, round(coverage, 4), tuple(self._reasons), *self._doubtful)
        self.start, self._end = end, end + self.window_s
        self._covered, self._visits, self._reasons, self._doubtful = 0.0, {}, {}, (0, 0)
        return window
