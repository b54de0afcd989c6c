"""The cache of faces: written once from all sources, read in parts with soft labels, cut as a device would."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from edge.vision.crop import cut_square
from training.data import label_targets, photographs
from training.data.fer2013 import FerFaces
from training.data.packed_images import HIGH_QUALITY, LOSSLESS, pack, unpack
from training.data.photographs import Photographs
from training.recipe import ClassifierRecipe

LABEL_SMOOTHING = 0.1
"""How much of a photograph's label is spread over all labels: students' labels err."""
FOLDS = 5
"""Photographs fall into so many folds, so that each can be scored by a net that did not see it."""
Grey = NDArray[np.uint8]


def write(cache: Path, fer: FerFaces, photos: Photographs) -> None:
    """All faces -> the cache: pictures as WebP without loss (FER2013) and JPEG (photographs), votes, labels, parts."""
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
    """What `write` wrote; FileNotFoundError if it is not there."""
    with np.load(cache) as held:
        pixels = np.array(list(unpack(held["pixels"], held["ends"])), np.uint8).reshape(-1, 48, 48)
        side = photographs.SIDE
        crops = np.array(list(unpack(held["photos"], held["photo_ends"])), np.uint8).reshape(-1, side, side)
        return (
            FerFaces(pixels, held["votes"], held["own"], held["part"]),
            Photographs(crops, held["photo_labels"], held["photo_part"], held["photo_side"]),
        )


@dataclass(frozen=True, slots=True)
class Faces:
    """One part of the cache, for one recipe: faces of FER2013 (n, 48, 48) and photographs' (m, 112, 112), each with
    soft labels (.., labels), rows of zeros where the recipe's labels say nothing.

    Photographs in which no face was found are among them only in the part ``test``, where they count as wrong: their
    ``photo_side`` is 0.
    """

    fer: Grey
    votes: Grey
    own: NDArray[np.uint8]
    fer_targets: label_targets.Floats
    photos: Grey
    photo_names: NDArray[np.str_]
    photo_side: NDArray[np.float32]
    photo_targets: label_targets.Floats

    @classmethod
    def of(cls, cache: Path, recipe: ClassifierRecipe, part: str) -> "Faces":
        """One of the parts train, tune and test; SettingsError if the recipe's labels find no face in it at all."""
        fer, photos = read(cache)
        mine = fer.part == part
        if part == "train" and recipe.near_duplicates == "include":
            mine |= fer.part == "repeat"
        photo = _photo_part(photos, recipe.photo_fold) == part
        if part != "test":
            photo &= photos.side > 0
        votes, own = fer.votes[mine], fer.labels[mine]
        if recipe.fer_labels == "votes":
            of_fer = label_targets.from_votes(votes, recipe.labels)
        else:
            of_fer = label_targets.from_names(np.array(label_targets.FER2013_LABELS)[own], recipe.labels, 0.0)
        of_photos = label_targets.from_names(photos.labels[photo], recipe.labels, LABEL_SMOOTHING)
        if not of_fer.any() and not of_photos.any():
            raise SettingsError(f"{cache}: no face of the part {part!r} has one of the labels {list(recipe.labels)}")
        crops, names, side = photos.crops[photo], photos.labels[photo], photos.side[photo]
        return cls(fer.pixels[mine], votes, own, of_fer, crops, names, side, of_photos)

    @property
    def targets(self) -> label_targets.Floats:
        """Soft labels (n + m, labels) of FER2013's faces, then of photographs'."""
        return np.concatenate([self.fer_targets, self.photo_targets])

    def crops(self, recipe: ClassifierRecipe) -> tuple[Grey, Grey]:
        """FER2013's faces and photographs', each (n, side, side), as the device cuts them."""
        return centre_crops(self.fer, recipe.width, 1.0), centre_crops(self.photos, recipe.width, crop_ratio(recipe))


def crop_ratio(recipe: ClassifierRecipe) -> float:
    """Of the side of a photograph's cached face, what the recipe's crop takes."""
    return (1 + 2 * recipe.margin) / (1 + 2 * photographs.MARGIN)


def centre_crops(faces: Grey, side: int, share: float) -> Grey:
    """Faces (n, h, h) -> the middle ``share`` of each in (n, side, side), as the device cuts it."""
    return shifted_crops(faces, side, share, (0.0, 0.0))


def shifted_crops(faces: Grey, side: int, share: float, shift: tuple[float, float]) -> Grey:
    """Faces (n, h, h) -> the part of each that is ``share`` of it wide, off its middle by shares of that part across
    and down, in (n, side, side), by the device's own code.
    """
    height = faces.shape[1]
    middle, part = height / 2, height * share
    centre = (middle + shift[0] * part, middle + shift[1] * part)
    made = [cut_square(face, centre, part, 0.0, (side, side)) for face in faces]
    return np.array(made, np.uint8).reshape(-1, side, side)


def _photo_part(photos: Photographs, fold: int | None) -> NDArray[np.str_]:
    """The parts of photographs, as cached, or with one fold for the test and the others for training."""
    if fold is None:
        return photos.part
    folds = np.arange(len(photos.part)) % FOLDS
    return np.where(folds == fold, "test", np.where(photos.part == "validation", "validation", "train"))
