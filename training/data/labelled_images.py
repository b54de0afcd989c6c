"""scenes.zip, diverse.zip and their lists -> one compact cache of grey images with faces, split by source."""

import hashlib
import itertools
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from base.errors import SettingsError
from training.data.fer2013 import OnBroken, report_broken

LONGEST = 640
"""Pictures are cached at most this long, pixels."""
QUALITY = 80
"""Of the WebP images in a cache, 1 to 100."""
POSITIVE_SCORE = 0.8
"""Boxes of faces.csv at or above are faces; below, nothing is known and the loss ignores the place."""
TURNED = 0.3
"""A face is turned if its nose is further than this share of the distance between the eyes from the middle of them."""
LANDMARKS = ["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"]
MIRRORED = [1, 0, 2, 4, 3]
"""Which landmark of a face stands for each in its mirror image: the right eye is the one that was left."""
BOX = ["x", "y", "w", "h"]
SAME = 0.25
"""A teacher's box and one that people drew are of the same face if they overlap (intersection over union) by more and
each is the other's best."""
TIGHT = 0.75
"""Sides of the teacher's boxes as a share of those people drew: the median on the labelled stills that are trained on
is 0.73 of the width and 0.75 of the height."""
VALIDATION = Path(__file__).parent / "validation.txt"
Floats = NDArray[np.float32]
FaceLabels = tuple[Floats, Floats, Floats]
"""Boxes (n, 4), landmarks (n, 10), likely (n,) of one picture, as in `LabelledImage`."""
Labeller = Callable[[NDArray[np.uint8]], FaceLabels]
"""A picture (h, w, 3) in colour -> what is found in it."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """A grey picture (h, w) uint8 and its faces: boxes (n, 4) left, top, width, height; landmarks (n, 10), NaN where
    not known; ``confidence`` (n,) float32, the chance that a box is a face: 1 for a label, 0 where nothing is known of it,
    between for what a teacher doubts. Pixels of this picture.
    """

    name: str
    kind: str
    expression: str
    pixels: NDArray[np.uint8]
    boxes: Floats
    landmarks: Floats
    confidence: Floats
    held: bool = False
    """Whether the image is for validation, and never trained on."""
    mined: Floats = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """Boxes (n, 4) of what an earlier detector took for faces, and is none (`training.data.hard_negatives`)."""

    @property
    def sure(self) -> NDArray[np.bool_]:
        """Which boxes (n,) are labels, to be found."""
        return self.confidence == 1


def is_validation(name: str, listed: frozenset[str]) -> bool:
    """Labelled stills are split by the checked-in list; of the rest every twentieth, of the shelves, on which false
    faces are rare and many pictures are needed to count them, every fifth, by a hash of the name.
    """
    if name.startswith("labelled/"):
        return name in listed
    return _digest(name) % (5 if name.startswith("shelves/") else 20) == 0


def is_for_threshold(name: str) -> bool:
    """Whether a held-back shelf is one that a threshold is chosen on; on the others false faces are counted."""
    return _digest("threshold " + name) % 2 == 0


def _digest(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def validation_list() -> frozenset[str]:
    """Names of the labelled stills that no model is trained on."""
    return frozenset(VALIDATION.read_text().split())


def prepare(
    data: Path,
    cache: Path,
    broken: OnBroken,
    teacher: Labeller | None = None,
    finish: "Callable[[Scene], Scene]" = lambda scene: scene,
) -> None:
    """The folder with scenes.zip, images.csv and faces.csv, and diverse.zip with its lists if there -> the cache.

    The cache is a NumPy archive of WebP bytes and boxes. A ``teacher`` looks again at what is trained on, except
    shelves; its faces replace those of the teacher in faces.csv. ``finish`` is called on each scene.
    """
    from training.data import everyday_images  # noqa: PLC0415 (it takes names of this module)

    both = itertools.chain(_listed_scenes(data, broken, teacher), everyday_images.read(data, broken, teacher))
    write(cache, map(finish, both))


def _listed_scenes(data: Path, broken: OnBroken, teacher: Labeller | None) -> Iterator["Scene"]:
    """The images of scenes.zip with the faces of faces.csv, or the teacher's."""
    images = pd.read_csv(data / "images.csv", keep_default_na=False)
    table, held_back = pd.read_csv(data / "faces.csv"), validation_list()
    faces = dict(iter(table.groupby("image", sort=False)))
    with zipfile.ZipFile(data / "scenes.zip") as archive:
        for row in tqdm(images.itertuples(), total=len(images), desc="images"):
            content, grey = read_image(archive, row.image)
            if grey is None:
                report_broken(broken, f"{data / 'scenes.zip'}: {row.image}: not an image")
                continue
            rows = faces.get(row.image, table[:0])
            boxes, landmarks, confidence = _listed(rows)
            besides, held = np.ones(len(confidence), bool), is_validation(row.image, held_back)
            if teacher and row.kind != "negative" and not held:
                boxes, landmarks, confidence = teacher(decode_colour(content))
                besides = confidence == 1
            human = rows.loc[rows.source == "human", BOX].to_numpy(np.float32)
            if len(human):
                drawn = human if held else tighten_boxes(human, boxes)
                boxes, landmarks, confidence = _agreed(human, boxes, landmarks, besides)
                boxes[: len(human)] = drawn
            held = held and row.kind != "labelled-video"
            yield LabelledImage(row.image, row.kind, row.expression, grey, boxes, landmarks, confidence, held)


