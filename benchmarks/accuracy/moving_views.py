"""Count the faces of held-out images while a virtual camera moves over them, as in docs/accuracy.md.

``python -m benchmarks.accuracy.moving_views DATA [--part 0|1] [--card NAME_OR_PATH ...] [--write]``

DATA holds ``scenes.zip`` and ``diverse.zip`` with their lists. Every image of the validation set that people labelled
(crowds, labelled images) or that shows no people becomes a short video: the camera pans across it, with the noise of a
sensor and the compression of H.264. The device's detector, face check and tracker count it. Each counted track is
compared with the boxes that people drew. The motion depends on the image's name only, so every run sees the same
frames.

``--part`` takes every other image: settings are chosen on one half, and the other half shows how good they are. An
image that moves is no visitor who walks: nobody turns, and all faces move alike. But there are far more faces, and
far more of what looks like one, than in the clips.
"""

import argparse
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.accuracy.camera_pan import FPS, Floats, video
from benchmarks.accuracy.counting import replace_between_markers
from benchmarks.accuracy.detections import shipped_check, without_check
from edge.build import detector_bundle
from edge.counting.track import Tracker
from edge.settings import TrackSettings
from edge.values import Box, Detection, Track
from edge.vision.bundle import DEFAULT_DETECTOR, STILL_IMAGE_DETECTOR
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck
from training.data import everyday_images
from training.data.labelled_images import BOX, is_validation, read_image, validation_list

BEGIN, END = "<!-- moving views: begin -->", "<!-- moving views: end -->"
MIN_FRAMES, MIN_PX = 10, 16.0
"""A face must be found if it is in view in so many frames with at least so many pixels."""
AREA_RATIO = (0.1, 2.2)
"""A detection belongs to a box if its area over the box's is between these."""
FACE, PROFILE, BACK = "face", "profile", "back"
"""Views of a labelled head. In the labelled images profiles are not marked, and there are no backs of heads."""


@dataclass(frozen=True, slots=True)
class DrawnImage:
    """An image with the heads that people drew."""

    archive: str
    name: str
    """Path in the archive."""
    boxes: Floats
    """Left, top, width and height of each head, pixels, (n, 4)."""
    views: tuple[str, ...]
    """``face``, ``profile`` or ``back`` of each head."""
    has_people: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was counted in videos, beside the heads that people drew."""

    faces: int = 0
    """Faces that must be found, profiles included."""
    found: int = 0
    """Of these, counted at least once."""
    profiles: int = 0
    """Faces in profile that must be found."""
    profiles_found: int = 0
    twice: int = 0
    """Visits of a face that was counted already."""
    backs: int = 0
    """Visits that are backs of heads."""
    other: int = 0
    """Visits that are none of the drawn heads, in images with people."""
    background: int = 0
    """Visits in images without people."""

    def __add__(self, added: "Outcome") -> "Outcome":
        """Return the sums over both."""
        return Outcome(*(one + two for one, two in zip(astuple(self), astuple(added), strict=True)))


def held_out_images(data: Path) -> list[DrawnImage]:
    """Return the held-out images: those labelled by people, crowds, and those without people."""
    images, faces = (pd.read_csv(data / name, keep_default_na=False) for name in ("images.csv", "faces.csv"))
    drawn = dict(iter(faces[faces["source"] == "human"].groupby("image")))
    listed = validation_list()
    found = [
        _drawn_image("scenes.zip", name, drawn.get(name), has_people=True)
        for name, kind in zip(images["image"], images["kind"], strict=True)
        if kind == "labelled-still" and is_validation(name, listed)
    ]
    images = pd.read_csv(data / everyday_images.IMAGES, keep_default_na=False)
    drawn = dict(iter(pd.read_csv(data / everyday_images.FACES).groupby("image")))
    held = images[(images["part"] == "validation") & (images["image"].isin(drawn) | (images["kind"] == "no-people"))]
    return found + [
        _drawn_image(everyday_images.ARCHIVE, name, drawn.get(name), has_people=kind != "no-people")
        for name, kind in zip(held["image"], held["kind"], strict=True)
    ]


def _drawn_image(archive: str, name: str, rows: pd.DataFrame | None, *, has_people: bool) -> DrawnImage:
    if rows is None:
        return DrawnImage(archive, name, np.zeros((0, 4)), (), has_people)
    labelled = rows["view"] if "view" in rows else [FACE] * len(rows)
    views = tuple(view if view in (PROFILE, BACK) else FACE for view in labelled)
    return DrawnImage(archive, name, rows[BOX].to_numpy(float), views, has_people)


def drawn_head(face: Detection, boxes: Floats) -> int | None:
    """Return the index of the drawn box (n, 4) that a detection shows; None if it shows none."""
    best, nearest = None, np.inf
    for index, box in enumerate(map(Box._make, boxes)):
        x, y = (own - other for own, other in zip(face.centre, box.centre, strict=True))
        is_near = abs(x) < box.width / 2 and abs(y) < box.height / 2
        if is_near and AREA_RATIO[0] < face.box.area / max(box.area, 1e-6) < AREA_RATIO[1] and np.hypot(x, y) < nearest:
            best, nearest = index, float(np.hypot(x, y))
    return best


def visit_owners(
    frames: Sequence[Sequence[Detection]], boxes: Sequence[Floats], shape: tuple[int, int], settings: TrackSettings
) -> list[int | None]:
    """Track the detections of a video; return the head that each visit shows most often, None for none."""
    tracker, visits = Tracker(settings), list[Track]()
    heads: dict[int, Counter[int | None]] = {}
    for index, faces in enumerate(frames):
        tracks = tracker.update(faces, index / FPS, shape)
        visits += tracks.visits
        for track in tracks.seen:
            heads.setdefault(track.number, Counter())[drawn_head(track.face, boxes[index])] += 1
    visits += tracker.finish().visits
    return [heads[visit.number].most_common(1)[0][0] for visit in visits]


def outcome(
    image: DrawnImage, boxes: Sequence[Floats], shape: tuple[int, int], owners: Sequence[int | None]
) -> Outcome:
    """Compare the heads that the visits show with all heads drawn in an image."""
    views, visits = np.array(image.views, str), Counter(owners)
    counted = np.array([visits[head] for head in range(len(views))], int)
    is_profile, is_face = views == PROFILE, views != BACK
    required = _in_view(np.array(boxes), shape) & is_face
    return Outcome(
        faces=int(required.sum()),
        found=int((required & (counted > 0)).sum()),
        profiles=int((required & is_profile).sum()),
        profiles_found=int((required & is_profile & (counted > 0)).sum()),
        twice=int(np.maximum(counted[is_face] - 1, 0).sum()),
        backs=int(counted[~is_face].sum()),
        other=visits[None] if image.has_people else 0,
        background=0 if image.has_people else visits[None],
    )


def _in_view(boxes: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which heads (n,) are long enough in view and large enough, by their boxes in all frames (frames, n, 4)."""
    x, y = boxes[..., 0] + boxes[..., 2] / 2, boxes[..., 1] + boxes[..., 3] / 2
    is_inside = (x > 0) & (x < shape[1]) & (y > 0) & (y < shape[0])
    large = boxes[..., 2:].max(-1) >= MIN_PX
    return np.asarray((is_inside & large).sum(0) >= MIN_FRAMES, bool)


