"""Occlude faces with drawn masks and bars; the detector must still find them."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
MIN_WIDTH = 9.0
"""Narrowest face that is occluded, pixels; on smaller ones nothing of a mask would be visible."""
SHIFT = 4
"""Fractional bits of coordinates that OpenCV draws with: 1/16 of a pixel."""


def occlude_faces(
    rng: Generator,
    image: Grey,
    boxes: Floats,
    landmarks: Floats,
    mask_probability: float,
    bar_probability: float,
) -> None:
    """Draw masks on faces with known landmarks and bars over parts of other faces, in place.

    ``image`` is (h, w); boxes (n, 4) and landmarks (n, 10; NaN where unknown) are in its pixels.
    """
    for box, points in zip(boxes, landmarks, strict=True):
        if box[2] < MIN_WIDTH:
            continue
        if np.isfinite(points).all() and rng.random() < mask_probability:
            draw_mask(rng, image, box, points.reshape(5, 2))
        elif rng.random() < bar_probability:
            _draw_bar(rng, image, box)


@dataclass(frozen=True, slots=True)
class _FaceAxes:
    """A face's own axes: across from eye to eye, down from the eyes to the mouth."""

    origin: Floats
    """Midpoint of the eyes, (2,), pixels."""
    across: Floats
    """Unit vector, (2,)."""
    down: Floats
    """Unit vector, (2,)."""
    length: float
    """Distance from the eyes to the mouth, pixels."""
    nose: float
    """Position of the nose across, pixels; how far the head is turned."""
    middle: float
    """Position of the box's centre across, pixels."""
    width: float
    """Width of the box, pixels."""

    def point(self, across: float, down: float) -> Floats:
        """Position (2,) in the image."""
        return np.asarray(self.origin + across * self.across + down * self.down)


def _face_axes(box: Floats, points: Floats) -> _FaceAxes | None:
    """Axes of a face with a box (4,) and landmarks (5, 2); None if eyes and mouth nearly coincide."""
    eyes, mouth, nose = points[:2].mean(0), points[3:].mean(0), points[2]
    down = mouth - eyes
    length = float(np.hypot(*down))
    if length < 2:
        return None
    down = down / length
    across = np.array([-down[1], down[0]])
    if across @ (points[1] - points[0]) < 0:
        across = -across
    centre = box[:2] + box[2:] / 2
    return _FaceAxes(
        eyes, across, down, length, float((nose - eyes) @ across), float((centre - eyes) @ across), float(box[2])
    )


def draw_mask(rng: Generator, image: Grey, box: Floats, points: Floats) -> None:
    """Draw a mask from the bridge of the nose to the chin, with folds, shading, straps or a valve, in place.

    The mask follows the roll and turn of the face with the box (4,) and landmarks (5, 2). The idea is that of
    MaskTheFace (Anwar and Raychowdhury 2020), which pastes photographed masks instead.
    """
    axes = _face_axes(box, points)
    if axes is None:
        return
    half_width = 0.5 * axes.width * rng.uniform(0.84, 1.0)
    outline = _mask_outline(rng, axes, half_width)
    stencil = np.zeros(image.shape, np.uint8)
    cv2.fillPoly(stencil, [_fixed_point(outline)], 255, cv2.LINE_AA, SHIFT)
    left, top, width, height = cv2.boundingRect(stencil)
    if not width:
        return
    level = rng.choice([rng.uniform(150, 245), rng.uniform(15, 80), rng.uniform(80, 150)], p=[0.6, 0.25, 0.15])
    region = np.s_[top : top + height, left : left + width]
    cloth = _cloth(rng, image[region], float(level))
    alpha = stencil[region].astype(np.float32) / 255
    image[region] = (image[region] * (1 - alpha) + cloth * alpha).astype(np.uint8)
    if rng.random() < 0.6:
        _draw_straps(image, axes, outline, int(level))
    if rng.random() < 0.15:
        valve = _fixed_point(axes.point(axes.nose + rng.uniform(-0.3, 0.3) * half_width, 1.1 * axes.length))
        radius = round(0.18 * axes.length * (1 << SHIFT))
        cv2.circle(image, valve.tolist(), radius, int(level * 0.7), -1, cv2.LINE_AA, SHIFT)


