"""Paste a labelled image into a collage as a tile: scaled, rotated, mirrored, with its boxes and landmarks."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.augment.occlusion import occlude_faces
from training.data.labelled_images import MIRRORED, Floats, LabelledImage

MIN_FACE_PX = 7.0
"""Smallest face in a collage, pixels."""
MAX_FACE_RATIO = 1.05
"""Largest face in a collage, as a fraction of its shorter side. Sizes between are drawn log-uniformly."""
LARGE_FACE_RATIOS = (0.35, 1.1)
"""Range of the size of a face in tiles of large faces, as a fraction of the collage's shorter side, log-uniform."""
MAX_UPSCALE = (1.5, 2.5)
"""Highest scale of most tiles, and of one in four. More would make faces softer than a camera does, except where a
small frame is enlarged to the network's input."""
WHOLE_IMAGE_FRACTION = 0.4
"""Fraction of tiles that show the image about as large as the collage, as a frame of a camera does."""
SHRINK_BELOW = 0.7
"""Scale below which a tile is shrunk by area averaging before it is warped, so that it does not alias."""
MASK_PROBABILITY, BAR_PROBABILITY = 0.3, 0.08
"""Probabilities that a face of a tile wears a mask, or is partly hidden by a bar."""
DEFOCUS_PROBABILITY = 0.12
"""Probability that a tile with faces is out of focus."""
Matrix = NDArray[np.float64]
"""Affine transform, (2, 3)."""


@dataclass(frozen=True, slots=True)
class Collage:
    """A synthetic grey image with n labelled faces, as in `LabelledImage`."""

    pixels: NDArray[np.uint8]
    """Grey image, (h, w)."""
    boxes: Floats
    """Left, top, width and height, pixels, (n, 4)."""
    landmarks: Floats
    """Landmarks, pixels, (n, 10); NaN where unknown."""
    confidence: Floats
    """Target score of each box, (n,); 0: ignored by the loss."""

    @classmethod
    def without_faces(cls, pixels: NDArray[np.uint8]) -> "Collage":
        """An image without faces."""
        return cls(pixels, np.zeros((0, 4), np.float32), np.zeros((0, 10), np.float32), np.zeros(0, np.float32))


def paste_tile(
    rng: Generator, collage: Collage, image: LabelledImage, targets: Floats, large_face_fraction: float = 0.0
) -> Collage:
    """Return a collage with one more tile; one of the image's boxes ``targets`` (n, 4) is usually in view.

    Some of the tile's faces are occluded, and some tiles are out of focus. In a fraction ``large_face_fraction`` of the
    tiles a target is scaled to `LARGE_FACE_RATIOS`. Faces that the tile hides are removed; those that it hides partly
    are ignored by the loss.
    """
    height, width = collage.pixels.shape
    matrix, flip = _tile_transform(rng, image.pixels.shape, targets, (height, width), large_face_fraction)
    extent = np.full(image.pixels.shape, 255, np.uint8)
    covered = cv2.warpAffine(extent, _for_pixel_centres(matrix), (width, height)) > 127
    pixels, pixels_matrix = _shrink(image.pixels, matrix)
    tile = cv2.warpAffine(pixels, _for_pixel_centres(pixels_matrix), (width, height))
    boxes, landmarks = _transform_labels(image, matrix, flip)
    occlude_faces(rng, tile, boxes, landmarks, MASK_PROBABILITY, BAR_PROBABILITY)
    if len(boxes) and rng.random() < DEFOCUS_PROBABILITY:
        tile = cv2.GaussianBlur(tile, (0, 0), max(0.3, rng.uniform(0.02, 0.08) * float(boxes[:, 2].max())))
    visible = _visible_fractions(collage.boxes, covered)
    kept, confidence = visible > 0.15, collage.confidence * (visible > 0.6)
    return Collage(
        np.where(covered, tile, collage.pixels),
        np.concatenate([collage.boxes[kept], boxes]),
        np.concatenate([collage.landmarks[kept], landmarks]),
        np.concatenate([confidence[kept], image.confidence]),
    )


