"""Check each detection once more: a small network that sees its crop tells faces from look-alikes.

The detector sees the whole frame, shrunk; in its input a visitor's face has few pixels. The check sees one detection at
the camera's resolution, scaled to a fixed size. Backs of heads and other look-alikes get a lower face score.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from contract.card import CheckCard
from edge.values import Detection, Pixels
from edge.vision.bundle import Bundle
from edge.vision.crop import crop_face

MAX_CHECKED = 32
"""Only so many detections of a frame are checked, those with the highest scores below ``checked_below``. The face score
of the others is their score: a check must not lose visitors of a crowd."""


class FaceCheck:
    """The face check of a bundle."""

    def __init__(self, bundle: Bundle[CheckCard]) -> None:
        self.card, self._model = bundle.card, bundle.model
        self._size = (bundle.card.input.height, bundle.card.input.width)

    def check(self, pixels: Pixels, detections: Sequence[Detection]) -> tuple[Detection, ...]:
        """Detections in a grey frame (height, width), best first, with `Detection.checked` set; in the same order."""
        certain = sum(face.score >= self.card.checked_below for face in detections)
        last = certain + MAX_CHECKED
        rows = [replace(face, checked=self.face_score(pixels, face)) for face in detections[:last]]
        return (*rows, *detections[last:])

    def face_score(self, pixels: Pixels, face: Detection) -> float:
        """Face score of one detection in a grey frame (height, width), 0 to 1; see `contract.card.CheckCard`."""
        if face.score >= self.card.checked_below:
            return face.score
        return self.combined(face.score, self.value(pixels, face))

    def combined(self, score: float, value: float) -> float:
        """Face score of a detection by its score and the network's output."""
        logit = float(np.log(score / (1 - score))) if score > 0 else -np.inf
        return float(1 / (1 + np.exp(-(logit + self.card.weight * value + self.card.bias))))

    def value(self, pixels: Pixels, face: Detection) -> float:
        """The network's output for one detection in a grey frame (height, width); higher for a face."""
        # One crop at a time: another number of crops would allocate the network's tensors anew.
        return float(self.values(self.crop(pixels, face)[None])[0])

    def crop(self, pixels: Pixels, face: Detection) -> Pixels:
        """Cut what the network sees of a detection out of a grey frame (height, width)."""
        return crop_face(pixels, face, self.card.crop, self._size)

    def values(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's outputs (n,) for crops (n, height, width)."""
        return self._model.values(self._model.run(crops[..., None]), "logits")[:, 0]
