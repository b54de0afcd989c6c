"""A face in a frame -> the pixels the classifier sees. One piece of code, in training and on the device."""

import cv2
import numpy as np

from contract.card import Crop
from edge.values import Detection, Pixels


def crop_face(pixels: Pixels, face: Detection, rule: Crop, size: tuple[int, int]) -> Pixels:
    """Grey frame (h, w), face, crop rule, (height, width) wanted -> the face in that size, grey.

    The square around the box's centre, its side the box's longer side plus ``margin`` of it on every side; turned so
    that the eyes are level where the rule says so and the landmarks are known. What lies beyond the frame repeats its
    border.
    """
    side = face.size * (1 + 2 * rule.margin)
    return crop_square(pixels, face.centre, side, roll(face) if rule.align == "eyes" else 0.0, size)


def crop_square(
    pixels: Pixels, centre: tuple[float, float], side: float, angle: float, size: tuple[int, int]
) -> Pixels:
    """The square of ``side`` pixels around ``centre``, turned by ``angle`` radians, in the size wanted.

    A large square is first cut out and shrunk by area, so that fine structure does not alias; then one affine step
    turns, scales and shifts it.
    """
    height, width = size
    half = max(1.0, side * (abs(np.cos(angle)) + abs(np.sin(angle))) / 2)
    left, top = int(np.floor(centre[0] - half)) - 1, int(np.floor(centre[1] - half)) - 1
    right, bottom = int(np.ceil(centre[0] + half)) + 2, int(np.ceil(centre[1] + half)) + 2
    left, right = _inside(left, right, pixels.shape[1])
    top, bottom = _inside(top, bottom, pixels.shape[0])
    part = pixels[top:bottom, left:right]
    shrink = min(1.0, 1.2 * max(size) / max(side, 1.0))
    if shrink < 1:
        columns, rows = max(1, round(part.shape[1] * shrink)), max(1, round(part.shape[0] * shrink))
        scale_x, scale_y = columns / part.shape[1], rows / part.shape[0]
        part = np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    else:
        scale_x = scale_y = 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn * [side / width, side / height]
    # From a pixel of the result to one of the part; a pixel's centre is half a pixel in, on both sides.
    shift = np.array(centre) - turn @ [(width - 1) / 2, (height - 1) / 2] - [left, top]
    to_part = np.column_stack([turn, shift]) * [[scale_x], [scale_y]] - [[0, 0, 0.5], [0, 0, 0.5]]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut_out = cv2.warpAffine(part, to_part, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut_out, np.uint8)


def roll(face: Detection) -> float:
    """Angle of the line through the eyes against the horizontal, radians; 0 where the eyes are not known."""
    if len(face.landmarks) < 2:
        return 0.0
    (right_x, right_y), (left_x, left_y) = face.landmarks[:2]
    return float(np.arctan2(left_y - right_y, left_x - right_x))


def _inside(low: int, high: int, length: int) -> tuple[int, int]:
    """A span -> the part of it in 0..length; at least the border's pixel where it lies outside."""
    low = min(max(low, 0), length - 1)
    return low, max(min(high, length), low + 1)
