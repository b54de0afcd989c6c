"""Faces that never move: posters, portraits, mannequins, screens."""

from dataclasses import dataclass, field

from edge.values import Detection

NEAR = 0.3
"""A face is in a known place if it is at most this many face sizes from it ..."""
RATIO = 1.25
"""... and larger or smaller by this factor at most."""
FORGET_S = 3600.0
"""A place where no face was seen for so long, seconds, is forgotten."""
MOST = 64
"""So many places are known at most, the last ones seen."""


@dataclass(slots=True)
class _Place:
    face: Detection
    seen: float


@dataclass(slots=True)
class FixedFaces:
    """The places of faces that did not move, so that they are known at once when they are found again."""

    _places: list[_Place] = field(default_factory=list)

    def __len__(self) -> int:
        """How many are known now."""
        return len(self._places)

    def learn(self, face: Detection, time: float) -> None:
        """A track at this face did not move, as seen until ``time``, seconds."""
        place = self._at(face)
        if place is None:
            self._places = [*self._places[-(MOST - 1) :], _Place(face, time)]
        else:
            place.seen = max(place.seen, time)

    def holds(self, face: Detection) -> bool:
        """Whether a face is where one that never moves is known."""
        return self._at(face) is not None

    def forget(self, time: float) -> None:
        """Drop what was not seen for ``FORGET_S`` by ``time``, seconds."""
        self._places = [place for place in self._places if time - place.seen <= FORGET_S]

    def _at(self, face: Detection) -> _Place | None:
        return next((place for place in self._places if _same(place.face, face)), None)


def _same(a: Detection, b: Detection) -> bool:
    larger, smaller = max(a.size, b.size), min(a.size, b.size)
    away = ((a.centre[0] - b.centre[0]) ** 2 + (a.centre[1] - b.centre[1]) ** 2) ** 0.5
    return away <= NEAR * larger and larger <= RATIO * smaller
