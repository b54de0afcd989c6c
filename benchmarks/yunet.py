"""YuNet, the detector that OpenCV users take, behind our words; and how both are timed."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2

from edge.words import Face, Pixels

LONG_SIDE = 320


class YuNet:
    """`cv2.FaceDetectorYN`: grey pixels in, faces out, at its own overlap threshold of 0.3 (Wu et al. 2023)."""

    def __init__(self, path: Path, threshold: float) -> None:
        self._detector = cv2.FaceDetectorYN.create(str(path), "", (LONG_SIDE, LONG_SIDE), threshold, 0.3, 5000)

    def detect(self, pixels: Pixels) -> tuple[Face, ...]:
        """As `edge.detect.Detector.detect`; the picture is shrunk to the long side of 320 at its own aspect."""
        scale = LONG_SIDE / max(pixels.shape)
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        fitted = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        self._detector.setInputSize(size)
        _, rows = self._detector.detect(cv2.cvtColor(fitted, cv2.COLOR_GRAY2BGR))
        if rows is None:
            return ()
        return tuple(Face(tuple((row[:4] / scale).tolist()), float(row[14])) for row in rows)


def timed(finds: Mapping[str, Callable[[Pixels], object]], pictures: Sequence[Pixels]) -> dict[str, list[float]]:
    """Milliseconds of each picture, by detector; all detectors see a picture before the next one comes."""
    times: dict[str, list[float]] = {name: [] for name in finds}
    for pixels in pictures:
        for name, find in finds.items():
            begin = time.perf_counter()
            find(pixels)
            times[name].append((time.perf_counter() - begin) * 1000)
    return times
