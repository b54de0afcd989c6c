"""Scenes -> pictures as shop cameras see them: many faces of all sizes, cut off, covered, before shelves."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.light import spoil
from training.scenes import Floats, Scene

SHARES = {"photo": 0.37, "street": 0.25, "labelled-still": 0.14, "labelled-video": 0.05, "negative": 0.19}
"""How often a tile comes from each kind of picture; the hand-labelled ones are few and shown often."""
SMALLEST, LARGEST = 10.0, 290.0
"""Sides of faces in the collage, pixels, drawn log-uniformly."""


@dataclass(frozen=True, slots=True)
class Collage:
    """A grey picture (h, w) with boxes (n, 4), landmarks (n, 10; NaN unknown) and ``sure`` (n,), in its pixels."""

    pixels: NDArray[np.uint8]
    boxes: Floats
    landmarks: Floats
    sure: NDArray[np.bool_]


class Collages:
    """Draws collages from scenes by kind."""

    def __init__(self, scenes: Sequence[Scene], size: tuple[int, int]) -> None:
        self._kinds = {kind: [scene for scene in scenes if scene.kind == kind] for kind in SHARES}
        self._size = size

    def draw(self, rng: Generator) -> Collage:
        """Random numbers -> a collage of one to six tiles on a shelf or a plain ground."""
        height, width = self._size
        canvas = self._ground(rng)
        boxes, landmarks = np.zeros((0, 4), np.float32), np.zeros((0, 10), np.float32)
        sure = np.zeros(0, bool)
        for _ in range(int(rng.choice([1, 2, 3, 4, 6], p=[0.35, 0.2, 0.2, 0.15, 0.1]))):
            scene = self._pick(rng)
            matrix, flip = _place(rng, scene, (height, width))
            rows, columns = scene.pixels.shape
            covered = cv2.warpAffine(np.full((rows, columns), 255, np.uint8), matrix, (width, height)) > 127
            tile = cv2.warpAffine(_shrunk(scene.pixels, matrix), _after_shrink(scene, matrix), (width, height))
            canvas = np.where(covered, tile, canvas)
            visible = _visible(boxes, covered)
            sure &= visible > 0.6
            boxes, landmarks, sure = (each[visible > 0.15] for each in (boxes, landmarks, sure))
            here = _moved(scene, matrix, flip)
            boxes, landmarks = np.concatenate([boxes, here[0]]), np.concatenate([landmarks, here[1]])
            sure = np.concatenate([sure, scene.sure])
        canvas = _cover(rng, canvas, boxes, landmarks)
        keep, sure = _inside(boxes, sure, (height, width))
        return Collage(spoil(rng, canvas, 0.8), boxes[keep], landmarks[keep], sure[keep])

    def _pick(self, rng: Generator) -> Scene:
        kind = self._kinds[str(rng.choice(list(SHARES), p=list(SHARES.values())))]
        return kind[int(rng.integers(len(kind)))]

    def _ground(self, rng: Generator) -> NDArray[np.uint8]:
        height, width = self._size
        if rng.random() < 0.3:
            return np.full((height, width), rng.integers(256), np.uint8)
        shelves = self._kinds["negative"]
        shelf = shelves[int(rng.integers(len(shelves)))].pixels
        return cv2.resize(shelf, (width, height), interpolation=cv2.INTER_AREA)


def _place(rng: Generator, scene: Scene, size: tuple[int, int]) -> tuple[NDArray[np.float64], bool]:
    """Where a tile goes: an affine matrix (2, 3) from its pixels to the collage's, and whether it is mirrored."""
    height, width = size
    rows, columns = scene.pixels.shape
    fit = min(height / rows, width / columns)
    if len(scene.boxes) and rng.random() < 0.75:
        sides = scene.boxes[:, 2:].max(1)
        wanted = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST)))
        scale = np.clip(wanted / rng.choice(sides), 0.04, 2.5)
    else:
        scale = fit * rng.uniform(0.4, 1.6)
    scale = max(scale, 24 / min(rows, columns))
    angle = rng.normal(0, 0.12) if rng.random() < 0.6 else 0.0
    flip = bool(rng.random() < 0.5)
    stretch = np.exp(rng.normal(0, 0.05))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array([[cos * stretch * (-1 if flip else 1), -sin], [sin * stretch * (-1 if flip else 1), cos]])
    anchor = np.array([columns / 2, rows / 2])
    if len(scene.boxes):  # so that faces land in the collage more often than not
        box = scene.boxes[int(rng.integers(len(scene.boxes)))]
        anchor = box[:2] + box[2:] / 2
    target = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    if rng.random() < 0.5 or scale * max(rows, columns) > min(size):
        target = np.array([width, height]) * rng.uniform(0.25, 0.75, 2)
    return np.column_stack([matrix, target - matrix @ anchor]), flip