def _tile_transform(
    rng: Generator, shape: tuple[int, ...], targets: Floats, size: tuple[int, int], large_face_fraction: float
) -> tuple[Matrix, bool]:
    """Random affine transform from a tile's coordinates to the collage's, and whether it mirrors.

    ``shape`` (rows, columns) is the tile's, ``size`` (height, width) the collage's.
    """
    height, width = size
    rows, columns = shape
    scale = _tile_scale(rng, shape, targets, size, large_face_fraction)
    angle = rng.normal(0, 0.2) if rng.random() < 0.6 else 0.0
    flip = bool(rng.random() < 0.5)
    stretch = np.exp(rng.normal(0, 0.08))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[cos * stretch * (-1 if flip else 1), -sin], [sin * stretch * (-1 if flip else 1), cos]])
    anchor = np.array([columns / 2, rows / 2])
    if len(targets):
        box = targets[int(rng.integers(len(targets)))]
        anchor = box[:2] + box[2:] / 2
    position = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    if rng.random() < 0.5 or scale * max(rows, columns) > min(size):
        position = np.array([width, height]) * rng.uniform(0.25, 0.75, 2)
    return np.column_stack([linear, position - linear @ anchor]), flip


def _tile_scale(
    rng: Generator, shape: tuple[int, ...], targets: Floats, size: tuple[int, int], large_face_fraction: float
) -> float:
    """Random scale of a tile: for a large face, for a whole image, for a face of any size, or without faces."""
    fit = min(size[0] / shape[0], size[1] / shape[1])
    max_upscale = MAX_UPSCALE[int(rng.random() < 0.25)]
    if len(targets) and large_face_fraction and rng.random() < large_face_fraction:
        wanted = min(size) * np.exp(rng.uniform(*np.log(LARGE_FACE_RATIOS)))
        scale = min(wanted / rng.choice(targets[:, 2:].max(1)), MAX_UPSCALE[1])
    elif rng.random() < WHOLE_IMAGE_FRACTION:
        scale = min(fit * np.exp(rng.uniform(np.log(0.7), np.log(1.6))), MAX_UPSCALE[1])
    elif len(targets):
        wanted = np.exp(rng.uniform(np.log(MIN_FACE_PX), np.log(MAX_FACE_RATIO * min(size))))
        scale = np.clip(wanted / rng.choice(targets[:, 2:].max(1)), 0.04, max_upscale)
    else:
        scale = min(fit * rng.uniform(0.4, 1.6), max_upscale)
    return float(max(scale, 24 / min(shape)))


def _for_pixel_centres(matrix: Matrix) -> Matrix:
    """Convert a transform of coordinates, in which a pixel spans from its index to the next, to OpenCV's.

    In OpenCV's coordinates an index is the centre of its pixel.
    """
    return np.column_stack([matrix[:, :2], matrix @ [0.5, 0.5, 1] - 0.5])


def _shrink(pixels: NDArray[np.uint8], matrix: Matrix) -> tuple[NDArray[np.uint8], Matrix]:
    """Shrink a tile by area averaging if its transform scales below `SHRINK_BELOW`; return it with its transform."""
    scale = np.hypot(matrix[0, 1], matrix[1, 1])
    if scale >= SHRINK_BELOW:
        return pixels, matrix
    rows, columns = pixels.shape
    width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return small, matrix * [[columns / width, rows / height, 1]]


def _transform_labels(image: LabelledImage, matrix: Matrix, flip: bool) -> tuple[Floats, Floats]:
    """Boxes (n, 4) and landmarks (n, 10) of a tile in the collage; ``flip`` exchanges left and right landmarks."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    centre = (image.boxes[:, :2] + image.boxes[:, 2:] / 2) @ linear.T + shift
    sides = image.boxes[:, 2:] * np.hypot(linear[0], linear[1])
    points = image.landmarks.reshape(-1, 5, 2) @ linear.T + shift
    if flip:
        points = points[:, MIRRORED]
    boxes = np.concatenate([centre - sides / 2, sides], 1)
    return boxes.astype(np.float32), points.reshape(-1, 10).astype(np.float32)


def _visible_fractions(boxes: Floats, covered: NDArray[np.bool_]) -> Floats:
    """Fraction (n,) of each box (n, 4) that a tile leaves visible; ``covered`` (h, w) are the tile's pixels."""
    visible = np.ones(len(boxes), np.float32)
    for index, (x, y, w, h) in enumerate(boxes.astype(int)):
        region = covered[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)]
        if region.size:
            visible[index] = 1 - region.mean()
    return visible
