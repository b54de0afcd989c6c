"""Draw the images of golden samples: nobody's faces, so that a card can carry them."""

import cv2
import numpy as np
from numpy.typing import NDArray

MOUTHS = (("drawn smile", 0.55), ("drawn frown", -0.5))
"""Names of close-up samples, and how much the mouth curves up."""


def drawn(height: int, width: int, close: bool) -> list[tuple[str, NDArray[np.uint8]]]:
    """Names and images (height, width) of the golden samples.

    ``close``: a smiling and a frowning face that fill the image, for a classifier. Otherwise one image of two faces of
    different sizes on stripes, for a detector.
    """
    if close:
        side = min(height, width)
        return [(name, face((height, width), [(width / 2, height / 2, 0.42 * side, curve)])) for name, curve in MOUTHS]
    faces = [(0.3 * width, 0.5 * height, 0.22 * height, 0.5), (0.72 * width, 0.4 * height, 0.1 * height, -0.4)]
    return [("two drawn faces", face((height, width), faces))]


def face(size: tuple[int, int], faces: list[tuple[float, float, float, float]]) -> NDArray[np.uint8]:
    """Stripes (height, width) with a face at each (x, y, radius, upward curve of the mouth), pixels."""
    height, width = size
    image = np.repeat((90 + 40 * (np.arange(width) // 16 % 2)).astype(np.uint8)[None], height, 0)
    for x, y, radius, curve in faces:
        _oval(image, (x, y), (0.8 * radius, radius), 190)
        for side in (-0.35, 0.35):
            _oval(image, (x + side * radius, y - 0.2 * radius), (0.14 * radius, 0.08 * radius), 40)
            _oval(image, (x + side * radius, y - 0.42 * radius), (0.2 * radius, 0.04 * radius), 70)
        _oval(image, (x, y + 0.15 * radius), (0.08 * radius, 0.16 * radius), 150)
        across = np.linspace(-0.38, 0.38, 15)
        mouth = np.column_stack([x + across * radius, y + (0.5 + curve * (0.06 - across**2)) * radius])
        cv2.polylines(image, [np.round(mouth).astype(np.int32)], False, 60, max(1, round(0.07 * radius)))
    return image


def _oval(image: NDArray[np.uint8], centre: tuple[float, float], axes: tuple[float, float], level: int) -> None:
    whole = [tuple(max(1, round(value)) for value in pair) for pair in (centre, axes)]
    cv2.ellipse(image, whole[0], whole[1], 0, 0, 360, level, -1)
