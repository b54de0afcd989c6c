"""Detections that the face check is trained and measured on, with their crops and labels, and their cache."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from edge.values import Detection
from edge.vision.crop import crop_square
from training.data import check_labels
from training.data.check_labels import DrawnHeads, Label
from training.data.labelled_images import Floats, LabelledImage
from training.data.packed_images import HIGH_QUALITY, pack

Grey = NDArray[np.uint8]
Detect = Callable[[Grey], Sequence[Detection]]
Teacher = Callable[[Grey, Detection], Floats]
"""Scores (n,) that a teacher gives the place of a detection in a grey image, one for each of its views."""
MIN_SCORE = 0.04
"""Lowest score of a detection in an image without people and in a held-out one."""
MIN_SCORE_WITH_PEOPLE = 0.08
"""The same in a training image with people."""
MOST = {"photo": 6, "labelled-still": 60, "labelled-video": 60, "crowd": 60}
"""Detections that are taken from a training image of these kinds, the best ones."""
MOST_OTHERWISE = 24
"""The same of a street scene or an everyday image."""
NO_PEOPLE = ("negative", "background")
"""Kinds of images in which nothing is a face."""
DRAWN = ("labelled-still", "labelled-video", "crowd")
"""Kinds of images with hand-drawn boxes."""
CROP_SIDE = 96
"""Side of a cached crop, pixels."""
CROP_SIZES = 2.5
"""Side of a cached crop, in sizes (longer sides) of the detection's box. The detection is in its middle."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One detection."""

    image: str
    """Name of its image."""
    held_out: bool
    """Whether its image is in the validation set."""
    detector: int
    """Index of the detector it comes from."""
    score: float
    """The detector's score."""
    size: float
    """Longer side of its box, pixels of the image."""
    label: Label
    crop: Grey
    """Grey crop, (`CROP_SIDE`, `CROP_SIDE`)."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The n detections of a cache, or of a part of it."""

    content: Grey
    """Compressed crops of all detections of the cache."""
    starts: NDArray[np.int64]
    """Where in ``content`` each crop begins, (n,)."""
    ends: NDArray[np.int64]
    """Where it ends, (n,)."""
    image: NDArray[np.int64]
    """Number of the image of each detection, (n,)."""
    held_out: NDArray[np.bool_]
    """Whether its image is in the validation set, (n,)."""
    score: Floats
    """The detector's score, (n,)."""
    threshold: Floats
    """The detector's threshold, (n,)."""
    size: Floats
    """Longer side of the box, pixels of the image, (n,)."""
    target: Floats
    """1 for a face, 0 for a look-alike, (n,)."""
    weight: Floats
    """Weight in training, (n,)."""
    back: NDArray[np.bool_]
    """Whether it is a head seen from behind, (n,)."""

    def __len__(self) -> int:
        return len(self.score)

    def crop(self, index: int) -> Grey:
        """Crop of a detection, (`CROP_SIDE`, `CROP_SIDE`)."""
        return np.asarray(cv2.imdecode(self.content[self.starts[index] : self.ends[index]], cv2.IMREAD_GRAYSCALE))

    def in_crop(self, index: int) -> Detection:
        """A detection as it lies in its crop."""
        size = CROP_SIDE / CROP_SIZES
        corner = (CROP_SIDE - 1 - size) / 2  # crops are cut around the index of a pixel
        return Detection((corner, corner, size, size), float(self.score[index]))

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "Candidates":
        """The chosen detections."""
        arrays = {each.name: getattr(self, each.name)[chosen] for each in fields(self) if each.name != "content"}
        return replace(self, **arrays)


def collect(
    images: Iterable[LabelledImage],
    detectors: Sequence[Detect],
    heads: Mapping[str, DrawnHeads],
    teacher: Teacher | None = None,
) -> Iterator[Candidate]:
    """Yield the labelled detections in the images; the detectors must return all down to `MIN_SCORE`.

    ``heads`` are the hand-drawn boxes by the name of the image. A ``teacher`` labels the training images that nobody
    labelled; without one they are left out. Held-out images of that kind are always left out: figures are measured
    against people's labels. Detections that cannot be labelled are left out.
    """
    for image in images:
        labelled = image.kind in NO_PEOPLE or image.kind in DRAWN
        if not labelled and (teacher is None or image.held_out):
            continue
        for number, face in _detections(image, detectors):
            label = _label(image, face, heads, teacher)
            if label:
                crop = crop_square(image.pixels, face.centre, CROP_SIZES * face.size, 0.0, (CROP_SIDE, CROP_SIDE))
                yield Candidate(image.name, image.held_out, number, face.score, face.size, label, crop)


def _detections(image: LabelledImage, detectors: Sequence[Detect]) -> list[tuple[int, Detection]]:
    """Detections in an image, each with the index of its detector."""
    found = [(number, face) for number, detect in enumerate(detectors) for face in detect(image.pixels)]
    if image.held_out or image.kind in NO_PEOPLE:
        return found
    found = [(number, face) for number, face in found if face.score >= MIN_SCORE_WITH_PEOPLE]
    return sorted(found, key=lambda each: -each[1].score)[: MOST.get(image.kind, MOST_OTHERWISE)]


def _label(
    image: LabelledImage, face: Detection, heads: Mapping[str, DrawnHeads], teacher: Teacher | None
) -> Label | None:
    if image.kind in NO_PEOPLE:
        return Label(0.0)
    if image.kind in DRAWN:
        ask = (lambda: teacher(image.pixels, face)) if teacher and not image.held_out else None
        return check_labels.by_hand(np.array(face.box, np.float32), heads.get(image.name, DrawnHeads()), ask)
    return check_labels.by_teacher(face.score, teacher(image.pixels, face)) if teacher else None


def write(cache: Path, candidates: Iterable[Candidate], thresholds: Sequence[float]) -> None:
    """Write detections to ``cache`` (.npz); ``thresholds`` are those of the detectors.

    SettingsError if there is no face or no look-alike to train on.
    """
    rows: list[Candidate] = []

    def crops() -> Iterator[Grey]:
        for each in candidates:
            rows.append(replace(each, crop=np.zeros(0, np.uint8)))
            yield each.crop

    content, ends = pack(crops(), HIGH_QUALITY)
    for what, present in (("face", True), ("look-alike", False)):
        if not any((each.label.target > 0) == present and not each.held_out for each in rows):
            raise SettingsError(f"{cache}: the training images must hold a detection of a {what}, hold none")
    numbers = {name: number for number, name in enumerate(dict.fromkeys(each.image for each in rows))}
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        cache,
        content=content,
        starts=np.concatenate([[0], ends[:-1]]),
        ends=ends,
        image=np.array([numbers[each.image] for each in rows]),
        held_out=np.array([each.held_out for each in rows]),
        score=np.array([each.score for each in rows], np.float32),
        threshold=np.array([thresholds[each.detector] for each in rows], np.float32),
        size=np.array([each.size for each in rows], np.float32),
        target=np.array([each.label.target for each in rows], np.float32),
        weight=np.array([each.label.weight for each in rows], np.float32),
        back=np.array([each.label.back for each in rows]),
    )


def read(cache: Path, *, held_out: bool) -> Candidates:
    """The detections of a cache that are held out, or those that are trained on.

    SettingsError if the cache was written for another task.
    """
    with np.load(cache) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if set(arrays) != {each.name for each in fields(Candidates)}:
        raise SettingsError(f"{cache}: must be the cache of a face check; run `python -m training prepare` again")
    every = Candidates(**arrays)
    return every.rows(every.held_out == held_out)
