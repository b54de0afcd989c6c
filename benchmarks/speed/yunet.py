"""Run YuNet, the face detector of OpenCV, behind the device's detector interface, and time detectors side by side."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.values import Detection, Pixels

LONG_SIDE = 320


class YuNet:
    """`cv2.FaceDetectorYN` on grey pixels, with its default IoU threshold of 0.3 (Wu et al. 2023)."""

    def __init__(self, path: Path, threshold: float, long_side: int = LONG_SIDE) -> None:
        try:
            self._detector = cv2.FaceDetectorYN.create(str(path), "", (long_side, long_side), threshold, 0.3, 5000)
        except cv2.error as error:
            raise SystemExit(f"{path}: must be YuNet's ONNX file: {error}") from error
        self._long_side = long_side

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        """Detect faces as `edge.vision.detect.Detector` does, on the image resized to the long side."""
        resized, scale = scaled(pixels, self._long_side)
        self._detector.setInputSize(resized.shape[::-1])
        _, rows = self._detector.detect(cv2.cvtColor(resized, cv2.COLOR_GRAY2BGR))
        if rows is None:
            return ()
        return tuple(Detection(tuple((row[:4] / scale).tolist()), float(row[14])) for row in rows)


def scaled(pixels: Pixels, long_side: int) -> tuple[Pixels, float]:
    """Resize an image to a long side at its aspect ratio; return it and the scale."""
    scale = long_side / max(pixels.shape)
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8), scale


def timed(detectors: Mapping[str, Callable[[Pixels], object]], images: Sequence[Pixels]) -> dict[str, list[float]]:
    """Return the milliseconds for each image, by detector. All detectors run on an image before the next image."""
    times: dict[str, list[float]] = {name: [] for name in detectors}
    for pixels in images:
        for name, detect in detectors.items():
            begin = time.perf_counter()
            detect(pixels)
            times[name].append((time.perf_counter() - begin) * 1000)
    return times
