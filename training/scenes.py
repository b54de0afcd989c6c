"""scenes.zip, images.csv, faces.csv -> one compact cache of grey pictures with faces, split by source."""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

LONGEST = 640
"""Pictures are cached at most this long, pixels."""
POSITIVE_SCORE = 0.8
"""Teacher boxes at or above are faces; below, the teacher is not sure and the loss ignores the place."""
LANDMARKS = ["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"]
VALIDATION = Path(__file__).parent / "validation.txt"
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scene:
    """A grey picture (h, w) uint8 and its faces: boxes (n, 4) left, top, width, height; landmarks (n, 10), NaN where
    not known; ``sure`` (n,) false where a box only may be a face. Pixels of this picture.
    """

    name: str
    kind: str
    expression: str
    pixels: NDArray[np.uint8]
    boxes: Floats
    landmarks: Floats
    sure: NDArray[np.bool_]


def is_validation(name: str, listed: frozenset[str]) -> bool:
    """Labelled stills are split by the checked-in list; of the rest every twentieth, of the shelves, on which false
    faces are rare and many pictures are needed to count them, every fifth, by a hash of the name.
    """
    if name.startswith("labelled/"):
        return name in listed
    return _digest(name) % (5 if name.startswith("shelves/") else 20) == 0


def chooses_threshold(name: str) -> bool:
    """Whether a held-back shelf is one that a threshold is chosen on; on the others false faces are counted."""
    return _digest("threshold " + name) % 2 == 0


def _digest(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def validation_list() -> frozenset[str]:
    """Names of the labelled stills that no model is trained on."""
    return frozenset(VALIDATION.read_text().split())


def prepare(data: Path, cache: Path) -> None:
    """The folder with scenes.zip, images.csv and faces.csv -> the cache, a NumPy archive of JPEG bytes and boxes."""
    images = pd.read_csv(data / "images.csv", keep_default_na=False)
    faces = dict(iter(pd.read_csv(data / "faces.csv").groupby("image", sort=False)))
    pictures, boxes, landmarks, sure, owner = [], [], [], [], []
    with zipfile.ZipFile(data / "scenes.zip") as archive:
        for index, row in enumerate(tqdm(images.itertuples(), total=len(images), desc="pictures")):
            grey = cv2.imdecode(np.frombuffer(archive.read(row.image), np.uint8), cv2.IMREAD_GRAYSCALE)
            scale = min(1.0, LONGEST / max(grey.shape))
            if scale < 1:
                grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            pictures.append(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
            if row.image in faces:
                of_picture = _faces(faces[row.image])
                boxes.append(of_picture[0] * scale)
                landmarks.append(of_picture[1] * scale)
                sure.append(of_picture[2])
                owner += [index] * len(of_picture[2])
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        cache,
        names=images.image.to_numpy(str),
        kinds=images.kind.to_numpy(str),
        expressions=images.expression.to_numpy(str),
        jpeg=np.concatenate(pictures),
        ends=np.cumsum([len(picture) for picture in pictures]),
        boxes=np.concatenate(boxes).astype(np.float32),
        landmarks=np.concatenate(landmarks).astype(np.float32),
        sure=np.concatenate(sure),
        owner=np.array(owner),
    )


def _faces(rows: pd.DataFrame) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Rows of one picture -> boxes, landmarks, sure. Where people drew boxes theirs count, with the landmarks of the
    teacher's box whose centre lies inside; a teacher's box that no human box explains is not sure.
    """
    box = rows[["x", "y", "w", "h"]].to_numpy(np.float32)
    points = rows[[f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]].to_numpy(np.float32)
    human = (rows.source == "human").to_numpy()
    if not human.any():
        return box, points, (rows.score >= POSITIVE_SCORE).to_numpy()
    centre = box[:, :2] + box[:, 2:] / 2
    explained = np.zeros(len(box), bool)
    for at in np.flatnonzero(human):
        x, y, w, h = box[at]
        inside = (np.abs(centre - [x + w / 2, y + h / 2]) < [w / 2, h / 2]).all(1) & ~human
        explained |= inside
        if inside.sum() == 1:
            points[at] = points[np.flatnonzero(inside)[0]]
    keep = human | ~explained
    return box[keep], points[keep], human[keep]


def read(cache: Path) -> Iterator[Scene]:
    """The cache -> its scenes, decoded, in order."""
    with np.load(cache) as held:
        arrays = {name: held[name] for name in held.files}
    start = 0
    for index, end in enumerate(arrays["ends"]):
        mine = arrays["owner"] == index
        yield Scene(
            str(arrays["names"][index]),
            str(arrays["kinds"][index]),
            str(arrays["expressions"][index]),
            cv2.imdecode(arrays["jpeg"][start:end], cv2.IMREAD_GRAYSCALE),
            arrays["boxes"][mine],
            arrays["landmarks"][mine],
            arrays["sure"][mine],
        )
        start = end


def split(scenes: Sequence[Scene]) -> tuple[list[Scene], list[Scene]]:
    """Scenes -> those to train on, those to validate on. Frames of the labelled videos are never validated on."""
    listed = validation_list()
    held = [is_validation(scene.name, listed) and scene.kind != "labelled-video" for scene in scenes]
    return (
        [scene for scene, out in zip(scenes, held, strict=True) if not out],
        [scene for scene, out in zip(scenes, held, strict=True) if out],
    )
