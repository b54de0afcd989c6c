"""Grey images with labelled faces, which the detector is trained on and validated with, and their cache."""

import hashlib
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError

MAX_SIDE = 640
"""Longest side of a cached image, pixels."""
WEBP_QUALITY = 80
"""Quality of the WebP images in a cache, 1 to 100."""
TURNED_NOSE_OFFSET = 0.3
"""A face is turned if its nose is further from the midpoint of the eyes, along the line between them, than this
fraction of their distance."""
LANDMARKS = ["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"]
"""Names of the five landmarks, in the order of their coordinates; right and left are the person's own."""
MIRRORED = [1, 0, 2, 4, 3]
"""Order of the landmarks in a mirrored image, in which left and right are exchanged."""
BOX = ["x", "y", "w", "h"]
"""Columns of a box in the published lists."""
VALIDATION_LIST = Path(__file__).parent / "validation.txt"
"""Names of the hand-labelled images that are held out."""
Floats = NDArray[np.float32]
FaceLabels = tuple[Floats, Floats, Floats]
"""Boxes (n, 4), landmarks (n, 10) and confidence (n,) of one image, as in `LabelledImage`."""
Labeller = Callable[[NDArray[np.uint8]], FaceLabels]
"""Labels the faces in a colour image (h, w, 3), BGR."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """A grey image and its n labelled faces."""

    name: str
    """Path in the archive it comes from."""
    kind: str
    """``labelled-still`` or ``labelled-video`` (boxes drawn by people), ``photo``, ``street``, ``crowd``, ``everyday``,
    or, without faces, ``negative`` and ``background``."""
    expression: str
    """Expression shown in a ``photo``; else empty."""
    pixels: NDArray[np.uint8]
    """Grey image, (h, w)."""
    boxes: Floats
    """Left, top, width and height of each face, pixels, (n, 4)."""
    landmarks: Floats
    """x and y of the five `LANDMARKS` of each face, pixels, (n, 10); NaN where unknown."""
    confidence: Floats
    """Target score of each box, (n,): 1 for a face, between 0 and 1 where a teacher is uncertain, 0 where nothing is
    known and the loss must ignore the box."""
    held_out: bool = False
    """Whether the image is in the validation set."""
    mined: Floats = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """Boxes of hard negatives, pixels, (m, 4): false detections of an earlier detector."""

    @property
    def certain(self) -> NDArray[np.bool_]:
        """Which boxes, (n,), are certainly faces and must be detected."""
        return self.confidence == 1


def is_validation(name: str, listed: frozenset[str]) -> bool:
    """Whether an image is held out: hand-labelled images by the list ``listed``, others by a hash of their name.

    One in twenty is held out; of the images of shelves one in five, since false detections in them are rare.
    """
    if name.startswith("labelled/"):
        return name in listed
    return _digest(name) % (5 if name.startswith("shelves/") else 20) == 0


def is_for_threshold(name: str) -> bool:
    """Whether the threshold is chosen on a held-out negative; on the others, false detections are counted."""
    return _digest("threshold " + name) % 2 == 0


def _digest(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def validation_list() -> frozenset[str]:
    """Names of the hand-labelled images that are held out."""
    return frozenset(VALIDATION_LIST.read_text().split())


def split(images: Sequence[LabelledImage]) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Split images into the training set and the validation set."""
    return [each for each in images if not each.held_out], [each for each in images if each.held_out]


def write(cache: Path, images: Iterable[LabelledImage]) -> None:
    """Write images to ``cache`` (.npz); those longer than `MAX_SIDE` are shrunk with their boxes and landmarks."""
    columns: dict[str, list[Any]] = defaultdict(list)
    for index, image in enumerate(images):
        scale = min(1.0, MAX_SIDE / max(image.pixels.shape))
        pixels, factor = image.pixels, np.float32(scale)
        if scale < 1:
            pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        columns["images"].append(cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])[1].ravel())
        columns["name"].append(image.name)
        columns["kind"].append(image.kind)
        columns["expression"].append(image.expression)
        columns["held"].append(image.held_out)
        columns["boxes"].append(image.boxes * factor)
        columns["landmarks"].append(image.landmarks * factor)
        columns["likely"].append(image.confidence)
        columns["owner"].append(np.full(len(image.confidence), index))
        columns["mined"].append(image.mined * factor)
        columns["mined_owner"].append(np.full(len(image.mined), index))
    cache.parent.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum([len(content) for content in columns["images"]])
    for name in ("images", "boxes", "landmarks", "likely", "owner", "mined", "mined_owner"):
        columns[name] = np.concatenate(columns[name])
    np.savez(cache, ends=ends, **{name: np.asarray(values) for name, values in columns.items()})


def read(cache: Path) -> Iterator[LabelledImage]:
    """Yield the images of a cache in order; SettingsError if an earlier version wrote it."""
    with np.load(cache) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if "mined" not in arrays:
        raise SettingsError(f"{cache}: was written by an earlier version; run `python -m training prepare` again")
    every = np.arange(len(arrays["ends"]) + 1)
    first, first_mined = (np.searchsorted(arrays[name], every) for name in ("owner", "mined_owner"))
    start = 0
    for index, end in enumerate(arrays["ends"]):
        faces = np.s_[first[index] : first[index + 1]]
        yield LabelledImage(
            str(arrays["name"][index]),
            str(arrays["kind"][index]),
            str(arrays["expression"][index]),
            cv2.imdecode(arrays["images"][start:end], cv2.IMREAD_GRAYSCALE),
            arrays["boxes"][faces],
            arrays["landmarks"][faces],
            arrays["likely"][faces],
            bool(arrays["held"][index]),
            arrays["mined"][first_mined[index] : first_mined[index + 1]],
        )
        start = end


def read_image(archive: zipfile.ZipFile, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Encoded bytes (n,) of an image in an archive, and its grey pixels (h, w); None if it is missing or broken."""
    try:
        content = np.frombuffer(archive.read(name), np.uint8)
    except (KeyError, zipfile.BadZipFile):
        return np.zeros(0, np.uint8), None
    return content, cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None


def decode_colour(content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decode the bytes (n,) of an image file to BGR pixels (h, w, 3)."""
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def no_labels() -> FaceLabels:
    """Boxes, landmarks and confidence of an image without faces."""
    return np.zeros((0, 4), np.float32), np.zeros((0, 10), np.float32), np.zeros(0, np.float32)


def is_turned(image: LabelledImage) -> NDArray[np.bool_]:
    """Which faces (n,) are turned aside, by their landmarks; False where landmarks are unknown."""
    points = image.landmarks.reshape(-1, 5, 2)
    between_eyes = points[:, 1] - points[:, 0]
    distance = np.maximum(np.hypot(*between_eyes.T), 1e-6)
    nose_offset = ((points[:, 2] - points[:, :2].mean(1)) * between_eyes).sum(1) / distance
    return np.asarray(np.abs(nose_offset) > TURNED_NOSE_OFFSET * distance)
