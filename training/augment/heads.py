"""Cut heads out of labelled images: the patch, its outline, and the same head seen from behind."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.labelled_images import MIRRORED, Floats

Grey = NDArray[np.uint8]
WITH_SHOULDERS = (0.35, 0.45, 0.7)
"""Margins of a patch with hair and shoulders beside, above and below the face, as fractions of the box."""
FACE_ONLY = (0.08, 0.1, 0.1)
"""Margins of a patch with the face alone."""


@dataclass(frozen=True, slots=True)
class Head:
    """A head in an image."""

    pixels: Grey
    """The whole image, (h, w)."""
    box: Floats
    """The face, pixels, (4,)."""
    landmarks: Floats
    """Landmarks, pixels, (10,); NaN where unknown."""
    with_shoulders: bool
    """Whether hair and shoulders are in the image; otherwise only the face is used."""


def crop_head(head: Head, width: float, flip: bool) -> tuple[Grey, Floats, Floats]:
    """Crop a head and resize it so that the face is ``width`` pixels wide, mirrored if ``flip``.

    Returns the patch (h, w), and the box (4,) and landmarks (10,) in its pixels.
    """
    x, y, w, h = head.box
    beside, above, below = WITH_SHOULDERS if head.with_shoulders else FACE_ONLY
    rows, columns = head.pixels.shape
    left, right = max(0, int(x - beside * w)), min(columns, int(x + w + beside * w))
    top, bottom = max(0, int(y - above * h)), min(rows, int(y + h + below * h))
    scale = width / w
    size = (max(2, round((right - left) * scale)), max(2, round((bottom - top) * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    patch = cv2.resize(head.pixels[top:bottom, left:right], size, interpolation=method)
    box = (head.box - [left, top, 0, 0]) * scale
    points = (head.landmarks.reshape(5, 2) - [left, top]) * scale
    if flip:
        patch = np.ascontiguousarray(patch[:, ::-1])
        box[0] = size[0] - box[0] - box[2]
        points[:, 0] = size[0] - points[:, 0]
        points = points[MIRRORED]
    return patch, box.astype(np.float32), points.reshape(10).astype(np.float32)


def shows_other_face(head: Head, others: Floats, min_visible: float) -> bool:
    """Whether the outline of a head covers at least a fraction ``min_visible`` of one of the other faces (n, 4)."""
    if not len(others):
        return False
    patch, box, _ = crop_head(head, float(head.box[2]), flip=False)
    inside = head_alpha(patch.shape, box, head.with_shoulders) > 0.5
    left, top = box[:2] - head.box[:2]
    for x, y, w, h in others + np.array([left, top, 0, 0], np.float32):
        visible = inside[max(int(y), 0) : max(int(y + h), 0), max(int(x), 0) : max(int(x + w), 0)]
        if visible.sum() >= min_visible * w * h:
            return True
    return False


def draw_hair_over_face(patch: Grey, box: Floats) -> None:
    """Turn a head away: repeat the hair above the face (4,) down over it, in place."""
    x, y, w, h = box
    hair = patch[: max(2, round(y + 0.12 * h)), max(0, round(x)) : max(2, round(x + w))]
    stencil = np.zeros(patch.shape, np.uint8)
    centre, axes = (round(x + w / 2), round(y + 0.45 * h)), (max(1, round(0.54 * w)), max(1, round(0.6 * h)))
    cv2.ellipse(stencil, centre, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    # rows of the hair from bottom to top, then from top to bottom, so that the repetition has no seam
    rows = np.abs((np.arange(patch.shape[0]) + len(hair)) % (2 * len(hair)) - len(hair) + 0.5).astype(int)
    grown = cv2.resize(hair[rows], patch.shape[::-1], interpolation=cv2.INTER_LINEAR)
    alpha = stencil.astype(np.float32) / 255
    patch[:] = (patch * (1 - alpha) + grown * alpha).astype(np.uint8)


def head_alpha(shape: tuple[int, ...], box: Floats, with_shoulders: bool) -> Floats:
    """Opacity (h, w), 0 to 1, of a patch: 1 within the outline of head and shoulders, or of the face alone."""
    x, y, w, h = box
    stencil = np.zeros(shape, np.uint8)
    wide, high = (0.66, 0.78) if with_shoulders else (0.55, 0.57)
    centre = (round(x + w / 2), round(y + (0.44 if with_shoulders else 0.5) * h))
    cv2.ellipse(stencil, centre, (max(1, round(wide * w)), max(1, round(high * h))), 0, 0, 360, 255, -1)
    if with_shoulders:
        neck, bottom = y + 0.95 * h, shape[0]
        body = [(x + 0.15 * w, neck), (x + 0.85 * w, neck), (shape[1], neck + 0.35 * h), (shape[1], bottom)]
        body += [(0, bottom), (0, neck + 0.35 * h)]
        cv2.fillPoly(stencil, [np.round(body).astype(np.int32)], 255)
    return cv2.GaussianBlur(stencil, (0, 0), max(0.4, 0.03 * float(w))).astype(np.float32) / 255
