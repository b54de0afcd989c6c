"""Classify the expressions of the faces in a frame, and decide which observations are good enough to count."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.card import ClassifierCard
from edge.values import Detection, Expression, Pixels
from edge.vision.bundle import Bundle
from edge.vision.crop import crop_face


class Classifier:
    """The expression classifier of a bundle."""

    def __init__(self, bundle: Bundle[ClassifierCard]) -> None:
        self.card, self._model = bundle.card, bundle.model
        self._size = (bundle.card.input.height, bundle.card.input.width)

    def classify(self, pixels: Pixels, faces: Sequence[Detection]) -> tuple[Expression, ...]:
        """Classify the faces of a grey frame (height, width) in one batch; one expression per face, in their order."""
        if not faces:
            return ()
        return self.expressions(self.crops(pixels, faces), [face.size for face in faces])

    def crops(self, pixels: Pixels, faces: Sequence[Detection]) -> list[Pixels]:
        """Cut faces out of a grey frame (height, width), each in the input size."""
        return [crop_face(pixels, face, self.card.crop, self._size) for face in faces]

    def classify_crops(self, crops: Sequence[Pixels]) -> tuple[Expression, ...]:
        """Classify grey images of any size that hold one cropped face each; the face size is the image's."""
        return self.expressions([resize(crop, self._size) for crop in crops], [max(crop.shape) for crop in crops])

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (n, labels) float32 of crops (n, height, width) uint8, with the card's temperature."""
        raw = self._model.run(np.ascontiguousarray(crops)[..., None])
        return softmax(self._model.values(raw, "logits") / np.float32(self.card.temperature))

    def expressions(self, crops: Sequence[Pixels], face_sizes: Sequence[float]) -> tuple[Expression, ...]:
        """Classify crops of the input size; ``face_sizes`` are those in the original images, pixels."""
        rows = self.probabilities(np.stack(crops)).tolist()
        return tuple(
            Expression(tuple(row), self._is_good(crop, size, max(row)))
            for row, crop, size in zip(rows, crops, face_sizes, strict=True)
        )

    def _is_good(self, crop: Pixels, face_size: float, confidence: float) -> bool:
        """Apply the card's thresholds for face size, confidence and sharpness.

        Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000).
        """
        if face_size < self.card.min_face_px or confidence < self.card.unknown_below:
            return False
        return self.card.min_sharpness <= 0 or cv2.Laplacian(crop, cv2.CV_64F).var() >= self.card.min_sharpness


def resize(crop: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a grey image to ``size`` (height, width), ignoring its aspect ratio."""
    method = cv2.INTER_AREA if crop.shape[0] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, size[::-1], interpolation=method), np.uint8)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of logits (n, labels); each row sums to 1."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)
