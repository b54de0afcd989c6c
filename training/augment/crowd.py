"""Draw crowds for the detector's training: rows of heads, one in front of the other, some seen from behind."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.augment.heads import Head, crop_head, draw_hair_over_face, head_alpha, shows_other_face
from training.augment.occlusion import occlude_faces
from training.augment.tiles import Collage
from training.data.labelled_images import Floats, LabelledImage, is_turned

Grey = NDArray[np.uint8]
KIND_WEIGHTS = {"labelled-still": 0.4, "street": 0.3, "photo": 0.3}
"""Relative frequency of heads by the kind of image."""
MAX_UPSCALE = 1.5
"""Heads are enlarged by at most this if a large enough one is drawn soon; see `training.augment.tiles`."""
TRIES = 5
"""Number of heads drawn in search of one that is large enough."""
TURNED_REPEATS = 5
"""How many times as often a turned head is drawn: they are few, and harder."""
MIN_HEAD_PX = 8
"""Shorter side from which a face is used as a head, pixels."""
MAX_HEADS = 60
"""Most heads in a crowd."""
BEHIND_FRACTION = 0.15
"""Fraction of heads seen from behind: the hair above the face is drawn over it."""
BAR_PROBABILITY = 0.08
"""Probability that a face is partly hidden by a bar."""
MIN_VISIBLE = 0.45
"""Visible fraction from which a face must be detected."""
MIN_UNCERTAIN = 0.2
"""Visible fraction from which a face is ignored by the loss; below, it is not labelled."""
MIN_VISIBLE_LINE = 0.3
"""Visible fraction from which a row or column of a face belongs to its box."""


@dataclass(frozen=True, slots=True)
class _Placement:
    """Where and how a head is drawn."""

    number: int
    """Number of the head in the crowd; later ones are in front."""
    x: float
    """Centre of the face across, pixels."""
    y: float
    """Centre of the face down, pixels."""
    width: float
    """Width of the face, pixels."""
    blur: float
    """Standard deviation of defocus, pixels."""
    mask_probability: float
    """Probability that the face wears a mask."""


class CrowdSampler:
    """Draws crowds of the heads in labelled images."""

    def __init__(self, images: Sequence[LabelledImage]) -> None:
        self._heads = {kind: _find_heads(images, kind) for kind in KIND_WEIGHTS}

    def draw(self, rng: Generator, ground: Grey) -> Collage:
        """Draw people in front of ``ground`` (h, w), the farthest first, down to the lower edge of the image."""
        canvas, owner = ground.copy(), np.full(ground.shape, -1, np.int16)
        height, width = canvas.shape
        smallest, growth = np.exp(rng.uniform(np.log(9), np.log(40))), rng.uniform(0.0, 3.0)
        mask_probability, focus = float(rng.choice([0.1, 0.5, 0.95])), np.exp(rng.uniform(np.log(12), np.log(80)))
        defocus = rng.uniform(0, 0.1) if rng.random() < 0.4 else 0.0
        spacing, y = rng.uniform(0.9, 2.6), rng.uniform(0, 0.5) * height
        faces: list[tuple[int, Floats, Floats]] = []
        number = 0
        while y < height and number < MAX_HEADS:
            side = smallest * (1 + growth * y / height)
            x = rng.uniform(-1, 1) * side
            while x < width and number < MAX_HEADS:
                face_width = side * np.exp(rng.normal(0, 0.12))
                blur = face_width * min(0.1, defocus * abs(np.log(face_width / focus)))
                place = _Placement(number, x, y + rng.normal(0, 0.3) * side, face_width, blur, mask_probability)
                face = _paste(rng, canvas, owner, self._pick(rng, face_width / MAX_UPSCALE), place)
                if face is not None:
                    faces.append((number, *face))
                number += 1
                x += face_width * spacing * rng.uniform(0.8, 1.8)
            y += side * rng.uniform(0.7, 1.6)
        return _label_visible(canvas, owner, faces)

    def _pick(self, rng: Generator, min_width: float) -> Head:
        """Draw a head whose face is at least ``min_width`` pixels wide, or after `TRIES` one that is narrower."""
        for _ in range(TRIES):
            heads = self._heads[str(rng.choice(list(KIND_WEIGHTS), p=list(KIND_WEIGHTS.values())))]
            head = heads[int(rng.integers(len(heads)))]
            if head.box[2] >= min_width:
                break
        return head


def _find_heads(images: Sequence[LabelledImage], kind: str) -> list[Head]:
    """Heads in the images of one kind, without those that would bring another, unlabelled face along."""
    return [
        head
        for image in images
        if image.kind == kind
        for index, (box, points) in enumerate(zip(image.boxes, image.landmarks, strict=True))
        if image.certain[index] and min(box[2:]) >= MIN_HEAD_PX
        for head in [Head(image.pixels, box, points, kind != "photo")]
        if not shows_other_face(head, np.delete(image.boxes, index, axis=0), MIN_VISIBLE)
        for _ in range(TURNED_REPEATS if is_turned(image)[index] else 1)
    ]


def _paste(
    rng: Generator, canvas: Grey, owner: NDArray[np.int16], head: Head, place: _Placement
) -> tuple[Floats, Floats] | None:
    """Draw a head on ``canvas`` (h, w) and write its number into the pixels of ``owner`` (h, w) that it covers.

    Returns its box (4,) and landmarks (10,), or None if it is out of view or seen from behind.
    """
    patch, box, points = crop_head(head, place.width, bool(rng.random() < 0.5))
    behind = head.with_shoulders and rng.random() < BEHIND_FRACTION
    if behind:
        draw_hair_over_face(patch, box)
    else:
        occlude_faces(rng, patch, box[None], points[None], place.mask_probability, BAR_PROBABILITY)
    if place.blur > 0.3:
        patch = cv2.GaussianBlur(patch, (0, 0), place.blur)
    shift = np.round([place.x, place.y] - (box[:2] + box[2:] / 2)).astype(int)
    left, top = np.maximum(shift, 0)
    right, bottom = np.minimum(shift + patch.shape[::-1], canvas.shape[::-1])
    if left >= right or top >= bottom:
        return None
    target = np.s_[top:bottom, left:right]
    source = np.s_[top - shift[1] : bottom - shift[1], left - shift[0] : right - shift[0]]
    alpha = head_alpha(patch.shape, box, head.with_shoulders)[source]
    canvas[target] = (canvas[target] * (1 - alpha) + patch[source] * alpha).astype(np.uint8)
    owner[target][alpha > 0.5] = place.number
    if behind:
        return None
    return box + np.array([*shift, 0, 0], np.float32), points + np.tile(shift.astype(np.float32), 5)


def _label_visible(canvas: Grey, owner: NDArray[np.int16], faces: Sequence[tuple[int, Floats, Floats]]) -> Collage:
    """Label the visible part of each face (number, box, landmarks); ``owner`` (h, w) holds the head of each pixel."""
    kept, fractions = [], []
    for number, box, points in faces:
        x, y, w, h = box
        top, left = max(int(y), 0), max(int(x), 0)
        visible = owner[top : max(int(y + h), 0), left : max(int(x + w), 0)] <= number
        fraction = float(visible.mean()) if visible.size else 0.0
        if fraction >= MIN_UNCERTAIN:
            kept.append((_visible_box(box, visible, left, top), points))
            fractions.append(fraction)
    return Collage(
        canvas,
        np.array([box for box, _ in kept], np.float32).reshape(-1, 4),
        np.array([points for _, points in kept], np.float32).reshape(-1, 10),
        np.array([fraction >= MIN_VISIBLE for fraction in fractions], np.float32),
    )


def _visible_box(box: Floats, visible: NDArray[np.bool_], left: int, top: int) -> Floats:
    """Shrink a box (4,) to its visible part, as people draw half-hidden faces.

    ``visible`` are the pixels of the box in the image, from ``left`` and ``top`` on. Rows and columns at the ends are
    cut off if less than `MIN_VISIBLE_LINE` of them is visible.
    """
    rows, columns = (np.flatnonzero(visible.mean(axis) >= MIN_VISIBLE_LINE) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return box
    low, high = box[:2].copy(), box[:2] + box[2:]
    for axis, (first, lines, length) in enumerate(((left, columns, visible.shape[1]), (top, rows, visible.shape[0]))):
        if lines[0] > 0:
            low[axis] = first + lines[0]
        if lines[-1] < length - 1:
            high[axis] = first + lines[-1] + 1
    return np.concatenate([low, high - low])
