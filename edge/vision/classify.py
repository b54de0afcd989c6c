"""Faces of a frame -> expressions, one batch a frame."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.card import ClassifierCard
from edge.values import Expression, Detection, Pixels
from edge.vision.bundle import Bundle
from edge.vision.crop import crop_face


class Classifier:
    """The expression classifier of a bundle."""

    def __init__(self, bundle: Bundle[ClassifierCard]) -> None:
        self.card, self._model = bundle.card, bundle.model
        self._size = (bundle.card.input.height, bundle.card.input.width)

    def classify(self, pixels: Pixels, faces: Sequence[Detection]) -> tuple[Expression, ...]:
        """Grey frame (height, width), n faces -> n expressions, in the faces' order."""
        if not faces:
            return ()
        crops = np.stack([crop_face(pixels, face, self.card.crop, self._size) for face in faces])
        sizes = [face.size for face in faces]
        return tuple(
            Expression(tuple(row), self._good(crop, size, max(row)))
            for row, crop, size in zip(self.probabilities(crops).tolist(), crops, sizes, strict=True)
        )

    def classify_crops(self, crops: Sequence[Pixels]) -> tuple[Expression, ...]:
        """Grey pictures that are one cropped face each, any size -> expressions; the face's size is the picture's."""
        fitted = [fit(crop, self._size) for crop in crops]
        return tuple(
            Expression(tuple(row), self._good(pixels, max(crop.shape), max(row)))
            for row, crop, pixels in zip(self.probabilities(np.stack(fitted)).tolist(), crops, fitted, strict=True)
        )

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops uint8 (n, height, width) -> probabilities float32 (n, labels), tempered by the card."""
        raw = self._model.run(np.ascontiguousarray(crops)[..., None])
        return softmax(self._model.values(raw, "logits") / np.float32(self.card.temperature))

    def _good(self, crop: Pixels, size: float, certainty: float) -> bool:
        """Whether a sighting is large, sharp and certain enough for a verdict, by the card's limits."""
        if size < self.card.min_face_px or certainty < self.card.unknown_below:
            return False
        return self.card.min_sharpness <= 0 or cv2.Laplacian(crop, cv2.CV_64F).var() >= self.card.min_sharpness


def fit(crop: Pixels, size: tuple[int, int]) -> Pixels:
    """A grey picture -> the same in (height, width), its aspect given up."""
    method = cv2.INTER_AREA if crop.shape[0] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, size[::-1], interpolation=method), np.uint8)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits (n, labels) -> probabilities, rows summing to 1."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)
