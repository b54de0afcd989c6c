"""Scenes -> pictures as shop cameras see them: many faces of all sizes, cut off, covered, before shelves."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.augment.crowd import CrowdSampler
from training.augment.lighting import degrade
from training.augment.occlusion import occlude_faces
from training.data.labelled_images import MIRRORED, Floats, LabelledImage, is_turned

SHARES = {
    "photo": 0.13,
    "street": 0.2,
    "labelled-still": 0.14,
    "labelled-video": 0.03,
    "negative": 0.07,
    "background": 0.13,
    "crowd": 0.13,
    "everyday": 0.17,
}
"""How often a tile comes from each kind of image; the hand-labelled ones are few and shown often."""
ASIDE = 3
"""So many times as often as others comes an image in which somebody looks aside: they are few, and harder."""
MINED = 0.15
"""How often a tile shows, in place of a random image, one in which an earlier detector found what is no face."""
SMALLEST, LARGEST = 7.0, 1.05
"""Sides of faces in the collage, drawn log-uniformly: pixels, and fraction of the collage's shorter side."""
LARGE = (0.35, 1.1)
"""Range of the side of a face in tiles of large faces, as a fraction of the collage's shorter side, log-uniform."""
CROWD = 0.14
"""How often a collage is a crowd, which has twenty times as many faces as another."""
GROUNDS = {"plain": 0.15, "shelf": 0.25, "background": 0.35, "street": 0.25}
"""What lies under the tiles: one grey level, a shelf, a scene without people, or a street below people's faces."""
MIN_BODY_ROWS = 64
"""Rows that must be left of a street below its faces."""
ENLARGED = (1.5, 2.5)
"""No tile is enlarged by more than the first, one in four by no more than the second: what the detector is shown would
be softer than what a camera sees, but for a small frame that is enlarged to the network's input."""
WHOLE = 0.4
"""How often an image is shown about as large as the collage, as a frame of a camera would be."""


@dataclass(frozen=True, slots=True)
class Collage:
    """A grey picture (h, w) with boxes (n, 4), landmarks (n, 10; NaN unknown) and ``confidence`` (n,), as those of
    `Scene`, in its pixels.
    """

    pixels: NDArray[np.uint8]
    boxes: Floats
    landmarks: Floats
    confidence: Floats


class CollageSampler:
    """Draws collages from scenes by kind."""

    def __init__(
        self, scenes: Sequence[LabelledImage], *, mined_fraction: float = MINED, large_face_fraction: float = 0.0
    ) -> None:
        self._mined_fraction, self._large_face_fraction = mined_fraction, large_face_fraction
        self._kinds = {kind: [scene for scene in scenes if scene.kind == kind] for kind in SHARES}
        for kind in self._kinds.values():
            aside = [scene for scene in kind if (is_turned(scene) & scene.certain).any()]
            kind.extend((ASIDE - 1) * aside)
        kinds = [kind for kind in SHARES if self._kinds[kind]]
        weights = np.array([SHARES[kind] for kind in kinds])
        self._names, self._shares = kinds, weights / weights.sum()
        self._mined = [scene for scene in scenes if len(scene.mined)]
        self._crowds = CrowdSampler(scenes)
        streets = [_below_faces(scene) for scene in self._kinds["street"]]
        self._bodies = [street for street in streets if len(street) >= MIN_BODY_ROWS]

    def draw(self, rng: Generator, size: tuple[int, int]) -> Collage:
        """Random numbers, (height, width) -> a crowd, or one to six tiles on a shelf, a street or a plain ground."""
        ground = self._ground(rng, size)
        if rng.random() < CROWD:
            crowd = self._crowds.draw(rng, ground)
            return _finished(rng, Collage(crowd.pixels, crowd.boxes, crowd.landmarks, crowd.confidence))
        made = Collage(ground, np.zeros((0, 4), np.float32), np.zeros((0, 10), np.float32), np.zeros(0, np.float32))
        for _ in range(int(rng.choice([1, 2, 3, 4, 6], p=[0.35, 0.2, 0.2, 0.15, 0.1]))):
            made = _laid(rng, made, *self._pick(rng), self._large_face_fraction)
        return _finished(rng, made)

    def _pick(self, rng: Generator) -> tuple[LabelledImage, Floats]:
        """A scene, and the boxes (n, 4) of which one is to be seen: its faces, or what was wrongly found in it."""
        if self._mined and rng.random() < self._mined_fraction:
            scene = self._mined[int(rng.integers(len(self._mined)))]
            return scene, scene.mined
        kind = self._kinds[str(rng.choice(self._names, p=self._shares))]
        scene = kind[int(rng.integers(len(kind)))]
        return scene, scene.boxes

    def _ground(self, rng: Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
        kind = str(rng.choice(list(GROUNDS), p=list(GROUNDS.values())))
        if kind == "plain":
            return np.full(size, rng.integers(256), np.uint8)
        if kind == "street" and self._bodies:
            pixels = _window(rng, self._bodies[int(rng.integers(len(self._bodies)))], size)
        else:
            scenes = self._kinds["background" if kind == "background" else "negative"] or self._kinds["negative"]
            pixels = scenes[int(rng.integers(len(scenes)))].pixels
        return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)


