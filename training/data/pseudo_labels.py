"""A detector of others -> faces of pictures that nobody drew boxes on, by several looks at each."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from training.data.labelled_images import MIRRORED, FaceLabels, Floats, overlap

LONG_SIDES = (400, 640, 960)
"""A picture is shown in these sizes, pixels, but no more than twice its own, each time with its mirror image."""
LOWEST = 0.05
"""Scores from here on are averaged."""
SAME = 0.4
"""Boxes of two looks that overlap (intersection over union) by so much are one face."""
FACE, DOUBTFUL = 0.45, 0.1
"""Mean scores from which a box is a face, or may be one. On the labelled stills that are trained on (335 faces of 16
pixels and more), faces are 85 % of those people drew, and 96 % of them are right; 4.5 % have not even a doubtful box.
By one look alone (``faces.csv``: 0.8 and 0.5) these are 69, 99 and 14 %."""
LIKELIER = 0.07
"""Of doubtful boxes so much more are faces than their score says: on the same stills 0.20, 0.25, 0.31 and 0.39 of those
with 0.1 to 0.15, to 0.2, to 0.3 and to 0.4. The others are what is taken for faces: hands, clothes, bags."""


class Teacher:
    """YuNet (Wu et al. 2023) in several looks, whose answers are averaged, as in distillation from transformed data
    (Radosavovic et al. 2018).
    """

    def __init__(self, model: Path) -> None:
        """A file that `cv2.FaceDetectorYN` takes; SettingsError if it does not take it."""
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (320, 320), LOWEST, 0.3, 500)
        except cv2.error as error:
            raise SettingsError(f"model.teacher: {model}: no detector that OpenCV reads: {error.err}") from error

    def faces(self, picture: NDArray[np.uint8]) -> FaceLabels:
        """A picture (h, w, 3) -> boxes (n, 4) left, top, width, height; landmarks (n, 10), both in its pixels;
        ``confidence`` (n,), as those of `Scene`.
        """
        sides = sorted({min(side, 2 * max(picture.shape[:2])) for side in LONG_SIDES})
        looks = [self._look(picture, side, flip) for side in sides for flip in (False, True)]
        boxes, landmarks, scores = _joined(looks)
        seen = scores >= DOUBTFUL
        confidence = np.where(scores >= FACE, 1, scores + LIKELIER).astype(np.float32)
        return boxes[seen], landmarks[seen], confidence[seen]

    def _look(self, picture: NDArray[np.uint8], long_side: int, flip: bool) -> Floats:
        """Rows (n, 15) of box, landmarks and score, in pixels of the picture."""
        scale = long_side / max(picture.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        shown = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method)
        width = shown.shape[1]
        self._net.setInputSize((width, shown.shape[0]))
        _, found = self._net.detect(np.ascontiguousarray(shown[:, ::-1]) if flip else shown)
        if found is None:
            return np.zeros((0, 15), np.float32)
        if flip:
            found[:, 0] = width - found[:, 0] - found[:, 2]
            points = found[:, 4:14].reshape(-1, 5, 2)[:, MIRRORED]
            points[..., 0] = width - points[..., 0]
            found[:, 4:14] = points.reshape(-1, 10)
        found[:, :14] /= scale
        return found


def _joined(looks: list[Floats]) -> tuple[Floats, Floats, Floats]:
    """Rows of each look -> boxes, landmarks and scores of the faces: places are means weighted by score squared, a
    score is the mean over all looks, 0 for one that did not see the face.
    """
    rows = np.concatenate(looks)
    look = np.repeat(np.arange(len(looks)), [len(each) for each in looks])
    order = np.argsort(-rows[:, 14], kind="stable")
    rows, look = rows[order], look[order]
    faces: list[Floats] = []
    left = np.ones(len(rows), bool)
    for index, row in enumerate(rows):
        if not left[index]:
            continue
        same = left & (overlap(row[:4], rows[:, :4]) > SAME)
        left &= ~same
        score = sum(rows[same & (look == each), 14].max(initial=0.0) for each in range(len(looks))) / len(looks)
        place = np.average(rows[same, :14], axis=0, weights=rows[same, 14] ** 2)
        faces.append(np.append(place, score).astype(np.float32))
    made = np.array(faces, np.float32).reshape(-1, 15)
    return made[:, :4], made[:, 4:14], made[:, 14]
