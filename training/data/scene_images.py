"""Read ``scenes.zip`` with its lists ``images.csv`` and ``faces.csv`` as labelled images for the detector."""

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
    LANDMARKS,
    FaceLabels,
    Floats,
    LabelledImage,
    Labeller,
    decode_colour,
    is_validation,
    read_image,
    validation_list,
)

MIN_FACE_SCORE = 0.8
"""Score in ``faces.csv`` from which a teacher's box is a face; below, nothing is known and the loss ignores it."""


def read(data: Path, broken: OnBroken, teacher: Labeller | None) -> Iterator[LabelledImage]:
    """Yield the images of ``scenes.zip`` with the faces of ``faces.csv``.

    A ``teacher`` labels the training images anew, except negatives and hand-drawn boxes. Frames of the labelled videos
    are never held out.
    """
    images = pd.read_csv(data / "images.csv", keep_default_na=False)
    table, listed = pd.read_csv(data / "faces.csv"), validation_list()
    faces = dict(iter(table.groupby("image", sort=False)))
    with zipfile.ZipFile(data / "scenes.zip") as archive:
        for row in tqdm(images.itertuples(), total=len(images), desc="images"):
            content, grey = read_image(archive, row.image)
            if grey is None:
                report_broken(broken, f"{data / 'scenes.zip'}: {row.image}: not an image")
                continue
            held_out = is_validation(row.image, listed)
            rows = faces.get(row.image, table[:0])
            relabelled = teacher is not None and row.kind != "negative" and not held_out
            labels = teacher(decode_colour(content)) if teacher and relabelled else _listed_labels(rows)
            human = rows.loc[rows.source == "human", BOX].to_numpy(np.float32)
            if len(human):
                labels = _with_hand_labels(human, labels, relabelled=relabelled, held_out=held_out)
            held_out = held_out and row.kind != "labelled-video"
            yield LabelledImage(row.image, row.kind, row.expression, grey, *labels, held_out)


def _listed_labels(rows: pd.DataFrame) -> FaceLabels:
    """The teacher's labels among an image's rows of ``faces.csv``."""
    rows = rows[rows.source != "human"]
    landmarks = rows[[f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]]
    confidence = (rows.score >= MIN_FACE_SCORE).to_numpy(np.float32)
    return rows[BOX].to_numpy(np.float32), landmarks.to_numpy(np.float32), confidence


def _with_hand_labels(human: Floats, teacher: FaceLabels, *, relabelled: bool, held_out: bool) -> FaceLabels:
    """Hand-drawn boxes (m, 4) merged with a teacher's labels; in the training set, boxes are as tight as the teacher's.

    If the image was ``relabelled``, uncertain boxes of the teacher are dropped.
    """
    boxes, _, confidence = teacher
    others = ~contains(human, centres(boxes)).any(0)
    if relabelled:
        others &= confidence == 1
    labels = merge_labels(human, np.ones(len(human), np.float32), teacher, others)
    if not held_out:
        labels[0][: len(human)] = tighten_boxes(human, boxes)
    return labels
