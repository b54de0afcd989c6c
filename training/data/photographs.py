"""Pictures with one label each -> the face in each as the device's detector finds it, in parts.

Three forms are read: ``scenes.zip`` with ``images.csv``; a table ``labels.csv`` (columns image, label, and if wanted
part) beside its pictures; and folders of faces already cut, ``train/LABEL/x.png`` and ``test/LABEL/x.png``.
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
from edge.values import Face
from edge.vision import bundle
from edge.vision.crop import cut
from edge.vision.detect import Detector
from training.data import labelled_images
from training.data.fer2013 import VALIDATION_OF_256, OnBroken, report_broken

SIDE = 112
MARGIN = 0.3
"""Faces are kept with so much around the box, so that training and tests can shift and scale the crop."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Photographs:
    """Crops (m, 112, 112), names of labels (m,), parts (m,): train, tune, test; the longer side of each face in its
    picture, pixels (m,); zeros, crop and side, where no face was found.
    """

    crops: Grey
    labels: NDArray[np.str_]
    part: NDArray[np.str_]
    side: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A grey picture, its label and part; ``whole`` where the picture is one face already cut."""

    name: str
    pixels: Grey
    label: str
    part: str
    whole: bool


def read(data: Path, broken: OnBroken) -> Photographs:
    """All pictures with labels in a data folder -> their faces; none at all are no error."""
    detector = Detector(bundle.load(bundle.DETECTOR, DetectorCard))
    crops, labels, part, side = [], [], [], []
    for each in (*_from_scenes(data, broken), *_from_table(data, broken), *_from_folders(data, broken)):
        face = _all_of(each.pixels) if each.whole else _largest(detector, each.pixels)
        crops.append(cut(each.pixels, face, Crop(margin=MARGIN, align="none"), (SIDE, SIDE)) if face else _NONE)
        side.append(face.size if face else 0.0)
        labels.append(each.label)
        part.append(each.part)
    return Photographs(
        np.array(crops, np.uint8).reshape(-1, SIDE, SIDE),
        np.array(labels, str),
        np.array(part, str),
        np.array(side, np.float32),
    )


_NONE = np.zeros((SIDE, SIDE), np.uint8)


def _largest(detector: Detector, pixels: Grey) -> Face | None:
    """The largest face that the device would find: the one a picture with one label is of."""
    return max(detector.detect(pixels), key=lambda face: face.size, default=None)


def _all_of(pixels: Grey) -> Face:
    height, width = pixels.shape
    return Face((0.0, 0.0, float(width), float(height)), 1.0)


def _from_scenes(data: Path, broken: OnBroken) -> Iterator[Labelled]:
    """Labelled photographs of scenes.zip, colours made grey as a camera's are."""
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
            held = labelled_images.is_validation(row.image, frozenset())
            yield Labelled(row.image, pixels, row.expression, "test" if held else _part(row.image), whole=False)


def _from_table(data: Path, broken: OnBroken) -> Iterator[Labelled]:
    """``labels.csv``: image (a path beside it), label, and part (train or test) where it is given."""
    path = data / "labels.csv"
    if not path.exists():
        return
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    if missing := {"image", "label"} - set(table):
        raise SettingsError(f"{path}: no column {', '.join(sorted(missing))}; has {', '.join(table)}")
    for row, each in enumerate(tqdm(table.to_dict("records"), desc="labels.csv")):
        given = each.get("part", "train")
        pixels = cv2.imread(str(data / each["image"]), cv2.IMREAD_GRAYSCALE)
        if pixels is None or given not in ("train", "test"):
            reason = "not an image" if pixels is None else f"part {given!r}, not train or test"
            report_broken(broken, f"{path}, row {row + 2}: {each['image']}: {reason}")
            continue
        yield Labelled(each["image"], pixels, each["label"], "test" if given == "test" else _part(each["image"]), False)


def _from_folders(data: Path, broken: OnBroken) -> Iterator[Labelled]:
    """``train/LABEL/*`` and ``test/LABEL/*``: faces already cut."""
    paths = [path for part in ("train", "test") for path in sorted((data / part).glob("*/*"))]
    for path in tqdm([path for path in paths if path.suffix.lower() in SUFFIXES], desc="folders", disable=not paths):
        name = str(path.relative_to(data))
        pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            report_broken(broken, f"{path}: not an image")
            continue
        given = name.split("/", maxsplit=1)[0]
        yield Labelled(name, pixels, path.parent.name, "test" if given == "test" else _part(name), whole=True)


def _part(name: str) -> str:
    """Of what may be trained on: train, or tune for a few, by a hash of the name."""
    return "validation" if hashlib.sha256(name.encode()).digest()[1] < VALIDATION_OF_256 else "train"