def write(cache: Path, scenes: Iterable["Scene"]) -> None:
    """Scenes -> one NumPy archive; images longer than `LONGEST` are shrunk, boxes and landmarks with them."""
    made: dict[str, list[Any]] = defaultdict(list)
    for index, scene in enumerate(scenes):
        scale = min(1.0, LONGEST / max(scene.pixels.shape))
        pixels = scene.pixels
        if scale < 1:
            pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        made["images"].append(cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].ravel())
        for name in ("name", "kind", "expression", "held"):
            made[name].append(getattr(scene, name))
        made["boxes"].append(scene.boxes * np.float32(scale))
        made["landmarks"].append(scene.landmarks * np.float32(scale))
        made["likely"].append(scene.confidence)
        made["owner"].append(np.full(len(scene.confidence), index))
        made["mined"].append(scene.mined * np.float32(scale))
        made["mined_owner"].append(np.full(len(scene.mined), index))
    cache.parent.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum([len(image) for image in made["images"]])
    for name in ("images", "boxes", "landmarks", "likely", "owner", "mined", "mined_owner"):
        made[name] = np.concatenate(made[name])
    np.savez(cache, ends=ends, **{name: np.asarray(values) for name, values in made.items()})


def decode_colour(content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bytes (n,) of an image file that opens -> pixels (h, w, 3), grey ones three times."""
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def no_labels() -> FaceLabels:
    """No boxes, landmarks, likely."""
    return np.zeros((0, 4), np.float32), np.zeros((0, 10), np.float32), np.zeros(0, np.float32)


def read_image(archive: zipfile.ZipFile, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Bytes (n,) of a picture in an archive, and its grey pixels (h, w), None where it is none or not there."""
    try:
        content = np.frombuffer(archive.read(name), np.uint8)
    except (KeyError, zipfile.BadZipFile):
        return np.zeros(0, np.uint8), None
    return content, cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None


def _listed(rows: pd.DataFrame) -> FaceLabels:
    """The teacher's among one picture's rows of faces.csv."""
    mine = rows[rows.source != "human"]
    points = mine[[f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]]
    return (
        mine[BOX].to_numpy(np.float32),
        points.to_numpy(np.float32),
        (mine.score >= POSITIVE_SCORE).to_numpy(np.float32),
    )


def tighten_boxes(human: Floats, teacher: Floats) -> Floats:
    """Boxes people drew around whole heads (m, 4), a teacher's boxes from brow to chin (k, 4) -> boxes (m, 4) as the
    teacher draws them: its own of that face or, where it found none, as much smaller as they usually are.

    A detector that learns both kinds draws boxes between the two, and one too large for a face that is half hidden.
    """
    made = human.copy()
    made[:, :2] += human[:, 2:] * (1 - TIGHT) / 2
    made[:, 2:] *= TIGHT
    if len(teacher):
        shared = np.stack([overlap(box, teacher) for box in human])
        mine = shared.argmax(1)
        best = (shared.argmax(0)[mine] == np.arange(len(human))) & (shared.max(1) > SAME)
        made[best] = teacher[mine[best]]
    return made


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box (4,) with each of (n, 4)."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    return np.asarray(shared / (box[2:].prod() + boxes[:, 2:].prod(1) - shared + 1e-6))


def _agreed(human: Floats, box: Floats, points: Floats, besides: NDArray[np.bool_]) -> FaceLabels:
    """Boxes people drew (m, 4), a teacher's faces -> theirs, with the landmarks of the teacher's box whose centre lies
    inside. Of the teacher's boxes that no human box explains those that are kept ``besides`` nothing is known.
    """
    centre = box[:, :2] + box[:, 2:] / 2
    explained = np.zeros(len(box), bool)
    known = np.full((len(human), 10), np.nan, np.float32)
    for at, (x, y, w, h) in enumerate(human):
        inside = (np.abs(centre - [x + w / 2, y + h / 2]) < [w / 2, h / 2]).all(1)
        explained |= inside
        if inside.sum() == 1:
            known[at] = points[inside][0]
    more = besides & ~explained
    confidence = np.repeat(np.float32([1, 0]), [len(human), more.sum()])
    return np.concatenate([human, box[more]]), np.concatenate([known, points[more]]), confidence


def read(cache: Path) -> Iterator[LabelledImage]:
    """The cache -> its scenes, decoded, in order; SettingsError for one of an earlier version."""
    with np.load(cache) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if "mined" not in arrays:
        raise SettingsError(f"{cache}: of an earlier version; prepare it again")
    every = np.arange(len(arrays["ends"]) + 1)
    first, first_mined = (np.searchsorted(arrays[name], every) for name in ("owner", "mined_owner"))
    start = 0
    for index, end in enumerate(arrays["ends"]):
        mine = np.s_[first[index] : first[index + 1]]
        yield LabelledImage(
            str(arrays["name"][index]),
            str(arrays["kind"][index]),
            str(arrays["expression"][index]),
            cv2.imdecode(arrays["images"][start:end], cv2.IMREAD_GRAYSCALE),
            arrays["boxes"][mine],
            arrays["landmarks"][mine],
            arrays["likely"][mine],
            bool(arrays["held"][index]),
            arrays["mined"][first_mined[index] : first_mined[index + 1]],
        )
        start = end


def split(scenes: Sequence[LabelledImage]) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Scenes -> those to train on, those to validate on. Frames of the labelled videos are never validated on."""
    return [scene for scene in scenes if not scene.held_out], [scene for scene in scenes if scene.held_out]


def is_turned(scene: LabelledImage) -> NDArray[np.bool_]:
    """Which faces (n,) of a scene look aside, by their landmarks; none whose landmarks are not known."""
    points = scene.landmarks.reshape(-1, 5, 2)
    apart = points[:, 1] - points[:, 0]
    length = np.maximum(np.hypot(*apart.T), 1e-6)
    beside = ((points[:, 2] - points[:, :2].mean(1)) * apart).sum(1) / length
    return np.asarray(np.abs(beside) > TURNED * length)
