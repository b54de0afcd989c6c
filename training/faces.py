"""One part of the cache -> faces with soft labels, and the crops that a device would make of them."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training import fer
from training.recipe import ClassifierRecipe

PHOTO_SMOOTH = 0.1
"""How much of a photograph's label is spread over all labels: students' labels err."""


class Faces:
    """One part of the cache: faces of FER2013 and of photographs with their soft labels, indexed as one list."""

    def __init__(self, cache: Path, recipe: ClassifierRecipe, part: str) -> None:
        with np.load(cache) as held:
            mine, photo = held["part"] == part, held["photo_part"] == part
            self.fer, votes = held["pixels"][mine], held["votes"][mine]
            self.photos, names = held["photos"][photo], held["photo_labels"][photo]
            self.own = held["own"][mine]
        self.votes = votes
        self.photo_names = names
        self.fer_targets = fer.soft_labels(votes, recipe.labels)
        self.photo_targets = fer.photo_targets(names, recipe.labels, PHOTO_SMOOTH)

    @property
    def targets(self) -> NDArray[np.float32]:
        """Soft labels (n + m, labels) of FER2013's faces, then of photographs'."""
        return np.concatenate([self.fer_targets, self.photo_targets])

    def crops(self, recipe: ClassifierRecipe) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """FER2013's faces and photographs', each (n, side, side), as the device cuts them."""
        share = (1 + 2 * recipe.margin) / (1 + 2 * fer.PHOTO_MARGIN)
        return plain(self.fer, recipe.width, 1.0), plain(self.photos, recipe.width, share)


def plain(faces: NDArray[np.uint8], side: int, share: float) -> NDArray[np.uint8]:
    """Faces (n, h, h) -> the middle ``share`` of each in (n, side, side), as the device cuts it."""
    height = faces.shape[1]
    edge = round(height * (1 - share) / 2)
    inner = faces[:, edge : height - edge, edge : height - edge]
    method = cv2.INTER_AREA if inner.shape[1] > side else cv2.INTER_LINEAR
    return np.stack([cv2.resize(face, (side, side), interpolation=method) for face in inner])
