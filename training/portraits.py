"""Faces of FER2013 -> heads whose faces may be put in the place of others': many people more than scenes have."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training import fer
from training.scenes import Floats, Scene
from training.teacher import Teacher

BORDER = 12
"""Faces fill FER2013's pictures, and the teacher looks for some ground around them."""
SHOWN = 192
"""The teacher is shown them so large, pixels."""
SURE = 0.6


def read(folder: Path, teacher: Teacher) -> list[Scene]:
    """The folder with FER2013 -> those faces of its training part that the teacher is sure of; none without it."""
    if not folder.is_dir():
        return []
    held = fer.read(folder, "stop")
    found = {row: look(held.pixels[row], teacher) for row in tqdm(np.flatnonzero(held.part == "train"), "portraits")}
    return [
        Scene(f"fer2013/{row}", "portrait", "", held.pixels[row], *(each[None] for each in seen), np.ones(1, bool))
        for row, seen in found.items()
        if seen
    ]


def look(face: NDArray[np.uint8], teacher: Teacher) -> tuple[Floats, Floats] | None:
    """A face that fills its picture -> its box and landmarks, or None if the teacher is not sure of one."""
    shown = cv2.copyMakeBorder(face, *[BORDER] * 4, cv2.BORDER_REPLICATE)
    rows = teacher.look(cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR), SHOWN)
    if not len(rows) or rows[:, 14].max() < SURE:
        return None
    best = rows[rows[:, 14].argmax()]
    return best[:4] - [BORDER, BORDER, 0, 0], best[4:14] - BORDER
