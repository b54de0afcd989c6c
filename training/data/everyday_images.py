"""Read ``diverse.zip`` with its lists as labelled images of everyday scenes for the detector.

Images without people are background: they hold no faces, whatever a teacher detects. Crowds have hand-drawn boxes. All
other images are labelled by the teacher, and left out without one.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from training.data.fer2013 import OnBroken, report_broken
from training.data.hand_labels import centres, contains, merge_labels, tighten_boxes
from training.data.labelled_images import (
    BOX,
    FaceLabels,
    LabelledImage,
    Labeller,
    decode_colour,
    no_labels,
    read_image,
)

IMAGES, FACES, ARCHIVE = "diverse_images.csv", "diverse_faces.csv", "diverse.zip"
"""The list of images, the list of hand-drawn boxes, and the images."""
OCCLUDED_PROFILE = 0.6
"""Target score of a partly occluded face in profile: people recognise it by its context, which a detector may not."""


def read(data: Path, broken: OnBroken, teacher: Labeller | None) -> Iterator[LabelledImage]:
    """Yield the images of a folder with the three files; none if they do not exist.

    Their kind is background (without people), crowd (hand-drawn boxes) or everyday (labelled by the teacher).
    """
    if not (data / ARCHIVE).exists():
        return
    table = pd.read_csv(data / IMAGES, keep_default_na=False)
    faces = dict(iter(pd.read_csv(data / FACES).groupby("image", sort=False)))
    with zipfile.ZipFile(data / ARCHIVE) as archive:
        for row in tqdm(table.itertuples(), total=len(table), desc="everyday images"):
            kind = _kind(row.kind, row.image in faces)
            if kind == "everyday" and teacher is None:
                continue
            content, grey = read_image(archive, row.image)
            if grey is None:
                report_broken(broken, f"{data / ARCHIVE}: {row.image}: not an image")
                continue
            labels = teacher(decode_colour(content)) if teacher and kind != "background" else no_labels()
            if kind == "crowd":
                labels = crowd_labels(faces[row.image], labels, for_training=row.part == "train")
            yield LabelledImage(row.image, kind, "", grey, *labels, row.part == "validation")


def _kind(kind: str, has_boxes: bool) -> str:
    if kind == "no-people":
        return "background"
    return "crowd" if has_boxes else "everyday"


def crowd_labels(rows: pd.DataFrame, teacher: FaceLabels, *, for_training: bool) -> FaceLabels:
    """Merge an image's hand-drawn faces (rows of ``diverse_faces.csv``) with a teacher's labels.

    The teacher's other boxes are ignored by the loss; those on backs of heads are dropped. For training, boxes are as
    tight as the teacher's; for validation they stay as drawn.
    """
    faces = rows[rows.kind == "face"]
    human, heads = faces[BOX].to_numpy(np.float32), rows.loc[rows.kind == "head", BOX].to_numpy(np.float32)
    confidence = np.where((faces.view == "profile") & (faces.occluded == 1), OCCLUDED_PROFILE, 1.0).astype(np.float32)
    others = ~contains(np.concatenate([human, heads]), centres(teacher[0])).any(0)
    labels = merge_labels(human, confidence, teacher, others)
    if for_training:
        labels[0][: len(human)] = tighten_boxes(human, teacher[0])
    return labels
