"""`analyze`: faces of an image, each with its box, score and expression probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from base.errors import FacetallyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.vision.classify import Classifier
    from edge.vision.detect import Detector

GREY_DIMENSIONS, COLOUR_DIMENSIONS, COLOURS = 2, 3, 3


class Box(NamedTuple):
    """A rectangle in pixels of the image; it may reach over the image's border."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Face:
    """One face of an image."""

    box: Box
    """Where it is."""
    score: float
    """Confidence of the detector, 0 to 1."""
    expression: str
    """The most probable label, or ``unknown`` if the face is too small, too blurred or too uncertain to be counted."""
    probabilities: dict[str, float]
    """Probability of each label, 0 to 1; they add up to 1."""


def analyze(
    image: str | PathLike[str] | NDArray[np.uint8],
    *,
    min_score: float | None = None,
    detector: str | None = None,
    classifier: str | None = None,
) -> list[Face]:
    """Detect the faces of an image and estimate their expressions.

    The same code and int8 models run on a device. The defaults are the largest shipped detector and the shipped
    classifier. Models are loaded once and kept.

    Args:
        image: Path of an image file, or pixels, uint8: grey (height, width) or RGB (height, width, 3).
        min_score: Faces with a lower detector score, 0 to 1, are left out; by default the detector's threshold.
        detector: Name of a shipped detector bundle or path of a card, by default ``face-640x480``.
        classifier: Name of a shipped classifier bundle or path of a card, by default ``expression``.

    Returns:
        The faces, by descending score; an empty list if there is none.

    Raises:
        FacetallyError: The image cannot be read or has another shape or dtype, ``min_score`` is out of range, or a
            bundle cannot be loaded.
    """
    if min_score is not None and not 0 <= min_score <= 1:
        raise FacetallyError(f"min_score: must be 0 to 1, is {min_score:g}")
    try:
        from edge.values import Expression  # noqa: F401, PLC0415 - NumPy and OpenCV are heavy
    except ModuleNotFoundError as error:
        raise FacetallyError(f"{error.name} is missing: pip install 'facetally[edge]'") from error
    pixels = _pixels(image)
    found = _detector(detector, min_score).detect(pixels)
    expressions = _classifier(classifier)
    labels = expressions.card.labels
    faces = []
    for each, expression in zip(found, expressions.classify(pixels, found), strict=True):
        probabilities = dict(zip(labels, map(float, expression.probabilities), strict=True))
        best = max(probabilities, key=probabilities.__getitem__)
        box = Box(*(float(value) for value in each.box))
        faces.append(Face(box, float(each.score), best if expression.good else _unknown(), probabilities))
    return sorted(faces, key=lambda face: -face.score)


def _pixels(image: Any) -> NDArray[np.uint8]:
    """The grey pixels of an image, (height, width)."""
    import cv2  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    if not isinstance(image, np.ndarray):
        from edge.camera.file_source import read_image  # noqa: PLC0415

        path = Path(fspath(image))
        if not path.is_file():
            raise FacetallyError(f"image: must be a file or an array of pixels, {path} does not exist")
        pixels = read_image(path)
        if pixels is None:
            raise FacetallyError(f"image: must be an image that OpenCV can read, is {path}")
        return pixels
    shape, colour = image.shape, image.ndim == COLOUR_DIMENSIONS and image.shape[-1] == COLOURS
    if image.dtype != np.uint8 or not (image.ndim == GREY_DIMENSIONS or colour) or 0 in shape:
        raise FacetallyError(
            f"image: must be uint8 of shape (height, width) or (height, width, 3), is {image.dtype} of shape {shape}"
        )
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if colour else image
    return np.ascontiguousarray(grey, dtype=np.uint8)


@cache
def _detector(name: str | None, min_score: float | None) -> Detector:
    from edge.build import detector_bundle  # noqa: PLC0415
    from edge.vision.bundle import STILL_IMAGE_DETECTOR  # noqa: PLC0415
    from edge.vision.detect import Detector  # noqa: PLC0415

    return Detector(detector_bundle(name or str(STILL_IMAGE_DETECTOR)), min_score)


@cache
def _classifier(name: str | None) -> Classifier:
    from edge.build import classifier_bundle  # noqa: PLC0415
    from edge.vision.classify import Classifier  # noqa: PLC0415

    return Classifier(classifier_bundle(name))


def _unknown() -> str:
    from contract.labels import UNKNOWN  # noqa: PLC0415

    return UNKNOWN
