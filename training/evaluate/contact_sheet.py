"""Contact sheets: many small images in one, with captions and boxes."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.detect import clip

Image = NDArray[np.uint8]
GREEN, RED = (80, 220, 80), (60, 60, 240)
"""Colours, BGR."""


def captioned(grey: Image, captions: Sequence[str], side: int) -> Image:
    """A colour tile (side, side, 3) of a grey face, with the first caption at its top and the second at its foot."""
    tile = cv2.cvtColor(cv2.resize(grey, (side, side)), cv2.COLOR_GRAY2BGR)
    for text, y in zip(captions, (12, side - 6), strict=False):
        cv2.putText(tile, text, (3, y), 0, 0.4, GREEN, 1, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)


def boxed(grey: Image, groups: Sequence[tuple[Sequence[Sequence[float]], tuple[int, int, int]]], side: int) -> Image:
    """A colour tile (side, side, 3) of a grey image with groups of boxes (left, top, width, height) in colours."""
    scale = side / max(grey.shape)
    image = cv2.cvtColor(cv2.resize(grey, None, fx=scale, fy=scale), cv2.COLOR_GRAY2BGR)
    for boxes, colour in groups:
        for x, y, w, h in boxes:
            box = (float(x) * scale, float(y) * scale, float(w) * scale, float(h) * scale)
            left, top, right, bottom = clip(box, image.shape[1] - 1, image.shape[0] - 1)
            cv2.rectangle(image, (left, top), (right, bottom), colour, 1)
    tile = np.zeros((side, side, 3), np.uint8)
    tile[: image.shape[0], : image.shape[1]] = image[:side, :side]
    return tile


def sheet(tiles: Sequence[Image], columns: int = 6) -> Image:
    """Join tiles of one size into rows of ``columns``; the last row is filled with black."""
    filled = [*tiles, *[np.zeros_like(tiles[0])] * (-len(tiles) % columns)]
    return np.vstack([np.hstack(filled[at : at + columns]) for at in range(0, len(filled), columns)])
