"""diverse.zip, diverse_images.csv, diverse_faces.csv -> grey images of everyday scenes with faces, for the detector.

Images without people are background: nothing in them is a face, whatever a teacher says. Crowds have boxes drawn by
people. In all others the teacher's answer is the label; without a teacher they are left out.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from training.data.fer2013 import OnBroken, report_broken
from training.data.labelled_images import (
    BOX,
    FaceLabels,
    Floats,
    LabelledImage,
    Labeller,
    decode_colour,
    no_labels,
    read_image,
    tighten_boxes,
)

IMAGES, FACES, ARCHIVE = "diverse_images.csv", "diverse_faces.csv", "diverse.zip"
OCCLUDED_PROFILE = 0.6
"""Target score of a face in profile that something hides in part: people see it by its context, a detector may not."""


def read(data: Path, broken: OnBroken, teacher: Labeller | None) -> Iterator[LabelledImage]:
    """The folder with the three files -> its images; none if they are not there.

    ``kind`` of a scene is ``background`` (no people), ``crowd_labels`` (boxes by people) or ``everyday`` (by the teacher).
    """
    if not (data / ARCHIVE).exists():
        return
    table = pd.read_csv(data / IMAGES, keep_default_na=False)
    drawn = dict(iter(pd.read_csv(data / FACES).groupby("image", sort=False)))
    with zipfile.ZipFile(data / ARCHIVE) as archive:
        for row in tqdm(table.itertuples(), total=len(table), desc="everyday images"):
            kind = _kind(row.kind, row.image in drawn)
            if kind == "everyday" and teacher is None:
                continue
            content, grey = read_image(archive, row.image)
            if grey is None:
                report_broken(broken, f"{data / ARCHIVE}: {row.image}: not an image")
                continue
            seen = teacher(decode_colour(content)) if teacher and kind != "background" else no_labels()
            found = crowd_labels(drawn[row.image], seen, row.part == "train") if kind == "crowd" else seen
            yield LabelledImage(row.image, kind, "", grey, *found, row.part == "validation")


def _kind(kind: str, has_drawn: bool) -> str:
    if kind == "no-people":
        return "background"
    return "crowd" if has_drawn else "everyday"


def crowd_labels(rows: pd.DataFrame, seen: FaceLabels, trained_on: bool) -> FaceLabels:
    """Boxes that people drew in one image and the teacher's faces -> boxes (n, 4), landmarks (n, 10), likely (n,).

    Backs of heads are no faces and are left out. What the teacher sees beside the drawn faces is ignored. Boxes that a
    network is trained on are as tight as the teacher's; others stay as they were drawn.
    """
    faces = rows[rows.kind == "face"]
    boxes, (theirs, points, _) = faces[BOX].to_numpy(np.float32), seen
    confidence = np.where((faces.view == "profile") & (faces.occluded == 1), OCCLUDED_PROFILE, 1.0).astype(np.float32)
    landmarks = np.full((len(boxes), 10), np.nan, np.float32)
    centres = theirs[:, :2] + theirs[:, 2:] / 2
    backs = rows.loc[rows.kind == "head", BOX].to_numpy(np.float32)
    explained = _inside(centres, np.concatenate([boxes, backs])).any(1) if len(rows) else np.zeros(len(theirs), bool)
    for at, box in enumerate(boxes):
        mine = np.flatnonzero(_inside(centres, box[None])[:, 0])
        if len(mine) == 1:
            landmarks[at] = points[mine[0]]
    made = tighten_boxes(boxes, theirs) if trained_on and len(boxes) else boxes
    return (
        np.concatenate([made, theirs[~explained]]),
        np.concatenate([landmarks, points[~explained]]),
        np.concatenate([confidence, np.zeros((~explained).sum(), np.float32)]),
    )


def _inside(points: Floats, boxes: Floats) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Points (n, 2), boxes (m, 4) -> which point lies in which box, (n, m)."""
    low, high = boxes[None, :, :2], boxes[None, :, :2] + boxes[None, :, 2:]
    return np.asarray(((points[:, None] > low) & (points[:, None] < high)).all(-1))
