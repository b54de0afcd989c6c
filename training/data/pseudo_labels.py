"""Label the faces in images that nobody labelled, with a teacher network at several sizes and mirrored."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from base.errors import SettingsError
from edge.values import Detection
from edge.vision.boxes import iou
from edge.vision.crop import crop_square
from training.data.labelled_images import MIRRORED, FaceLabels, Floats

LONG_SIDES = (400, 640, 960)
"""Long sides that an image is resized to, pixels, but at most twice its own. Each size is used plain and mirrored."""
MIN_SCORE = 0.05
"""Lowest score that is averaged."""
SAME_FACE_OVERLAP = 0.4
"""Detections of several views are of one face if their intersection over union exceeds this."""
FACE_SCORE = 0.45
"""Mean score from which a box is a face.

On the hand-labelled training images (335 faces of at least 16 pixels) recall is 85 %, precision 96 %, and 4.5 % of the
faces have no box at all, not even an uncertain one. A single view (``faces.csv``: 0.8 and 0.5) reaches 69, 99 and
14 %."""
UNCERTAIN_SCORE = 0.1
"""Mean score from which a box may be a face."""
UNCERTAIN_BONUS = 0.07
"""Added to the mean score of an uncertain box: more of these boxes are faces than their score says.

On the same images, of the boxes with a mean score up to 0.15, 0.2, 0.3 and 0.4, a fraction of 0.20, 0.25, 0.31 and 0.39
are faces. The others are look-alikes: hands, clothes, bags."""

PLACE_SIZES = (52, 28)
"""Sizes, pixels, to which a detection is scaled when the teacher analyses its place alone."""
PLACE_SIDE = 4
"""Side of what the teacher then sees, in sizes of the detection."""


class Teacher:
    """YuNet (Wu et al. 2023), averaged over several views, as in data distillation (Radosavovic et al. 2018)."""

    def __init__(self, model: Path) -> None:
        """SettingsError unless ``model`` is an ONNX file that `cv2.FaceDetectorYN` can read."""
        try:
            self._network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), MIN_SCORE, 0.3, 500)
        except cv2.error as error:
            raise SettingsError(f"model.teacher: {model} must be a YuNet detector in ONNX: {error.err}") from error

    def faces(self, image: NDArray[np.uint8]) -> FaceLabels:
        """Boxes (n, 4), landmarks (n, 10) and confidence (n,) of the faces in an image (h, w, 3), BGR."""
        sides = sorted({min(side, 2 * max(image.shape[:2])) for side in LONG_SIDES})
        boxes, landmarks, scores = _merge([self._detect(image, side, flip) for side in sides for flip in (False, True)])
        kept = scores >= UNCERTAIN_SCORE
        confidence = np.where(scores >= FACE_SCORE, 1, scores + UNCERTAIN_BONUS).astype(np.float32)
        return boxes[kept], landmarks[kept], confidence[kept]

    def place_scores(self, grey: NDArray[np.uint8], face: Detection) -> Floats:
        """Scores (4,) of a face at the place of a detection in a grey image (h, w); 0 in a view without one.

        The views are of two sizes, each plain and mirrored.
        """
        scores = []
        for size in PLACE_SIZES:
            side = PLACE_SIDE * size
            view = crop_square(grey, face.centre, PLACE_SIDE * face.size, 0.0, (side, side))
            colour = cv2.cvtColor(view, cv2.COLOR_GRAY2BGR)
            for flip in (False, True):
                rows = self._detect(colour, side, flip)
                middle = np.abs(rows[:, :2] + rows[:, 2:4] / 2 - side / 2).max(1, initial=0) < 0.5 * size
                ratio = rows[:, 2:4].max(1, initial=0) / size
                scores.append(rows[middle & (ratio > 0.45) & (ratio < 2.2), 14].max(initial=0.0))
        return np.array(scores, np.float32)

    def _detect(self, image: NDArray[np.uint8], long_side: int, flip: bool) -> Floats:
        """Detections in one view, rows (n, 15) of box, landmarks and score, in pixels of ``image``."""
        scale = long_side / max(image.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        view = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)
        width = view.shape[1]
        self._network.setInputSize((width, view.shape[0]))
        _, rows = self._network.detect(np.ascontiguousarray(view[:, ::-1]) if flip else view)
        if rows is None:
            return np.zeros((0, 15), np.float32)
        if flip:
            rows[:, 0] = width - rows[:, 0] - rows[:, 2]
            points = rows[:, 4:14].reshape(-1, 5, 2)[:, MIRRORED]
            points[..., 0] = width - points[..., 0]
            rows[:, 4:14] = points.reshape(-1, 10)
        rows[:, :14] /= scale
        return rows


def _merge(views: list[Floats]) -> tuple[Floats, Floats, Floats]:
    """Merge the rows (n, 15) of several views to boxes (k, 4), landmarks (k, 10) and scores (k,) of faces.

    Coordinates are means weighted by the square of the score. A score is the mean over all views; a view without the
    face counts as 0.
    """
    rows = np.concatenate(views)
    view = np.repeat(np.arange(len(views)), [len(each) for each in views])
    order = np.argsort(-rows[:, 14], kind="stable")
    rows, view = rows[order], view[order]
    faces: list[Floats] = []
    left = np.ones(len(rows), bool)
    for index, row in enumerate(rows):
        if not left[index]:
            continue
        same = left & (iou(row[:4], rows[:, :4]) > SAME_FACE_OVERLAP)
        left &= ~same
        score = sum(rows[same & (view == each), 14].max(initial=0.0) for each in range(len(views))) / len(views)
        coordinates = np.average(rows[same, :14], axis=0, weights=rows[same, 14] ** 2)
        faces.append(np.append(coordinates, score).astype(np.float32))
    merged = np.array(faces, np.float32).reshape(-1, 15)
    return merged[:, :4], merged[:, 4:14], merged[:, 14]