def _mask_outline(rng: Generator, axes: _FaceAxes, half_width: float) -> Floats:
    """Outline (10, 2) of a mask, clockwise from the bridge of the nose; points 2 and 8 are its upper corners."""
    length, nose, middle = axes.length, axes.nose, axes.middle
    bridge = length * rng.uniform(0.12, 0.62)
    corner = bridge + length * rng.uniform(0.05, 0.35)
    chin = length * rng.uniform(1.62, 1.95)
    jaw = length * rng.uniform(1.05, 1.4)
    slope, below_jaw = bridge + 0.3 * (corner - bridge), 0.5 * (jaw + chin) + 0.06 * length
    outline = [
        (nose, bridge),
        (nose + 0.5 * half_width, slope),
        (middle + half_width, corner),
        (middle + 0.95 * half_width, jaw),
        (middle + 0.55 * half_width + 0.3 * nose, below_jaw),
        (middle + 0.3 * nose, chin),
        (middle - 0.55 * half_width + 0.3 * nose, below_jaw),
        (middle - 0.95 * half_width, jaw),
        (middle - half_width, corner),
        (nose - 0.5 * half_width, slope),
    ]
    return np.array([axes.point(across, down) for across, down in outline])


def _draw_straps(image: Grey, axes: _FaceAxes, outline: Floats, level: int) -> None:
    """Draw straps from a mask's upper corners to the ears."""
    thickness = max(1, round(0.04 * axes.width))
    for sign, corner in ((1, outline[2]), (-1, outline[8])):
        ear = axes.point(axes.middle + sign * axes.width * 0.55, 0.15 * axes.length)
        ends = (tuple(_fixed_point(each).tolist()) for each in (corner, ear))
        cv2.line(image, *ends, level, thickness, cv2.LINE_AA, SHIFT)


def _cloth(rng: Generator, skin: Grey, level: float) -> Floats:
    """Cloth (h, w) of a mask over a region of the image: the region's light, folds, and sometimes a pattern."""
    coarse = cv2.resize(skin, (3, 3), interpolation=cv2.INTER_AREA)
    light = cv2.resize(coarse, skin.shape[::-1]).astype(np.float32)
    cloth = level * (0.55 + 0.45 * light / max(float(light.mean()), 1.0))
    rows = np.linspace(0, 1, skin.shape[0], dtype=np.float32)[:, None]
    cloth *= 1 + rng.normal(0, 0.15) * (rows - 0.5)
    if rng.random() < 0.5:
        cloth *= 1 - rng.uniform(0.02, 0.12) * (np.sin(rows * rng.uniform(12, 26)) > 0.6)
    if rng.random() < 0.15:
        pattern = rng.normal(0, 40, (1 + skin.shape[0] // 4, 1 + skin.shape[1] // 4)).astype(np.float32)
        cloth += cv2.resize(pattern, (skin.shape[1], skin.shape[0]))
    return np.asarray(np.clip(cloth, 0, 255), np.float32)


def _draw_bar(rng: Generator, image: Grey, box: Floats) -> None:
    """Draw a bar of one grey level over a fifth to a half of a face's width and height."""
    side = rng.uniform(0.2, 0.5, 2) * box[2:]
    corner = box[:2] + rng.uniform(0, 1, 2) * (box[2:] - side)
    ends = [np.round(each).astype(int).tolist() for each in (corner, corner + side)]
    cv2.rectangle(image, *ends, int(rng.integers(256)), -1)


def _fixed_point(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Coordinates as OpenCV's fixed-point integers with `SHIFT` fractional bits."""
    return np.round(points * (1 << SHIFT)).astype(np.int32)
