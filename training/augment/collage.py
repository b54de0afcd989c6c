"""Draw synthetic training images for the detector: collages of labelled images as a shop's camera would show them."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.augment.crowd import CrowdSampler
from training.augment.lighting import degrade
from training.augment.tiles import MIN_FACE_PX, Collage, paste_tile
from training.data.labelled_images import Floats, LabelledImage, is_turned

KIND_WEIGHTS = {
    "photo": 0.13,
    "street": 0.2,
    "labelled-still": 0.14,
    "labelled-video": 0.03,
    "negative": 0.07,
    "background": 0.13,
    "crowd": 0.13,
    "everyday": 0.17,
}
"""Relative frequency of tiles by the kind of image. Hand-labelled images are few and are used often."""
TURNED_REPEATS = 3
"""How many times as often an image with a turned face is drawn: they are few, and harder."""
MINED_FRACTION = 0.15
"""Default fraction of tiles that show a hard negative in place of a random image."""
CROWD_FRACTION = 0.14
"""Fraction of collages that are crowds, which have twenty times as many faces as others."""
TILE_COUNTS, TILE_COUNT_WEIGHTS = (1, 2, 3, 4, 6), (0.35, 0.2, 0.2, 0.15, 0.1)
"""Numbers of tiles in a collage, and how frequent they are."""
GROUNDS = {"plain": 0.15, "negative": 0.25, "background": 0.35, "street": 0.25}
"""Relative frequency of what lies under the tiles: one grey level, a negative, an image without people, or the part of
a street below people's faces."""
MIN_BODY_ROWS = 64
"""Rows that a street must have below its faces to be used as ground."""
DEGRADE_STRENGTH = 0.8
"""Strength of `degrade` for a finished collage."""


class CollageSampler:
    """Draws collages from labelled images."""

    def __init__(
        self,
        images: Sequence[LabelledImage],
        *,
        mined_fraction: float = MINED_FRACTION,
        large_face_fraction: float = 0.0,
    ) -> None:
        """``mined_fraction`` of the tiles show a hard negative, ``large_face_fraction`` a large face."""
        self._mined_fraction, self._large_face_fraction = mined_fraction, large_face_fraction
        self._images = {kind: [image for image in images if image.kind == kind] for kind in KIND_WEIGHTS}
        for of_kind in self._images.values():
            turned = [image for image in of_kind if (is_turned(image) & image.certain).any()]
            of_kind.extend((TURNED_REPEATS - 1) * turned)
        self._kinds = [kind for kind in KIND_WEIGHTS if self._images[kind]]
        weights = np.array([KIND_WEIGHTS[kind] for kind in self._kinds])
        self._kind_probabilities = weights / weights.sum()
        self._mined = [image for image in images if len(image.mined)]
        self._crowds = CrowdSampler(images)
        bodies = [_below_faces(image) for image in self._images["street"]]
        self._bodies = [pixels for pixels in bodies if len(pixels) >= MIN_BODY_ROWS]

    def draw(self, rng: Generator, size: tuple[int, int]) -> Collage:
        """Draw a crowd, or one to six tiles on a ground, of ``size`` (height, width)."""
        ground = self._ground(rng, size)
        if rng.random() < CROWD_FRACTION:
            return _finish(rng, self._crowds.draw(rng, ground))
        collage = Collage.without_faces(ground)
        for _ in range(int(rng.choice(TILE_COUNTS, p=TILE_COUNT_WEIGHTS))):
            collage = paste_tile(rng, collage, *self._pick(rng), self._large_face_fraction)
        return _finish(rng, collage)

    def _pick(self, rng: Generator) -> tuple[LabelledImage, Floats]:
        """Draw an image, and the boxes (n, 4) of which one should be in view: its faces, or its hard negatives."""
        if self._mined and rng.random() < self._mined_fraction:
            image = self._mined[int(rng.integers(len(self._mined)))]
            return image, image.mined
        of_kind = self._images[str(rng.choice(self._kinds, p=self._kind_probabilities))]
        image = of_kind[int(rng.integers(len(of_kind)))]
        return image, image.boxes

    def _ground(self, rng: Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Draw the pixels (height, width) under the tiles."""
        kind = str(rng.choice(list(GROUNDS), p=list(GROUNDS.values())))
        if kind == "plain":
            return np.full(size, rng.integers(256), np.uint8)
        if kind == "street" and self._bodies:
            pixels = _random_region(rng, self._bodies[int(rng.integers(len(self._bodies)))], size)
        else:
            negatives = self._images["negative"]
            images = (self._images["background"] or negatives) if kind == "background" else negatives
            pixels = images[int(rng.integers(len(images)))].pixels
        return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)


def _below_faces(image: LabelledImage) -> NDArray[np.uint8]:
    """The part of an image below all its faces: clothes, hands and bags, which are negatives."""
    return image.pixels[int(np.ceil((image.boxes[:, 1] + image.boxes[:, 3]).max(initial=0))) :]


def _random_region(rng: Generator, pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Random region of an image, with the aspect ratio of ``size`` (height, width)."""
    rows, columns = pixels.shape
    scale = rng.uniform(0.3, 1.0) * min(rows / size[0], columns / size[1])
    height, width = round(scale * size[0]), round(scale * size[1])
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    return pixels[top : top + height, left : left + width]


def _finish(rng: Generator, collage: Collage) -> Collage:
    """Degrade a collage, and keep the faces that are in view; those that are barely so are ignored by the loss."""
    in_view, detectable = _visibility(collage.boxes, collage.pixels.shape)
    return Collage(
        degrade(rng, collage.pixels, DEGRADE_STRENGTH),
        collage.boxes[in_view],
        collage.landmarks[in_view],
        (collage.confidence * detectable)[in_view],
    )


def _visibility(boxes: Floats, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which boxes (n, 4) are in view at all, and which can be detected, in an image of ``shape`` (h, w).

    A detectable face has its centre and half of its area in view and is not much smaller than `MIN_FACE_PX`.
    """
    height, width = shape
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    visible = np.clip(np.minimum(high, [width, height]) - np.maximum(low, 0), 0, None).prod(1)
    fraction = visible / np.maximum(boxes[:, 2:].prod(1), 1e-6)
    centre = (low + high) / 2
    central = ((centre > 2) & (centre < [width - 2, height - 2])).all(1)
    large = boxes[:, 2:].max(1) >= 0.8 * MIN_FACE_PX
    return fraction > 0.05, (fraction > 0.5) & central & large