def _shrunk(pixels: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A tile that the matrix makes much smaller, shrunk by area first so that it does not alias."""
    scale = np.hypot(matrix[0, 1], matrix[1, 1])
    if scale >= 0.7:
        return pixels
    rows, columns = pixels.shape
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _after_shrink(scene: Scene, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix for a tile that `_shrunk` may have made smaller."""
    rows, columns = scene.pixels.shape
    small = _shrunk_size((rows, columns), matrix)
    return matrix * [[columns / small[1], rows / small[0], 1]]


def _shrunk_size(shape: tuple[int, int], matrix: NDArray[np.float64]) -> tuple[int, int]:
    scale = np.hypot(matrix[0, 1], matrix[1, 1])
    return shape if scale >= 0.7 else (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale)))


def _moved(scene: Scene, matrix: NDArray[np.float64], flip: bool) -> tuple[Floats, Floats]:
    """A tile's boxes and landmarks in the collage; a mirrored face's right eye is the one that was left."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    centre = (scene.boxes[:, :2] + scene.boxes[:, 2:] / 2) @ linear.T + shift
    sides = scene.boxes[:, 2:] * np.hypot(linear[0], linear[1])
    points = scene.landmarks.reshape(-1, 5, 2) @ linear.T + shift
    if flip:
        points = points[:, [1, 0, 2, 4, 3]]
    boxes = np.concatenate([centre - sides / 2, sides], 1)
    return boxes.astype(np.float32), points.reshape(-1, 10).astype(np.float32)


def _visible(boxes: Floats, covered: NDArray[np.bool_]) -> Floats:
    """The share of each box that a new tile leaves to be seen."""
    shares = np.ones(len(boxes), np.float32)
    for index, (x, y, w, h) in enumerate(boxes.astype(int)):
        part = covered[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)]
        if part.size:
            shares[index] = 1 - part.mean()
    return shares


def _inside(
    boxes: Floats, sure: NDArray[np.bool_], size: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which boxes reach into the collage at all, and which of them are faces to be found: half of them in view, their
    centre too, and not smaller than a face can be told.
    """
    height, width = size
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    seen = np.clip(np.minimum(high, [width, height]) - np.maximum(low, 0), 0, None).prod(1)
    share = seen / np.maximum(boxes[:, 2:].prod(1), 1e-6)
    centre = (low + high) / 2
    central = ((centre > 2) & (centre < [width - 2, height - 2])).all(1)
    large = boxes[:, 2:].max(1) >= 0.8 * SMALLEST
    return share > 0.05, sure & (share > 0.5) & central & large


def _cover(rng: Generator, canvas: NDArray[np.uint8], boxes: Floats, landmarks: Floats) -> NDArray[np.uint8]:
    """Some faces get a mask over nose and mouth or a dark bar over a part; they are faces still."""
    for (x, y, w, h), points in zip(boxes, landmarks, strict=True):
        if w < 12 or rng.random() > 0.16:
            continue
        level = int(rng.integers(256))
        if rng.random() < 0.6 and np.isfinite(points).all():
            eyes, nose = points[1:4:2].mean(), points[5]
            top = round((eyes + nose) / 2)
            low, left, right = round(y + h), round(x + 0.08 * w), round(x + 0.92 * w)
            middle = (left + right) // 2
            outline = np.array([[left, top], [middle, top - round(0.06 * h)], [right, top], [right, top + (low - top)
            // 2],
                                [middle, low], [left, top + (low - top) // 2]])  # fmt: skip
            cv2.fillPoly(canvas, [outline], level)
        else:
            side = rng.uniform(0.2, 0.45, 2) * (w, h)
            corner = (x, y) + rng.uniform(0, 1, 2) * ((w, h) - side)
            cv2.rectangle(
                canvas, np.round(corner).astype(int).tolist(), np.round(corner + side).astype(int).tolist(), level, -1
            )
    return canvas
