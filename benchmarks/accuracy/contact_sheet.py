"""Draw the detections of images and clips on one sheet, for review by eye.

``python -m benchmarks.accuracy.contact_sheet PATH... --out sheet.png`` shows what `facetally-edge try` detects, with
boxes, expressions and scores.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import build
from edge.commands.try_images import read_images
from edge.values import Pixels
from edge.vision.classify import Classifier
from edge.vision.detect import Detector

TILE, COLUMNS = 300, 6
GREEN, WHITE = (80, 220, 80), (255, 255, 255)


def tiles(paths: Sequence[str], every: int, min_score: float | None) -> Iterator[NDArray[np.uint8]]:
    """Yield one tile (TILE, TILE, 3), BGR, for every n-th image of the paths, with boxes, labels and scores."""
    detector = Detector(build.detector_bundle(), min_score)
    classifier = Classifier(build.classifier_bundle())
    for path in paths:
        for index, (name, pixels) in enumerate(read_images(path)):
            if index % every == 0:
                yield _tile(name, pixels, detector, classifier)


def _tile(name: str, pixels: Pixels, detector: Detector, classifier: Classifier) -> NDArray[np.uint8]:
    scale = TILE / max(pixels.shape)
    drawn = cv2.cvtColor(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    faces = detector.detect(pixels)
    for face, prediction in zip(faces, classifier.classify(pixels, faces), strict=True):
        left, top, right, bottom = face.box.scale(scale).pixel_bounds(drawn.shape[1] - 1, drawn.shape[0] - 1)
        cv2.rectangle(drawn, (left, top), (right, bottom), GREEN, 1)
        label = classifier.card.labels[int(np.argmax(prediction.probabilities))] if prediction.good else "unknown"
        cv2.putText(drawn, f"{label[:7]} {face.score:.2f}", (left, max(top - 3, 9)), 0, 0.33, GREEN, 1, cv2.LINE_AA)
    tile = np.zeros((TILE, TILE, 3), np.uint8)
    tile[: drawn.shape[0], : drawn.shape[1]] = drawn[:TILE, :TILE]
    cv2.putText(tile, Path(name).name[-40:], (3, TILE - 4), 0, 0.33, WHITE, 1, cv2.LINE_AA)
    return tile


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.contact_sheet", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image, folder or clip")
    parser.add_argument("--every", type=int, default=1, help="take every N-th frame", metavar="N")
    parser.add_argument("--min-score", type=float, help="score threshold (default: the detector's)")
    parser.add_argument("--out", type=Path, default=Path("out/sheet.png"), help="image to write (default: %(default)s)")
    arguments = parser.parse_args()
    drawn = list(tiles(arguments.paths, arguments.every, arguments.min_score))
    blank = np.zeros((TILE, TILE, 3), np.uint8)
    drawn += [blank] * (-len(drawn) % COLUMNS)
    sheet = np.vstack([np.hstack(drawn[at : at + COLUMNS]) for at in range(0, len(drawn), COLUMNS)])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out), sheet)
    print(arguments.out)


if __name__ == "__main__":
    main()
