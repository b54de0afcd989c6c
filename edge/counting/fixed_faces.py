"""Remember where faces are that never move: posters, portraits, mannequins, screens."""

from dataclasses import dataclass, field

from edge.values import Detection

MAX_DISTANCE = 0.3
"""A detection is a known fixed face if their centres are at most this far apart, face sizes, ..."""
MAX_SIZE_RATIO = 1.25
"""... and their sizes differ by at most this factor."""
FORGET_S = 3600.0
"""A fixed face that was not detected for this time, seconds, is forgotten."""
MAX_FIXED_FACES = 64
"""Maximum number of fixed faces; the one that was detected longest ago is replaced."""


@dataclass(slots=True)
class FixedFace:
    """A detection that represents a fixed face, and the second at which it was detected last."""

    face: Detection
    last: float


@dataclass(slots=True)
class FixedFaces:
    """Known fixed faces. A face that is found again at the same position is recognised at once."""

    _known: list[FixedFace] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of fixed faces known now."""
        return len(self._known)

    def add(self, face: Detection, time: float) -> None:
        """Add a face that did not move until ``time``, seconds, or renew it if it is known."""
        known = self._find(face)
        if known is None:
            latest = sorted(self._known, key=lambda each: each.last)[-(MAX_FIXED_FACES - 1) :]
            self._known = [*latest, FixedFace(face, time)]
        else:
            known.last = max(known.last, time)

    def __contains__(self, face: Detection) -> bool:
        """Whether a detection is at the position of a known fixed face."""
        return self._find(face) is not None

    def forget(self, time: float) -> None:
        """Drop the faces that were not detected for `FORGET_S` before ``time``, seconds."""
        self._known = [known for known in self._known if time - known.last <= FORGET_S]

    def _find(self, face: Detection) -> FixedFace | None:
        return next((known for known in self._known if _is_same(known.face, face)), None)


def _is_same(a: Detection, b: Detection) -> bool:
    larger, smaller = max(a.size, b.size), min(a.size, b.size)
    distance = ((a.centre[0] - b.centre[0]) ** 2 + (a.centre[1] - b.centre[1]) ** 2) ** 0.5
    return distance <= MAX_DISTANCE * larger and larger <= MAX_SIZE_RATIO * smaller
