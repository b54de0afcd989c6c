"""Read images with one expression label each, crop the largest face in each, and split them into parts.

Three forms are read: ``scenes.zip`` with ``images.csv``; a table ``labels.csv`` (columns image, label and, optionally,
part) beside its images; and folders of cropped faces, ``train/LABEL/x.png`` and ``test/LABEL/x.png``.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from base.errors import SettingsError
from contract.card import Crop, DetectorCard
from edge.values import Detection
from edge.vision import bundle
from edge.vision.crop import crop_face
from edge.vision.detect import Detector
from training.data import labelled_images
from training.data.fer2013 import VALIDATION_OF_256, OnBroken, report_broken

SIDE = 112
"""Side of cached crops, pixels."""
MARGIN = 0.3
"""Margin of cached crops on each side, as a fraction of the box: room to shift and scale a crop."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
"""Image files that are read from folders."""
Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Photographs:
    """The largest face in each of m labelled images, as the shipped detector finds it."""

    crops: Grey
    """Cropped faces, (m, 112, 112); zeros where no face was found."""
    labels: NDArray[np.str_]
    """Names of labels, (m,)."""
    part: NDArray[np.str_]
    """``train``, ``validation`` or ``test``, (m,)."""
    side: NDArray[np.float32]
    """Longer side of each face in its image, pixels, (m,); 0 where no face was found."""


@dataclass(frozen=True, slots=True)
class _Source:
    """An image as it was read."""

    pixels: Grey
    """Grey image, (h, w)."""
    label: str
    """Name of its label."""
    part: str
    """``train``, ``validation`` or ``test``."""
    is_crop: bool
    """Whether the image is a cropped face; otherwise the face must be detected."""


def read(data: Path, broken: OnBroken) -> Photographs:
    """Read all labelled images of a data folder, which may hold none.

    SettingsError names a file that cannot be read, unless ``broken`` is ``skip``.
    """
    detector = Detector(bundle.load(bundle.DEFAULT_DETECTOR, DetectorCard))
    crops, labels, parts, sides = [], [], [], []
    for each in (*_from_scenes(data, broken), *_from_table(data, broken), *_from_folders(data, broken)):
        face = _whole_image(each.pixels) if each.is_crop else _largest(detector, each.pixels)
        crops.append(_crop(each.pixels, face))
        sides.append(face.size if face else 0.0)
        labels.append(each.label)
        parts.append(each.part)
    return Photographs(
        np.array(crops, np.uint8).reshape(-1, SIDE, SIDE),
        np.array(labels, str),
        np.array(parts, str),
        np.array(sides, np.float32),
    )


def _crop(pixels: Grey, face: Detection | None) -> Grey:
    """Crop a face (112, 112); zeros without a face."""
    if face is None:
        return np.zeros((SIDE, SIDE), np.uint8)
    return crop_face(pixels, face, Crop(margin=MARGIN, align="none"), (SIDE, SIDE))


def _largest(detector: Detector, pixels: Grey) -> Detection | None:
    """The largest detection: an image with one label shows one person."""
    return max(detector.detect(pixels), key=lambda face: face.size, default=None)


def _whole_image(pixels: Grey) -> Detection:
    """A detection whose box is the whole image."""
    height, width = pixels.shape
    return Detection((0.0, 0.0, float(width), float(height)), 1.0)


def _from_scenes(data: Path, broken: OnBroken) -> Iterator[_Source]:
    """Photographs with an expression in ``scenes.zip``, converted to grey."""
    if not (data / "scenes.zip").exists():
        return
    images = pd.read_csv(data / "images.csv", keep_default_na=False)
    photos = images[(images.kind == "photo") & (images.expression != "")]
    with zipfile.ZipFile(data / "scenes.zip") as archive:
        for row in tqdm(photos.itertuples(), total=len(photos), desc="photographs"):
            _, pixels = labelled_images.read_image(archive, row.image)
            if pixels is None:
                report_broken(broken, f"{data / 'scenes.zip'}: {row.image}: not an image")
                continue
            held_out = labelled_images.is_validation(row.image, frozenset())
            part = "test" if held_out else _train_or_validation(row.image)
            yield _Source(pixels, row.expression, part, is_crop=False)


def _from_table(data: Path, broken: OnBroken) -> Iterator[_Source]:
    """Images in ``labels.csv``: path relative to it, label and, optionally, part (``train`` or ``test``)."""
    path = data / "labels.csv"
    if not path.exists():
        return
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    if missing := {"image", "label"} - set(table):
        raise SettingsError(f"{path}: must have the column {', '.join(sorted(missing))}; has {', '.join(table)}")
    for row, each in enumerate(tqdm(table.to_dict("records"), desc="labels.csv")):
        name, given = each["image"], each.get("part", "train")
        pixels = cv2.imread(str(data / name), cv2.IMREAD_GRAYSCALE)
        if pixels is None or given not in ("train", "test"):
            reason = "not an image" if pixels is None else f"`part` must be train or test, is {given!r}"
            report_broken(broken, f"{path}, row {row + 2}: {name}: {reason}")
            continue
        part = "test" if given == "test" else _train_or_validation(name)
        yield _Source(pixels, each["label"], part, is_crop=False)


def _from_folders(data: Path, broken: OnBroken) -> Iterator[_Source]:
    """Cropped faces in ``train/LABEL/`` and ``test/LABEL/``."""
    paths = [path for part in ("train", "test") for path in sorted((data / part).glob("*/*"))]
    for path in tqdm([path for path in paths if path.suffix.lower() in SUFFIXES], desc="folders", disable=not paths):
        name = str(path.relative_to(data))
        pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            report_broken(broken, f"{path}: not an image")
            continue
        part = "test" if name.startswith("test/") else _train_or_validation(name)
        yield _Source(pixels, path.parent.name, part, is_crop=True)


def _train_or_validation(name: str) -> str:
    """Part of an image that is not in the test set, by a hash of its name."""
    return "validation" if hashlib.sha256(name.encode()).digest()[1] < VALIDATION_OF_256 else "train"
