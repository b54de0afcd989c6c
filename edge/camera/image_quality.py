"""Frames of one camera -> what keeps it from seeing: frozen, black, covered, blurred, moved. Pure; nothing is kept but
pictures of 64 x 48 grey levels, in memory."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.message import Reason
from edge.values import Pixels

EVERY_S = 1.0
"""One frame in so many seconds is looked at; the others take the verdict of the last one."""
SMALL = (64, 48)
"""Width and height of what is looked at."""
DARK, DIM_SPREAD = 16.0, 6.0
"""A picture is black if its mean is below the one and its levels hardly spread more than the other."""
FLAT = 7.0
"""A lens is covered if the levels of a picture spread less than this; on those clips they spread by 37 and more."""
FINE_WIDTH = 240
SOFT = 0.4
"""A picture is blurred if it has less than this share of the fine structure, at 240 pixels across, that the place used
to have; out of focus by 5 pixels in 480 leaves 0.08 to 0.38 of it on the seven clips of docs/accuracy.md."""
ALIKE = 0.5
"""The camera was moved if the outlines of what it sees agree less than this with those of before. On those
clips people walking through leave 0.78 and more between halves of a clip; turned by a tenth of the
picture it is -0.1 to 0.5."""
PATIENCE_S: dict[Reason, float] = {"frozen": 60.0, "black": 10.0, "covered": 20.0, "blurred": 60.0, "moved": 90.0}
"""How long a thing must last before it is said. All are well within the five minutes that are promised."""
BLIND: frozenset[Reason] = frozenset(("frozen", "black", "covered"))
"""In these nothing can be seen: the time does not count as looked at."""
LEARN_S = 60.0
"""After so many seconds of good pictures the place is known."""
RECENT_S, PLACE_S = 30.0, 86_400.0
"""What is seen now is a mean over the one; the place follows it, as shelves are moved and seasons change, over the
other."""

Small = NDArray[np.float32]


@dataclass(slots=True)
class ImageQuality:
    """What is wrong with a camera's pictures, by what they were like before. Of a ``live`` camera two pictures are
    never quite the same; in a file they may be.
    """

    live: bool = True
    _verdict: Reason | None = None
    _last: float | None = None
    _fingerprint: bytes = b""
    _begun: dict[Reason, float] = field(default_factory=dict)
    _recent: Small | None = None
    _place: Small | None = None
    _fine: float = 0.0
    _good_s: float = 0.0

    def look(self, pixels: Pixels, time: float) -> Reason | None:
        """A grey frame (h, w) and its second -> what is wrong, the worst first; None if nothing is."""
        if self._last is not None and time - self._last < EVERY_S:
            return self._verdict
        elapsed = 0.0 if self._last is None else min(time - self._last, 60.0)
        self._last = time
        seen = self._suspects(pixels, elapsed)
        self._begun = {reason: self._begun.get(reason, time) for reason in seen}
        lasting = [reason for reason in seen if time - self._begun[reason] >= PATIENCE_S[reason]]
        self._verdict = lasting[0] if lasting else None
        return self._verdict

    def _suspects(self, pixels: Pixels, elapsed: float) -> list[Reason]:
        """What this one frame looks like, the worst first; learns the place from frames that look good."""
        fingerprint = pixels[::8, ::8].tobytes()
        still, self._fingerprint = fingerprint == self._fingerprint, fingerprint
        small = np.asarray(cv2.resize(pixels, SMALL, interpolation=cv2.INTER_AREA), np.float32)
        mean, spread = float(small.mean()), float(small.std())
        found: list[Reason] = ["frozen"] if still and self.live else []
        if mean < DARK and spread < DIM_SPREAD:
            return [*found, "black"]
        if spread < FLAT:
            return [*found, "covered"]
        self._recent = small if self._recent is None else _towards(self._recent, small, elapsed / RECENT_S)
        fine = _structure(pixels)
        known = self._good_s >= LEARN_S
        if known and fine < SOFT * self._fine:
            found.append("blurred")
        elif known and self._place is not None and _agreement(_outlines(self._recent), _outlines(self._place)) < ALIKE:
            found.append("moved")
        elif not found:
            self._learn(fine, elapsed)
        return found

    def _learn(self, fine: float, elapsed: float) -> None:
        """The place and how sharp it is, quickly at first, then slowly."""
        self._good_s += elapsed
        share = elapsed / (PLACE_S if self._good_s > LEARN_S else RECENT_S)
        assert self._recent is not None
        if self._place is None:
            self._place, self._fine = self._recent, fine
        self._place = _towards(self._place, self._recent, share)
        self._fine += min(1.0, share) * (fine - self._fine)


def _towards(old: Small, new: Small, share: float) -> Small:
    """A running mean."""
    return np.asarray(old + min(1.0, share) * (new - old), np.float32)


def _structure(pixels: Pixels) -> float:
    """How much fine structure a picture has, whatever its light and noise: the mean Laplacian, at 240 pixels across,
    over the spread of the levels (Pertuz et al. 2013 compare such measures)."""
    rows = max(2, round(pixels.shape[0] * FINE_WIDTH / pixels.shape[1]))
    small = cv2.resize(pixels, (FINE_WIDTH, rows), interpolation=cv2.INTER_AREA)
    return float(np.abs(cv2.Laplacian(small, cv2.CV_16S)).mean() / max(float(small.std()), 1.0))


def _outlines(small: Small) -> Small:
    """Where the levels change, which stays where it is when the light changes."""
    return np.asarray(np.hypot(cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)), np.float32)


def _agreement(one: Small, other: Small) -> float:
    """Correlation of two pictures, -1 to 1."""
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-6))
