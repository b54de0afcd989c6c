"""Heads cut from scenes -> a crowd: rows of people one before the other, some of them seen from behind."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.augment.occlusion import occlude_faces
from training.data.labelled_images import MIRRORED, Floats, LabelledImage, is_turned

Grey = NDArray[np.uint8]
SHARES = {"labelled-still": 0.4, "street": 0.3, "photo": 0.3}
"""How often a head comes from each kind of picture."""
ENLARGED = 1.5
"""Heads are enlarged by no more, where there are large enough ones; see `training.augment.collage`."""
OFTEN = 5
"""So many times as often as others comes a head that looks aside: they are few, and harder."""
MOST = 60
TRIES = 5
"""So many heads are looked at for one that is large enough."""
BEHIND = 0.15
"""Share of heads turned away: the hair from above the face is drawn over it."""
FOUND, DOUBTFUL = 0.45, 0.2
"""A face of which less than the one is seen need not be found; of which less than the other, is none."""

BARE = 0.3
"""A row or column of a face of which less is seen is outside its box."""


@dataclass(frozen=True, slots=True)
class Head:
    """A head in a scene: its picture, its box (4,) and landmarks (10,), and whether hair and shoulders are there."""

    pixels: Grey
    box: Floats
    landmarks: Floats
    whole: bool


@dataclass(frozen=True, slots=True)
class Crowd:
    """The picture and the faces in it: boxes (n, 4), landmarks (n, 10), ``confidence`` (n,), 0 where too little is seen."""

    pixels: Grey
    boxes: Floats
    landmarks: Floats
    confidence: Floats


class CrowdSampler:
    """Draws crowds of the heads in scenes."""

    def __init__(self, scenes: Sequence[LabelledImage]) -> None:
        self._heads = {kind: _find_heads(scenes, kind) for kind in SHARES}

    def draw(self, rng: Generator, ground: Grey) -> Crowd:
        """People before ``ground`` (h, w), far ones first, until the foot of the picture is reached."""
        canvas, owner = ground.copy(), np.full(ground.shape, -1, np.int16)
        height, width = canvas.shape
        smallest, growth = np.exp(rng.uniform(np.log(9), np.log(40))), rng.uniform(0.0, 3.0)
        masked, focus = rng.choice([0.1, 0.5, 0.95]), np.exp(rng.uniform(np.log(12), np.log(80)))
        blurring = rng.uniform(0, 0.1) if rng.random() < 0.4 else 0.0
        crowding, y = rng.uniform(0.9, 2.6), rng.uniform(0, 0.5) * height
        faces: list[tuple[int, Floats, Floats]] = []
        number = 0
        while y < height and number < MOST:
            side = smallest * (1 + growth * y / height)
            x = rng.uniform(-1, 1) * side
            while x < width and number < MOST:
                width_here = side * np.exp(rng.normal(0, 0.12))
                soft = width_here * min(0.1, blurring * abs(np.log(width_here / focus)))
                place = (x, y + rng.normal(0, 0.3) * side)
                head = self._pick(rng, width_here / ENLARGED)
                face = _paste(rng, canvas, owner, head, (number, *place, width_here, soft, masked))
                if face is not None:
                    faces.append((number, *face))
                number += 1
                x += width_here * crowding * rng.uniform(0.8, 1.8)
            y += side * rng.uniform(0.7, 1.6)
        return _seen(canvas, owner, faces)

    def _pick(self, rng: Generator, smallest: float) -> Head:
        """A head whose face is so wide, if one comes soon."""
        for _ in range(TRIES):
            heads = self._heads[str(rng.choice(list(SHARES), p=list(SHARES.values())))]
            head = heads[int(rng.integers(len(heads)))]
            if head.box[2] >= smallest:
                break
        return head


def _find_heads(scenes: Sequence[LabelledImage], kind: str) -> list[Head]:
    """The heads of one kind of scene, but those beside which somebody else's face would be pasted along, as none."""
    return [
        head
        for scene in scenes
        if scene.kind == kind
        for at, (box, points) in enumerate(zip(scene.boxes, scene.landmarks, strict=True))
        if scene.certain[at] and min(box[2:]) >= 8
        for head in [Head(scene.pixels, box, points, kind != "photo")]
        if not _shows(head, np.delete(scene.boxes, at, axis=0))
        for _ in range(OFTEN if is_turned(scene)[at] else 1)
    ]


def _shows(head: Head, others: Floats) -> bool:
    """Whether so much of another face lies within a head's outline that it could be found."""
    if not len(others):
        return False
    patch, box, _ = _cut(head, float(head.box[2]), flip=False)
    inside = _outline(patch.shape, box, head.whole) > 0.5
    left, top = box[:2] - head.box[:2]
    for x, y, w, h in others + np.array([left, top, 0, 0], np.float32):
        seen = inside[max(int(y), 0) : max(int(y + h), 0), max(int(x), 0) : max(int(x + w), 0)]
        if seen.sum() >= FOUND * w * h:
            return True
    return False


