"""Small pictures -> one sheet of them, with words and boxes."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.values import Box

Picture = NDArray[np.uint8]
GREEN, RED = (80, 220, 80), (60, 60, 240)


def captioned(grey: Picture, words: Sequence[str], side: int) -> Picture:
    """A grey face -> a tile (side, side, 3) with the first word at its top and the second at its foot."""
    tile = cv2.cvtColor(cv2.resize(grey, (side, side)), cv2.COLOR_GRAY2BGR)
    for word, y in zip(words, (12, side - 6), strict=False):
        cv2.putText(tile, word, (3, y), 0, 0.4, GREEN, 1, cv2.LINE_AA)
    return np.asarray(tile, np.uint8)


def boxed(grey: Picture, kinds: Sequence[tuple[Sequence[Sequence[float]], tuple[int, int, int]]], side: int) -> Picture:
    """A grey picture -> a tile (side, side, 3) that holds it, with boxes (left, top, width, height) in colours."""
    scale = side / max(grey.shape)
    picture = cv2.cvtColor(cv2.resize(grey, None, fx=scale, fy=scale), cv2.COLOR_GRAY2BGR)
    for boxes, colour in kinds:
        for values in boxes:
            box = Box(*map(float, values)).scale(scale)
            left, top, right, bottom = box.pixel_bounds(picture.shape[1] - 1, picture.shape[0] - 1)
            cv2.rectangle(picture, (left, top), (right, bottom), colour, 1)
    tile = np.zeros((side, side, 3), np.uint8)
    tile[: picture.shape[0], : picture.shape[1]] = picture[:side, :side]
    return tile


def sheet(tiles: Sequence[Picture], columns: int = 6) -> Picture:
    """Tiles of one size -> one picture, rows of so many."""
    filled = [*tiles, *[np.zeros_like(tiles[0])] * (-len(tiles) % columns)]
    return np.vstack([np.hstack(filled[at : at + columns]) for at in range(0, len(filled), columns)])
