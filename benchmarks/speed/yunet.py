"""YuNet, the detector that OpenCV users take, behind our words; and how both are timed."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.values import Detection, Pixels

LONG_SIDE = 320


class YuNet:
    """`cv2.FaceDetectorYN`: grey pixels in, faces out, at its own overlap threshold of 0.3 (Wu et al. 2023)."""

    def __init__(self, path: Path, threshold: float, long_side: int = LONG_SIDE) -> None:
        self._detector = cv2.FaceDetectorYN.create(str(path), "", (long_side, long_side), threshold, 0.3, 5000)
        self._long_side = long_side

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        """As `edge.vision.detect.Detector.detect`; the picture is brought to the long side at its own aspect."""
        fitted, scale = scaled(pixels, self._long_side)
        self._detector.setInputSize(fitted.shape[::-1])
        _, rows = self._detector.detect(cv2.cvtColor(fitted, cv2.COLOR_GRAY2BGR))
        if rows is None:
            return ()
        return tuple(Detection(tuple((row[:4] / scale).tolist()), float(row[14])) for row in rows)


def scaled(pixels: Pixels, long_side: int) -> tuple[Pixels, float]:
    """A picture -> it with that long side at its own aspect, and the scale."""
    scale = long_side / max(pixels.shape)
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8), scale


def timed(finds: Mapping[str, Callable[[Pixels], object]], pictures: Sequence[Pixels]) -> dict[str, list[float]]:
    """Milliseconds of each picture, by detector; all detectors see a picture before the next one comes."""
    times: dict[str, list[float]] = {name: [] for name in finds}
    for pixels in pictures:
        for name, find in finds.items():
            begin = time.perf_counter()
            find(pixels)
            times[name].append((time.perf_counter() - begin) * 1000)
    return times