def _paste(
    rng: Generator, canvas: Grey, owner: NDArray[np.int16], head: Head, where: tuple[float, ...]
) -> tuple[Floats, Floats] | None:
    """Draw one head at (number, x, y of the face's middle, its width, blur in pixels, chance of a mask); its box and
    landmarks, or None if it is seen from behind.
    """
    number, x, y, wanted, soft, masked = where
    patch, box, points = _cut(head, wanted, bool(rng.random() < 0.5))
    behind = head.whole and rng.random() < BEHIND
    if behind:
        _turn_away(patch, box)
    else:
        occlude_faces(rng, patch, box[None], points[None], masked, 0.08)
    if soft > 0.3:
        patch = cv2.GaussianBlur(patch, (0, 0), soft)
    alpha = _outline(patch.shape, box, head.whole)
    shift = np.round([x, y] - (box[:2] + box[2:] / 2)).astype(int)
    left, top = np.maximum(shift, 0)
    right, bottom = np.minimum(shift + patch.shape[::-1], canvas.shape[::-1])
    if left >= right or top >= bottom:
        return None
    here = np.s_[top:bottom, left:right]
    there = np.s_[top - shift[1] : bottom - shift[1], left - shift[0] : right - shift[0]]
    share = alpha[there]
    canvas[here] = (canvas[here] * (1 - share) + patch[there] * share).astype(np.uint8)
    owner[here][share > 0.5] = int(number)
    if behind:
        return None
    return box + np.array([*shift, 0, 0], np.float32), points + np.tile(shift.astype(np.float32), 5)


def _cut(head: Head, wanted: float, flip: bool) -> tuple[Grey, Floats, Floats]:
    """A head -> its patch with the face ``wanted`` pixels wide, box and landmarks in the patch."""
    x, y, w, h = head.box
    beside, above, below = (0.35, 0.45, 0.7) if head.whole else (0.08, 0.1, 0.1)
    rows, columns = head.pixels.shape
    left, right = max(0, int(x - beside * w)), min(columns, int(x + w + beside * w))
    top, bottom = max(0, int(y - above * h)), min(rows, int(y + h + below * h))
    scale = wanted / w
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


def _turn_away(patch: Grey, box: Floats) -> None:
    """The hair above the face, drawn down over it."""
    x, y, w, h = box
    hair = patch[: max(2, round(y + 0.12 * h)), max(0, round(x)) : max(2, round(x + w))]
    stencil = np.zeros(patch.shape, np.uint8)
    middle, axes = (round(x + w / 2), round(y + 0.45 * h)), (max(1, round(0.54 * w)), max(1, round(0.6 * h)))
    cv2.ellipse(stencil, middle, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    down = np.abs((np.arange(patch.shape[0]) + len(hair)) % (2 * len(hair)) - len(hair) + 0.5).astype(int)  # to and fro
    grown = cv2.resize(hair[down], patch.shape[::-1], interpolation=cv2.INTER_LINEAR)
    share = stencil.astype(np.float32) / 255
    patch[:] = (patch * (1 - share) + grown * share).astype(np.uint8)


def _outline(shape: tuple[int, ...], box: Floats, whole: bool) -> Floats:
    """The share (h, w) of a patch that covers what lies behind: head and shoulders, or the face alone."""
    x, y, w, h = box
    stencil = np.zeros(shape, np.uint8)
    wide, high = (0.66, 0.78) if whole else (0.55, 0.57)
    middle = (round(x + w / 2), round(y + (0.44 if whole else 0.5) * h))
    cv2.ellipse(stencil, middle, (max(1, round(wide * w)), max(1, round(high * h))), 0, 0, 360, 255, -1)
    if whole:
        neck, foot = y + 0.95 * h, shape[0]
        body = [(x + 0.15 * w, neck), (x + 0.85 * w, neck), (shape[1], neck + 0.35 * h), (shape[1], foot)]
        body += [(0, foot), (0, neck + 0.35 * h)]
        cv2.fillPoly(stencil, [np.round(body).astype(np.int32)], 255)
    return cv2.GaussianBlur(stencil, (0, 0), max(0.4, 0.03 * float(w))).astype(np.float32) / 255


def _seen(canvas: Grey, owner: NDArray[np.int16], faces: Sequence[tuple[int, Floats, Floats]]) -> Crowd:
    """The crowd, with its faces as far as those before them leave them to be seen: boxes are of what can be seen."""
    kept, shares = [], []
    for number, box, points in faces:
        x, y, w, h = box
        top, left = max(int(y), 0), max(int(x), 0)
        free = owner[top : max(int(y + h), 0), left : max(int(x + w), 0)] <= number
        share = float(free.mean()) if free.size else 0.0
        if share >= DOUBTFUL:
            kept.append((_bared(box, free, left, top), points))
            shares.append(share)
    return Crowd(
        canvas,
        np.array([box for box, _ in kept], np.float32).reshape(-1, 4),
        np.array([points for _, points in kept], np.float32).reshape(-1, 10),
        np.array([share >= FOUND for share in shares], np.float32),
    )


def _bared(box: Floats, free: NDArray[np.bool_], left: int, top: int) -> Floats:
    """A box and which of its pixels from ``left`` and ``top`` on nobody hides -> the part of it that can be seen, as
    people draw half-hidden faces: without the rows and columns that are hidden for the most part, at its ends.
    """
    rows, columns = (np.flatnonzero(free.mean(axis) >= BARE) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return box
    low, high = box[:2].copy(), box[:2] + box[2:]
    for axis, (first, seen, length) in enumerate(((left, columns, free.shape[1]), (top, rows, free.shape[0]))):
        if seen[0] > 0:
            low[axis] = first + seen[0]
        if seen[-1] < length - 1:
            high[axis] = first + seen[-1] + 1
    return np.concatenate([low, high - low])
