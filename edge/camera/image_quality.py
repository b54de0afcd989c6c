"""Tell from its frames what keeps a camera from seeing: frozen, black, covered, blurred or moved.

Keeps only every eighth row and column of the last frame, and thumbnails of 64 x 48 grey levels, in memory.
"""

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.fields import Reason
from edge.values import Pixels

INTERVAL_S = 1.0
"""Interval at which a frame is assessed; the result holds for the frames in between."""
MAX_ELAPSED_S = 60.0
"""A longer gap between two frames counts as this much time."""
THUMBNAIL_SIZE = (64, 48)
"""Width and height, pixels."""
BLACK_MAX_MEAN, BLACK_MAX_STD = 16.0, 6.0
"""An image is black if the mean and the standard deviation of its thumbnail are below these grey levels."""
COVERED_MAX_STD = 7.0
"""The lens is covered if the standard deviation of the thumbnail is below this. It is 37 or more on the seven clips of
docs/accuracy.md."""
DETAIL_WIDTH = 240
"""Width at which the amount of detail is measured, pixels."""
BLURRED_MAX_RATIO = 0.4
"""An image is blurred if it has less than this ratio of the detail that the scene used to have. On the clips, a blur of
5 pixels in 480 leaves a ratio of 0.08 to 0.38."""
MOVED_MAX_CORRELATION = 0.5
"""The camera was moved if the edges in its image correlate less than this with those of the known scene. With people
walking through, halves of the clips correlate by 0.78 or more; turned by a tenth of the image, by -0.1 to 0.5."""
PATIENCE_S: dict[Reason, float] = {"frozen": 60.0, "black": 10.0, "covered": 20.0, "blurred": 60.0, "moved": 90.0}
"""How long a fault must last before it is reported, seconds. The documentation promises five minutes."""
BLIND: frozenset[Reason] = frozenset(("frozen", "black", "covered"))
"""Faults in which nothing can be seen; the time does not count towards the coverage."""
LEARN_S = 60.0
"""The scene is known after this many seconds of images without a fault."""
RECENT_S, SCENE_S = 30.0, 86_400.0
"""Time constants of two running means: of the recent image, and of the known scene, which follows it as furniture is
moved and seasons change."""

Thumbnail = NDArray[np.float32]


@dataclass(slots=True)
class ImageQuality:
    """Finds faults in the images of one camera by comparison with its earlier images."""

    live: bool = True
    """Whether frames come from a camera, which never gives exactly the same image twice; a file may."""
    _fault: Reason | None = None
    _last: float | None = None
    _sample: bytes = b""
    _begun: dict[Reason, float] = field(default_factory=dict)
    _recent: Thumbnail | None = None
    _scene: Thumbnail | None = None
    _scene_detail: float = 0.0
    _good_s: float = 0.0

    def assess(self, pixels: Pixels, time: float) -> Reason | None:
        """The worst lasting fault as of a grey frame (h, w) taken at ``time`` (seconds); None if there is none."""
        if self._last is not None and time - self._last < INTERVAL_S:
            return self._fault
        elapsed = 0.0 if self._last is None else min(time - self._last, MAX_ELAPSED_S)
        self._last = time
        suspected = self._suspected(pixels, elapsed)
        self._begun = {reason: self._begun.get(reason, time) for reason in suspected}
        lasting = [reason for reason in suspected if time - self._begun[reason] >= PATIENCE_S[reason]]
        self._fault = lasting[0] if lasting else None
        return self._fault

    def _suspected(self, pixels: Pixels, elapsed: float) -> list[Reason]:
        """The faults that this frame alone shows, the worst first; the scene is learnt from frames without any."""
        sample = pixels[::8, ::8].tobytes()
        unchanged, self._sample = sample == self._sample, sample
        faults: list[Reason] = ["frozen"] if unchanged and self.live else []
        thumbnail = thumbnail_of(pixels)
        blind = blind_reason(thumbnail)
        if blind:
            return [*faults, blind]
        self._recent = thumbnail if self._recent is None else _mixed(self._recent, thumbnail, elapsed / RECENT_S)
        detail = amount_of_detail(pixels)
        if self._is_blurred(detail):
            faults.append("blurred")
        elif self._has_moved(self._recent):
            faults.append("moved")
        elif not faults:
            self._learn(self._recent, detail, elapsed)
        return faults

    def _is_blurred(self, detail: float) -> bool:
        return self._good_s >= LEARN_S and detail < BLURRED_MAX_RATIO * self._scene_detail

    def _has_moved(self, recent: Thumbnail) -> bool:
        if self._good_s < LEARN_S or self._scene is None:
            return False
        return _correlation(_edges(recent), _edges(self._scene)) < MOVED_MAX_CORRELATION

    def _learn(self, recent: Thumbnail, detail: float, elapsed: float) -> None:
        """Learn the scene and its amount of detail, fast at first, then slowly."""
        self._good_s += elapsed
        weight = elapsed / (SCENE_S if self._good_s > LEARN_S else RECENT_S)
        if self._scene is None:
            self._scene, self._scene_detail = recent, detail
        self._scene = _mixed(self._scene, recent, weight)
        self._scene_detail += min(1.0, weight) * (detail - self._scene_detail)


def thumbnail_of(pixels: Pixels) -> Thumbnail:
    """Shrink a grey image (h, w) to `THUMBNAIL_SIZE`, (48, 64) float32."""
    return np.asarray(cv2.resize(pixels, THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA), np.float32)


def blind_reason(thumbnail: Thumbnail) -> Literal["black", "covered"] | None:
    """Why nothing can be seen in an image, from its thumbnail; None if something can."""
    mean, deviation = float(thumbnail.mean()), float(thumbnail.std())
    if mean < BLACK_MAX_MEAN and deviation < BLACK_MAX_STD:
        return "black"
    return "covered" if deviation < COVERED_MAX_STD else None


def _mixed(old: Thumbnail, new: Thumbnail, weight: float) -> Thumbnail:
    """One step of a running mean; ``weight`` is that of the new image."""
    return np.asarray(old + min(1.0, weight) * (new - old), np.float32)


def amount_of_detail(pixels: Pixels) -> float:
    """Amount of fine structure, independent of brightness and contrast.

    The mean absolute Laplacian at `DETAIL_WIDTH` pixels, over the standard deviation. Pertuz et al. 2013 compare such
    focus measures.
    """
    rows = max(2, round(pixels.shape[0] * DETAIL_WIDTH / pixels.shape[1]))
    small = cv2.resize(pixels, (DETAIL_WIDTH, rows), interpolation=cv2.INTER_AREA)
    return float(np.abs(cv2.Laplacian(small, cv2.CV_16S)).mean() / max(float(small.std()), 1.0))


def _edges(image: Thumbnail) -> Thumbnail:
    """Gradient magnitude, whose pattern stays the same when the light changes."""
    return np.asarray(np.hypot(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)), np.float32)


def _correlation(one: Thumbnail, other: Thumbnail) -> float:
    """Pearson correlation of two images, -1 to 1."""
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-6))
