"""Cut a face out of a frame for the classifier; training and the device use this same code."""

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.card import Crop
from edge.values import Detection, Pixels, Point

OVERSAMPLING = 1.2
"""A large square is first shrunk to this many times the crop's size, which keeps detail for the affine step."""


def crop_face(pixels: Pixels, face: Detection, rule: Crop, size: tuple[int, int]) -> Pixels:
    """Cut a face out of a grey frame (h, w) by a bundle's crop rule, in ``size`` (height, width).

    The crop is a square around the centre of the box. Its side is the longer side of the box plus ``rule.margin`` of
    it on every side. With ``rule.align == "eyes"`` and known landmarks it is turned so that the eyes are level. Beyond
    the frame its border pixels are repeated.
    """
    side = face.size * (1 + 2 * rule.margin)
    return crop_square(pixels, face.centre, side, roll(face) if rule.align == "eyes" else 0.0, size)


def crop_square(pixels: Pixels, centre: Point, side: float, angle: float, size: tuple[int, int]) -> Pixels:
    """Cut the square of ``side`` pixels around ``centre`` out of a grey frame, turned by ``angle`` radians.

    The result has ``size`` (height, width). A large square is first shrunk by area averaging, so that fine structure
    does not alias. One affine step then turns, scales and shifts it.
    """
    left, top, right, bottom = _surroundings(centre, side, angle, pixels.shape)
    part, scale = _shrunk(pixels[top:bottom, left:right], OVERSAMPLING * max(size) / max(side, 1.0))
    matrix = _affine(centre, side, angle, size)
    matrix[:, 2] -= [left, top]
    # To the shrunk part. The centre of a pixel is half a pixel from its corner, at both scales.
    matrix = matrix * scale[:, None] - [[0, 0, 0.5], [0, 0, 0.5]]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(part, matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def roll(face: Detection) -> float:
    """Angle of the line through the eyes against the horizontal, radians; 0 where the eyes are not known."""
    if len(face.landmarks) < 2:
        return 0.0
    (right_x, right_y), (left_x, left_y) = face.landmarks[:2]
    return float(np.arctan2(left_y - right_y, left_x - right_x))


def _surroundings(centre: Point, side: float, angle: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a part of the frame that holds the turned square and a border for interpolation.

    The part is clipped to the frame and holds at least one pixel, the nearest one.
    """
    half = max(1.0, side * (abs(np.cos(angle)) + abs(np.sin(angle))) / 2)
    left, right = _clipped(int(np.floor(centre[0] - half)) - 1, int(np.ceil(centre[0] + half)) + 2, shape[1])
    top, bottom = _clipped(int(np.floor(centre[1] - half)) - 1, int(np.ceil(centre[1] + half)) + 2, shape[0])
    return left, top, right, bottom


def _clipped(low: int, high: int, length: int) -> tuple[int, int]:
    """Clip an interval to 0..length; at least one pixel of the border remains if it lies outside."""
    low = min(max(low, 0), length - 1)
    return low, max(min(high, length), low + 1)


def _shrunk(part: Pixels, factor: float) -> tuple[Pixels, NDArray[np.float64]]:
    """Shrink by area averaging if ``factor`` is below 1; returns the image and its exact scale (x, y)."""
    if factor >= 1:
        return part, np.ones(2)
    rows, columns = (max(1, round(length * factor)) for length in part.shape)
    shrunk = np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    return shrunk, np.array([columns / part.shape[1], rows / part.shape[0]])


def _affine(centre: Point, side: float, angle: float, size: tuple[int, int]) -> NDArray[np.float64]:
    """The affine matrix (2, 3) that maps a pixel index of the crop to a position in the frame."""
    height, width = size
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn * [side / width, side / height]
    shift = np.array(centre) - turn @ [(width - 1) / 2, (height - 1) / 2]
    return np.column_stack([turn, shift])
