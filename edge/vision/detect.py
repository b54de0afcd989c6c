"""Detect faces in a frame: fit it to the network, apply the score threshold, decode, suppress duplicates."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.card import DetectorCard
from edge.values import Box, Detection, Pixels
from edge.vision.boxes import Floats, non_maximum_suppression
from edge.vision.bundle import Bundle

MAX_CANDIDATES = 400
"""Only this many cells, those with the highest scores, are decoded. No frame holds more faces."""
PADDING_LEVEL = 0
"""Grey level that fills the network's input beside a frame of another aspect ratio."""
MAX_LOG_SIDE = 6.0
"""Upper bound of the decoded logarithm of a box side, so that no network output overflows."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Decoded grid cells with a score above the threshold, best first, in pixels of the network's input."""

    boxes: Floats
    """(n, 4): left, top, width, height."""
    landmarks: Floats
    """(n, k, 2): x, y."""
    scores: Floats
    """(n,): 0 to 1."""


class Detector:
    """The face detector of a bundle; reports detections with a score of at least ``threshold``."""

    def __init__(self, bundle: Bundle[DetectorCard], threshold: float | None = None) -> None:
        """``threshold`` is a score, 0 to 1; without one the card's applies."""
        self._card, self._model = bundle.card, bundle.model
        self._size = (bundle.card.input.height, bundle.card.input.width)
        self._cells = grid_cells(self._size, bundle.card.strides)
        self.threshold = bundle.card.threshold if threshold is None else threshold

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        """Detect the faces in a grey image (height, width) of any size; best first, in pixels of this image.

        A box extends past the border where a part of the face is cut off.
        """
        image, scale = letterbox(pixels, self._size)
        candidates = self._candidates(self._model.run(image[None, :, :, None]))
        kept = non_maximum_suppression(candidates.boxes, self._card.overlap)
        boxes, landmarks = candidates.boxes[kept] / scale, candidates.landmarks[kept] / scale
        rows = zip(boxes.tolist(), candidates.scores[kept].tolist(), landmarks.tolist(), strict=True)
        return tuple(
            Detection(Box(*box), score, tuple((x, y) for x, y in points), scale) for box, score, points in rows
        )

    def _candidates(self, raw: dict[str, NDArray[Any]]) -> Candidates:
        """Apply the score threshold to the raw outputs for one image, and decode the cells that pass."""
        logits = self._model.values(raw, "scores")[0, :, 0]
        above = np.flatnonzero(logits >= _logit(self.threshold))
        best = above[np.argsort(-logits[above], kind="stable")[:MAX_CANDIDATES]]
        picked = {name: raw[name][:, best] for name in ("boxes", "landmarks")}
        boxes, landmarks = decode(
            self._model.values(picked, "boxes")[0], self._model.values(picked, "landmarks")[0], self._cells[best]
        )
        return Candidates(boxes, landmarks, (1 / (1 + np.exp(-logits[best]))).astype(np.float32))


def letterbox(pixels: Pixels, size: tuple[int, int]) -> tuple[Pixels, float]:
    """Fit a grey image (h, w) into ``size`` (height, width) without changing its aspect ratio.

    Returns the padded image, with the content at the top left, and the scale: a point of the result divided by the
    scale is a point of the given image.
    """
    if pixels.shape == size:
        return np.ascontiguousarray(pixels), 1.0
    height, width = size
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    rows, columns = max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
    fitted = np.full(size, PADDING_LEVEL, np.uint8)
    fitted[:rows, :columns] = cv2.resize(_halved(pixels, scale), (columns, rows), interpolation=cv2.INTER_LINEAR_EXACT)
    return fitted, scale


def _halved(pixels: Pixels, scale: float) -> Pixels:
    """Halve an image by area averaging as often as it stays at least as large as at ``scale``.

    Bilinear resizing then aliases little. INTER_AREA alone would take half the network's time, except for whole
    halvings, which OpenCV does fast. INTER_LINEAR_EXACT gives the same pixels on every processor.
    """
    times = 1 << int(max(0.0, np.log2(1 / scale)))
    if times == 1:
        return pixels
    rows, columns = (max(1, side // times) for side in pixels.shape)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def grid_cells(size: tuple[int, int], strides: tuple[int, ...]) -> Floats:
    """Grid cells of an input of ``size`` (height, width), in the order of the network's outputs.

    Each row of the result (n, 3) float32 is the x and y of a cell's centre and its stride, in pixels of the input.
    """
    grids = []
    for stride in strides:
        rows, columns = -(-size[0] // stride), -(-size[1] // stride)
        y, x = np.mgrid[:rows, :columns]
        grids.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, np.full(x.shape, stride)], -1).reshape(-1, 3))
    return np.concatenate(grids).astype(np.float32)


def decode(boxes: Floats, landmarks: Floats, cells: Floats) -> tuple[Floats, Floats]:
    """Decode network outputs (n, 4) and (n, 2k) of grid cells (n, 3) to boxes (n, 4) and landmarks (n, k, 2), pixels.

    A box is encoded as the offset of its centre from the cell's centre and the logarithms of its sides, all in
    strides. A landmark is encoded as its offset from the cell's centre in strides. This is the encoding of YuNet
    (Wu et al. 2023) and YOLOX (Ge et al. 2021).
    """
    cell_centres, strides = cells[:, :2], cells[:, 2:]
    centres = cell_centres + boxes[:, :2] * strides
    sides = np.exp(np.minimum(boxes[:, 2:], MAX_LOG_SIDE)) * strides
    offsets = landmarks.reshape(len(cells), landmarks.shape[1] // 2, 2)
    points = cell_centres[:, None] + offsets * strides[:, None]
    return np.concatenate([centres - sides / 2, sides], 1), points


def _logit(probability: float) -> float:
    """The inverse of the logistic function, finite at 0 and 1."""
    probability = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(probability / (1 - probability)))
