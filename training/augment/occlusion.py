"""Faces in a picture -> the same faces behind masks, bars and hands: they are faces still."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
SMALLEST = 9.0
"""Faces narrower than this, pixels, are left alone: nothing of a mask would be seen."""
SHIFT = 4
"""Outlines are drawn at 1/16 of a pixel."""


def occlude_faces(
    rng: Generator, picture: Grey, boxes: Floats, landmarks: Floats, masked: float, barred: float
) -> None:
    """Put a mask on each face with landmarks by the chance ``masked``, a bar over a part of any by ``barred``.

    Boxes (n, 4) and landmarks (n, 10; NaN unknown) in pixels of ``picture``, which is changed in place.
    """
    for box, points in zip(boxes, landmarks, strict=True):
        if box[2] < SMALLEST:
            continue
        if np.isfinite(points).all() and rng.random() < masked:
            draw_mask(rng, picture, box, points.reshape(5, 2))
        elif rng.random() < barred:
            _bar(rng, picture, box)


def draw_mask(rng: Generator, picture: Grey, box: Floats, points: Floats) -> None:
    """A mask from the bridge of the nose to the chin, with folds, shade, straps or a valve; it follows roll and turn.

    The outline stands in the face's own axes: across from eye to eye, down from the eyes to the mouth. Made here after
    the idea of MaskTheFace (Anwar and Raychowdhury 2020), drawn instead of pasted.
    """
    eyes, mouth, nose = points[:2].mean(0), points[3:].mean(0), points[2]
    down = mouth - eyes
    length = float(np.hypot(*down))
    if length < 2:
        return
    down = down / length
    across = np.array([-down[1], down[0]])
    if across @ (points[1] - points[0]) < 0:
        across = -across
    middle = box[:2] + box[2:] / 2
    turn = float((nose - eyes) @ across)
    half = 0.5 * float(box[2]) * rng.uniform(0.84, 1.0)
    centre = float((middle - eyes) @ across)
    top = length * rng.uniform(0.12, 0.62)
    side_top = top + length * rng.uniform(0.05, 0.35)
    chin = length * rng.uniform(1.62, 1.95)
    jaw = length * rng.uniform(1.05, 1.4)
    outline = [
        (turn, top),
        (turn + 0.5 * half, top + 0.3 * (side_top - top)),
        (centre + half, side_top),
        (centre + 0.95 * half, jaw),
        (centre + 0.55 * half + 0.3 * turn, 0.5 * (jaw + chin) + 0.06 * length),
        (centre + 0.3 * turn, chin),
        (centre - 0.55 * half + 0.3 * turn, 0.5 * (jaw + chin) + 0.06 * length),
        (centre - 0.95 * half, jaw),
        (centre - half, side_top),
        (turn - 0.5 * half, top + 0.3 * (side_top - top)),
    ]
    at = np.array([eyes + x * across + y * down for x, y in outline])
    stencil = np.zeros(picture.shape, np.uint8)
    cv2.fillPoly(stencil, [_fixed(at)], 255, cv2.LINE_AA, SHIFT)
    left, top_row, width, height = cv2.boundingRect(stencil)
    if not width:
        return
    level = rng.choice([rng.uniform(150, 245), rng.uniform(15, 80), rng.uniform(80, 150)], p=[0.6, 0.25, 0.15])
    here = np.s_[top_row : top_row + height, left : left + width]
    cloth = _cloth(rng, picture[here], float(level))
    alpha = stencil[here].astype(np.float32) / 255
    picture[here] = (picture[here] * (1 - alpha) + cloth * alpha).astype(np.uint8)
    if rng.random() < 0.6:  # straps to the ears
        for side, index in ((1, 2), (-1, 8)):
            ear = eyes + (centre + side * float(box[2]) * 0.55) * across + 0.15 * length * down
            thickness = max(1, round(0.04 * float(box[2])))
            ends = (tuple(_fixed(at[index]).tolist()), tuple(_fixed(ear).tolist()))
            cv2.line(picture, *ends, int(level), thickness, cv2.LINE_AA, SHIFT)
    if rng.random() < 0.15:  # a valve
        spot = eyes + (turn + rng.uniform(-0.3, 0.3) * half) * across + 1.1 * length * down
        cv2.circle(picture, _fixed(spot).tolist(), round(0.18 * length * 16), int(level * 0.7), -1, cv2.LINE_AA, SHIFT)


def _cloth(rng: Generator, skin: Grey, level: float) -> Floats:
    """The stuff of a mask over a part of a picture: the light that fell there, folds, a pattern now and then."""
    coarsely = cv2.resize(skin, (3, 3), interpolation=cv2.INTER_AREA)
    light = cv2.resize(coarsely, skin.shape[::-1]).astype(np.float32)
    cloth = level * (0.55 + 0.45 * light / max(float(light.mean()), 1.0))
    rows = np.linspace(0, 1, skin.shape[0], dtype=np.float32)[:, None]
    cloth *= 1 + rng.normal(0, 0.15) * (rows - 0.5)
    if rng.random() < 0.5:
        cloth *= 1 - rng.uniform(0.02, 0.12) * (np.sin(rows * rng.uniform(12, 26)) > 0.6)
    if rng.random() < 0.15:
        coarse = rng.normal(0, 40, (1 + skin.shape[0] // 4, 1 + skin.shape[1] // 4)).astype(np.float32)
        cloth += cv2.resize(coarse, (skin.shape[1], skin.shape[0]))
    return np.asarray(np.clip(cloth, 0, 255), np.float32)


def _bar(rng: Generator, picture: Grey, box: Floats) -> None:
    """A bar of one grey over a fifth to a half of a face's width and height."""
    side = rng.uniform(0.2, 0.5, 2) * box[2:]
    corner = box[:2] + rng.uniform(0, 1, 2) * (box[2:] - side)
    ends = [np.round(each).astype(int).tolist() for each in (corner, corner + side)]
    cv2.rectangle(picture, *ends, int(rng.integers(256)), -1)


def _fixed(points: NDArray[np.floating]) -> NDArray[np.int32]:
    return np.round(points * (1 << SHIFT)).astype(np.int32)
