"""Pixels of a frame -> faces."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.card import DetectorCard
from edge.values import Box, Detection, Pixels
from edge.vision.bundle import Bundle

MOST_CANDIDATES = 400
"""Cells beyond this many, best first, are not looked at: no frame holds that many faces."""
PADDING = 0
"""Grey level beside a frame that has another aspect than the network's input."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Decoded cells, best first: boxes (n, 4) as left, top, width, height; landmarks (n, k, 2), pixels; scores (n,)."""

    boxes: Floats
    landmarks: Floats
    scores: Floats


class Detector:
    """The face detector of a bundle."""

    def __init__(self, bundle: Bundle[DetectorCard], threshold: float | None = None) -> None:
        self._card, self._model = bundle.card, bundle.model
        self._size = (bundle.card.input.height, bundle.card.input.width)
        self._cells = grid_cells(self._size, bundle.card.strides)
        self.threshold = bundle.card.threshold if threshold is None else threshold

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        """Grey pixels (height, width) -> faces, best first, in pixels of this picture.

        Boxes may reach over the border by the part of a face that is cut off.
        """
        picture, scale = letterbox(pixels, self._size)
        raw = self._model.run(picture[None, :, :, None])
        candidates = self._candidates(raw)
        kept = suppress(candidates.boxes, self._card.overlap)
        boxes, landmarks = candidates.boxes[kept] / scale, candidates.landmarks[kept] / scale
        return tuple(
            Detection((x, y, w, h), score, tuple((px, py) for px, py in points))
            for (x, y, w, h), score, points in zip(
                boxes.tolist(), candidates.scores[kept].tolist(), landmarks.tolist(), strict=True
            )
        )

    def _candidates(self, raw: dict[str, NDArray[Any]]) -> Candidates:
        """Raw outputs of one picture -> its cells above the threshold, decoded."""
        logits = self._model.values(raw, "scores")[0, :, 0]
        above = np.flatnonzero(logits >= _logit(self.threshold))
        best = above[np.argsort(-logits[above], kind="stable")[:MOST_CANDIDATES]]
        picked = {name: raw[name][:, best] for name in ("boxes", "landmarks")}
        boxes, landmarks = decode(
            self._model.values(picked, "boxes")[0], self._model.values(picked, "landmarks")[0], self._cells[best]
        )
        return Candidates(boxes, landmarks, (1 / (1 + np.exp(-logits[best]))).astype(np.float32))


def letterbox(pixels: Pixels, size: tuple[int, int]) -> tuple[Pixels, float]:
    """Grey picture, (height, width) wanted -> the picture in that size at its own aspect, top left, and the scale.

    A point of the result divided by the scale is a point of the picture.
    """
    if pixels.shape == size:
        return np.ascontiguousarray(pixels), 1.0
    height, width = size
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    rows, columns = max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
    fitted = np.full(size, PADDING, np.uint8)
    fitted[:rows, :columns] = cv2.resize(_halved(pixels, scale), (columns, rows), interpolation=cv2.INTER_LINEAR_EXACT)
    return fitted, scale


def _halved(pixels: Pixels, scale: float) -> Pixels:
    """A picture, halved by area as often as it stays no smaller than at ``scale``: what lines then leave out is little.

    By area alone OpenCV takes half as long as the network, but where sides are halved, which it does at once. Its exact
    lines, after that, are the same on every processor.
    """
    times = 1 << int(max(0.0, np.log2(1 / scale)))
    if times == 1:
        return pixels
    rows, columns = (max(1, side // times) for side in pixels.shape)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def grid_cells(size: tuple[int, int], strides: tuple[int, ...]) -> Floats:
    """(height, width) of the input, strides -> centre x, centre y and stride of every cell, (n, 3), in output order."""
    grids = []
    for stride in strides:
        rows, columns = -(-size[0] // stride), -(-size[1] // stride)
        y, x = np.mgrid[:rows, :columns]
        grids.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, np.full(x.shape, stride)], -1).reshape(-1, 3))
    return np.concatenate(grids).astype(np.float32)


def decode(boxes: Floats, landmarks: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Outputs (n, 4) and (n, 2k) of cells (n, 3) -> boxes (n, 4), landmarks (n, k, 2) in pixels of the input.

    A box is the offset of its centre from the cell's and the logarithm of its sides, all in strides; a landmark is its
    offset from the cell's centre in strides (the encoding of YuNet, Wu et al. 2023, and of YOLOX, Ge et al. 2021).
    """
    centre, stride = at[:, :2], at[:, 2:]
    middle = centre + boxes[:, :2] * stride
    sides = np.exp(np.minimum(boxes[:, 2:], 6.0)) * stride
    points = centre[:, None] + landmarks.reshape(len(at), landmarks.shape[1] // 2, 2) * stride[:, None]
    return np.concatenate([middle - sides / 2, sides], 1), points


def suppress(boxes: Floats, overlap: float) -> NDArray[np.intp]:
    """Boxes (n, 4), best first -> indices of those kept by greedy non-maximum suppression.

    A box stays unless a better one that stays overlaps it by more than ``overlap`` (intersection over union). That
    sentence, applied to all boxes at once until nothing changes, ends at the greedy answer: each round settles at least
    the best box not yet settled.
    """
    if len(boxes) < 2:
        return np.arange(len(boxes))
    corner = boxes[:, :2] + boxes[:, 2:]
    width_height = np.minimum(corner[:, None], corner[None]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    shared = np.clip(width_height, 0, None).prod(-1)
    area = boxes[:, 2:].prod(-1)
    union = area[:, None] + area[None] - shared
    beaten_by = np.tril(shared > overlap * union, -1)
    stays = np.ones(len(boxes), bool)
    while True:
        now = ~(beaten_by & stays).any(1)
        if (now == stays).all():
            return np.flatnonzero(now)
        stays = now


def clip(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """A box -> left, top, right, bottom in whole pixels inside a picture; empty (left == right) if it lies outside."""
    x, y, w, h = box
    left, right = (min(max(round(edge), 0), width) for edge in (x, x + w))
    top, bottom = (min(max(round(edge), 0), height) for edge in (y, y + h))
    return left, top, max(left, right), max(top, bottom)


def _logit(share: float) -> float:
    """The inverse of the logistic function, finite at 0 and 1."""
    share = min(max(share, 1e-6), 1 - 1e-6)
    return float(np.log(share / (1 - share)))