def _below_faces(scene: LabelledImage) -> NDArray[np.uint8]:
    """The part of a scene below all of its faces: clothes, hands, bags, which are no faces."""
    return scene.pixels[int(np.ceil((scene.boxes[:, 1] + scene.boxes[:, 3]).max(initial=0))) :]


def _window(rng: Generator, pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Some part of a picture, of the aspect of (height, width)."""
    rows, columns = pixels.shape
    part = rng.uniform(0.3, 1.0) * min(rows / size[0], columns / size[1])
    height, width = round(part * size[0]), round(part * size[1])
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    return pixels[top : top + height, left : left + width]


def _laid(
    rng: Generator, made: Collage, scene: LabelledImage, shown: Floats, large_face_fraction: float = 0.0
) -> Collage:
    """A collage with one more tile on it, its faces masked now and then, the tile now and then out of focus."""
    height, width = made.pixels.shape
    matrix, flip = _place(rng, scene, shown, (height, width), large_face_fraction)
    rows, columns = scene.pixels.shape
    covered = cv2.warpAffine(np.full((rows, columns), 255, np.uint8), _of_pixels(matrix), (width, height)) > 127
    small = _of_pixels(_after_shrink(scene, matrix))
    tile = cv2.warpAffine(_shrunk(scene.pixels, matrix), small, (width, height))
    boxes, landmarks = _moved(scene, matrix, flip)
    occlude_faces(rng, tile, boxes, landmarks, 0.3, 0.08)
    if len(boxes) and rng.random() < 0.12:
        tile = cv2.GaussianBlur(tile, (0, 0), max(0.3, rng.uniform(0.02, 0.08) * float(boxes[:, 2].max())))
    visible = _visible(made.boxes, covered)
    kept, confidence = visible > 0.15, made.confidence * (visible > 0.6)
    return Collage(
        np.where(covered, tile, made.pixels),
        np.concatenate([made.boxes[kept], boxes]),
        np.concatenate([made.landmarks[kept], landmarks]),
        np.concatenate([confidence[kept], scene.confidence]),
    )


def _finished(rng: Generator, made: Collage) -> Collage:
    """A collage as a poor camera would see it, with the faces that are in it."""
    height, width = made.pixels.shape
    keep, found = _inside(made.boxes, (height, width))
    return Collage(
        degrade(rng, made.pixels, 0.8), made.boxes[keep], made.landmarks[keep], (made.confidence * found)[keep]
    )


def _place(
    rng: Generator, scene: LabelledImage, shown: Floats, size: tuple[int, int], large_face_fraction: float = 0.0
) -> tuple[NDArray[np.float64], bool]:
    """Where a tile goes so that one of the boxes ``shown`` (n, 4) is in view more often than not: an affine matrix
    (2, 3) from its pixels to the collage's, and whether it is mirrored.

    In ``large_face_fraction`` of the tiles the box is `LARGE` times as large as the collage's shorter side.
    """
    height, width = size
    rows, columns = scene.pixels.shape
    fit = min(height / rows, width / columns)
    enlarged = ENLARGED[int(rng.random() < 0.25)]
    if len(shown) and large_face_fraction and rng.random() < large_face_fraction:
        wanted = min(size) * np.exp(rng.uniform(*np.log(LARGE)))
        scale = min(wanted / rng.choice(shown[:, 2:].max(1)), ENLARGED[1])
    elif rng.random() < WHOLE:
        scale = min(fit * np.exp(rng.uniform(np.log(0.7), np.log(1.6))), ENLARGED[1])
    elif len(shown):
        sides = shown[:, 2:].max(1)
        wanted = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST * min(size))))
        scale = np.clip(wanted / rng.choice(sides), 0.04, enlarged)
    else:
        scale = min(fit * rng.uniform(0.4, 1.6), enlarged)
    scale = max(scale, 24 / min(rows, columns))
    angle = rng.normal(0, 0.2) if rng.random() < 0.6 else 0.0
    flip = bool(rng.random() < 0.5)
    stretch = np.exp(rng.normal(0, 0.08))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array([[cos * stretch * (-1 if flip else 1), -sin], [sin * stretch * (-1 if flip else 1), cos]])
    anchor = np.array([columns / 2, rows / 2])
    if len(shown):
        box = shown[int(rng.integers(len(shown)))]
        anchor = box[:2] + box[2:] / 2
    target = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    if rng.random() < 0.5 or scale * max(rows, columns) > min(size):
        target = np.array([width, height]) * rng.uniform(0.25, 0.75, 2)
    return np.column_stack([matrix, target - matrix @ anchor]), flip


def _of_pixels(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix of places, where a pixel reaches from its number to the next, as boxes do -> that of pixels' numbers,
    which stand for their middles, as OpenCV takes it.
    """
    return np.column_stack([matrix[:, :2], matrix @ [0.5, 0.5, 1] - 0.5])


def _shrunk(pixels: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A tile that the matrix makes much smaller, shrunk by area first so that it does not alias."""
    scale = np.hypot(matrix[0, 1], matrix[1, 1])
    if scale >= 0.7:
        return pixels
    rows, columns = pixels.shape
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _after_shrink(scene: LabelledImage, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix for a tile that `_shrunk` may have made smaller."""
    rows, columns = scene.pixels.shape
    small = _shrunk_size((rows, columns), matrix)
    return matrix * [[columns / small[1], rows / small[0], 1]]


def _shrunk_size(shape: tuple[int, int], matrix: NDArray[np.float64]) -> tuple[int, int]:
    scale = np.hypot(matrix[0, 1], matrix[1, 1])
    return shape if scale >= 0.7 else (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale)))


def _moved(scene: LabelledImage, matrix: NDArray[np.float64], flip: bool) -> tuple[Floats, Floats]:
    """A tile's boxes and landmarks in the collage; a mirrored face's right eye is the one that was left."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    centre = (scene.boxes[:, :2] + scene.boxes[:, 2:] / 2) @ linear.T + shift
    sides = scene.boxes[:, 2:] * np.hypot(linear[0], linear[1])
    points = scene.landmarks.reshape(-1, 5, 2) @ linear.T + shift
    if flip:
        points = points[:, MIRRORED]
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


def _inside(boxes: Floats, size: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which boxes reach into the collage at all, and which of them can be found: half of them in view, their centre
    too, and not smaller than a face can be told.
    """
    height, width = size
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    seen = np.clip(np.minimum(high, [width, height]) - np.maximum(low, 0), 0, None).prod(1)
    share = seen / np.maximum(boxes[:, 2:].prod(1), 1e-6)
    centre = (low + high) / 2
    central = ((centre > 2) & (centre < [width - 2, height - 2])).all(1)
    large = boxes[:, 2:].max(1) >= 0.8 * SMALLEST
    return share > 0.05, (share > 0.5) & central & large