@cache
def _detector(card: str) -> tuple[Detector, FaceCheck, TrackSettings]:
    """Load a detector, the face check and the settings of the tracker, once in a process."""
    cv2.setNumThreads(1)
    bundle = detector_bundle(card)
    settings = TrackSettings().for_detector(bundle.card.threshold)
    return Detector(bundle, settings.low), shipped_check(), settings


def count(image: DrawnImage, data: Path, cards: Sequence[str]) -> dict[str, Outcome]:
    """Count the video of one image with each detector, without and with the face check."""
    with zipfile.ZipFile(data / image.archive) as archive:
        _, pixels = read_image(archive, image.name)
    if pixels is None:
        raise SystemExit(f"{data / image.archive}: {image.name}: must be an image")
    frames, boxes = video(pixels, image.boxes, image.name)
    shape, outcomes = (frames[0].shape[0], frames[0].shape[1]), {}
    for card in cards:
        detector, check, settings = _detector(card)
        found = [check.check(frame, detector.detect(frame)) for frame in frames]
        for title, faces in (("without check", list(map(without_check, found))), ("with check", found)):
            owners = visit_owners(faces, boxes, shape, settings)
            outcomes[f"{Path(card).stem} {title}"] = outcome(image, boxes, shape, owners)
    return outcomes


def add_up(outcomes: Iterable[dict[str, Outcome]]) -> dict[str, Outcome]:
    """Return the sums over images, by detector and check."""
    sums: dict[str, Outcome] = {}
    for each in outcomes:
        sums |= {title: sums.get(title, Outcome()) + added for title, added in each.items()}
    return sums


def table(columns: dict[str, Outcome]) -> list[str]:
    """Return what was counted, as lines of a Markdown table."""
    rows: dict[str, list[object]] = {
        "faces found": [f"{each.found} of {each.faces}" for each in columns.values()],
        "of them profiles": [f"{each.profiles_found} of {each.profiles}" for each in columns.values()],
        "faces counted again": [each.twice for each in columns.values()],
        "backs of heads counted": [each.backs for each in columns.values()],
        "other visits, images with people": [each.other for each in columns.values()],
        "visits, images without people": [each.background for each in columns.values()],
    }
    lines = [f"| counted | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    return lines + [f"| {name} | {' | '.join(map(str, cells))} |" for name, cells in rows.items()]


def main() -> None:
    """Measure and print the table, and write it to docs/accuracy.md with ``--write``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.moving_views", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("data", type=Path, help="folder with scenes.zip and diverse.zip")
    parser.add_argument("--part", type=int, choices=(0, 1), help="take every other image (default: all)")
    parser.add_argument("--card", nargs="+", default=[DEFAULT_DETECTOR.stem, STILL_IMAGE_DETECTOR.stem])
    parser.add_argument("--processes", type=int, default=2, help="processes side by side (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write the table to docs/accuracy.md")
    arguments = parser.parse_args()
    chosen = held_out_images(arguments.data)
    if arguments.part is not None:
        chosen = chosen[arguments.part :: 2]
    # A forked process would wait for threads of the networks' runtime that it does not have.
    with get_context("spawn").Pool(arguments.processes) as pool:
        counted = pool.imap(partial(count, data=arguments.data, cards=arguments.card), chosen, chunksize=4)
        text = "\n".join(table(add_up(counted)))
    print(text)
    if arguments.write:
        replace_between_markers(text, begin=BEGIN, end=END)


if __name__ == "__main__":
    main()
