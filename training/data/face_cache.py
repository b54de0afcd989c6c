"""The classifier's cache: write the faces of all sources once, read one part of them with soft labels and crops."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from edge.vision.crop import crop_square
from training.data import label_targets, photographs
from training.data.fer2013 import SIDE, FerFaces
from training.data.packed_images import HIGH_QUALITY, LOSSLESS, pack, unpack
from training.data.photographs import Photographs
from training.recipe import ClassifierRecipe

LABEL_SMOOTHING = 0.1
"""Label smoothing of photographs: each has one label, and annotators err."""
FOLDS = 5
"""Folds of cross-validation that the photographs are split into."""
PARTS = ("train", "validation", "test", "private", "repeat", "")
"""Parts of a cache; empty for an image of FER2013 without one."""
Grey = NDArray[np.uint8]


def write(cache: Path, fer: FerFaces, photos: Photographs) -> None:
    """Write all faces to ``cache`` (.npz): lossless WebP for FER2013, JPEG for photographs."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    pixels, ends = pack(fer.pixels, LOSSLESS)
    crops, crop_ends = pack(photos.crops, HIGH_QUALITY)
    np.savez(
        cache,
        pixels=pixels,
        ends=ends,
        votes=fer.votes,
        own=fer.labels,
        part=fer.part,
        photos=crops,
        photo_ends=crop_ends,
        photo_labels=photos.labels,
        photo_part=photos.part,
        photo_side=photos.side,
    )


def read(cache: Path) -> tuple[FerFaces, Photographs]:
    """Read what `write` wrote.

    FileNotFoundError if the cache is missing; SettingsError if an earlier version wrote it, with other parts.
    """
    with np.load(cache) as arrays:
        parts = {*arrays["part"].tolist(), *arrays["photo_part"].tolist()}
        if unknown := parts - set(PARTS):
            names = ", ".join(sorted(unknown))
            raise SettingsError(f"{cache}: has the unknown part {names}; run `python -m training prepare` again")
        pixels = np.array(list(unpack(arrays["pixels"], arrays["ends"])), np.uint8).reshape(-1, SIDE, SIDE)
        side = photographs.SIDE
        crops = np.array(list(unpack(arrays["photos"], arrays["photo_ends"])), np.uint8).reshape(-1, side, side)
        return (
            FerFaces(pixels, arrays["votes"], arrays["own"], arrays["part"]),
            Photographs(crops, arrays["photo_labels"], arrays["photo_part"], arrays["photo_side"]),
        )


@dataclass(frozen=True, slots=True)
class Faces:
    """One part of the cache for one recipe: n faces of FER2013 and m photographs.

    A row of targets is zero where none of the recipe's labels applies. Photographs in which the detector found no face
    are included in the part ``test`` only, where they count as wrong.
    """

    fer: Grey
    """Faces of FER2013, (n, 48, 48)."""
    votes: Grey
    """FER+ votes, (n, 10), in the order of `label_targets.FERPLUS_LABELS`."""
    fer_labels: NDArray[np.uint8]
    """FER2013's own labels, (n,), indices into `label_targets.FER2013_LABELS`."""
    fer_targets: label_targets.Floats
    """Target distributions of FER2013's faces, (n, labels)."""
    photos: Grey
    """Faces cropped from photographs, (m, 112, 112)."""
    photo_names: NDArray[np.str_]
    """Names of the photographs' labels, (m,)."""
    photo_side: NDArray[np.float32]
    """Longer side of the face in its photograph, pixels, (m,); 0 if no face was found."""
    photo_targets: label_targets.Floats
    """Target distributions of photographs, (m, labels)."""

    @classmethod
    def load(cls, cache: Path, recipe: ClassifierRecipe, part: str) -> "Faces":
        """Read the part ``train``, ``validation`` or ``test``; SettingsError if no face in it has a target."""
        fer, photos = read(cache)
        in_part = fer.part == part
        if part == "train" and recipe.near_duplicates == "include":
            in_part |= fer.part == "repeat"
        photo_in_part = _photo_parts(photos, recipe.photo_fold) == part
        if part != "test":
            photo_in_part &= photos.side > 0
        votes, fer_labels = fer.votes[in_part], fer.labels[in_part]
        if recipe.fer_labels == "votes":
            fer_targets = label_targets.from_votes(votes, recipe.labels)
        else:
            names = np.array(label_targets.FER2013_LABELS)[fer_labels]
            fer_targets = label_targets.from_names(names, recipe.labels, 0.0)
        photo_names = photos.labels[photo_in_part]
        photo_targets = label_targets.from_names(photo_names, recipe.labels, LABEL_SMOOTHING)
        if not fer_targets.any() and not photo_targets.any():
            labels = ", ".join(recipe.labels)
            raise SettingsError(
                f"{cache}: the part {part!r} must have a face with one of the labels {labels}; has none"
            )
        return cls(
            fer.pixels[in_part],
            votes,
            fer_labels,
            fer_targets,
            photos.crops[photo_in_part],
            photo_names,
            photos.side[photo_in_part],
            photo_targets,
        )

    @property
    def targets(self) -> label_targets.Floats:
        """Target distributions (n + m, labels) of FER2013's faces, then of photographs."""
        return np.concatenate([self.fer_targets, self.photo_targets])

    def crops(self, recipe: ClassifierRecipe) -> tuple[Grey, Grey]:
        """Crops of FER2013's faces (n, side, side) and of photographs (m, side, side), as a device crops them."""
        return centre_crops(self.fer, recipe.width, 1.0), centre_crops(self.photos, recipe.width, crop_ratio(recipe))


def crop_ratio(recipe: ClassifierRecipe) -> float:
    """Side of the recipe's crop as a fraction of the side of a photograph's cached face."""
    return (1 + 2 * recipe.margin) / (1 + 2 * photographs.MARGIN)


def centre_crops(faces: Grey, side: int, ratio: float) -> Grey:
    """Crop the centre of each face (n, h, h), ``ratio`` times as wide as the face, and resize to (n, side, side)."""
    return shifted_crops(faces, side, ratio, (0.0, 0.0))


def shifted_crops(faces: Grey, side: int, ratio: float, shift: tuple[float, float]) -> Grey:
    """Crop faces (n, h, h) off-centre and resize to (n, side, side), with the device's own code.

    The crop is ``ratio`` times as wide as the face. ``shift`` is its offset across and down, as fractions of the crop.
    """
    height = faces.shape[1]
    middle, width = height / 2, height * ratio
    centre = (middle + shift[0] * width, middle + shift[1] * width)
    crops = [crop_square(face, centre, width, 0.0, (side, side)) for face in faces]
    return np.array(crops, np.uint8).reshape(-1, side, side)


def _photo_parts(photos: Photographs, fold: int | None) -> NDArray[np.str_]:
    """Parts (m,) of photographs: as cached, or with one fold as the test set and the others for training."""
    if fold is None:
        return photos.part
    folds = np.arange(len(photos.part)) % FOLDS
    return np.where(folds == fold, "test", np.where(photos.part == "validation", "validation", "train"))
