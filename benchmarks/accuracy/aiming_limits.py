"""Measure the limits of `edge.aiming.advice`: how dark a face may be, and which value of `turn` is a profile.

``python -m benchmarks.accuracy.aiming_limits DATA [--number 400]``

``DATA`` holds scenes.zip with images.csv, and diverse.zip with diverse_faces.csv. Light: portraits with a face of
at least `MIN_PX` pixels are darkened by several gains, with the noise of a sensor, and detected again. Turn: faces
that people labelled as frontal or profile are matched with detections. Nothing is trained; the portraits were partly
used in training, so only the change with the light matters.
"""

import argparse
import csv
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge import build
from edge.aiming.advice import MAX_TURN, MIN_FACE_LEVEL
from edge.aiming.measure import face_level, turn
from edge.values import Box, Pixels
from edge.vision.detect import Detector

GAINS = (1.0, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08)
NOISE = 3.0
"""Standard deviation of the sensor noise, grey levels."""
LEVELS = (8, 12, 16, MIN_FACE_LEVEL, 32, 48, 64, 96)
"""Bounds of the classes of grey levels."""
MIN_PX, MIN_VIEW_PX = 40, 24
MIN_IOU = 0.3


def images(archive: Path, names: list[str], number: int) -> Iterator[tuple[str, Pixels]]:
    """Yield up to ``number`` images of an archive, chosen by a fixed seed."""
    rng = np.random.default_rng(1)
    with zipfile.ZipFile(archive) as opened:
        present = set(opened.namelist())
        for name in [names[index] for index in rng.permutation(len(names))][:number]:
            if name in present:
                content = np.frombuffer(opened.read(name), np.uint8)
                yield name, np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)


def recall_by_level(data: Path, number: int) -> dict[float, tuple[int, float]]:
    """Number of faces, and the ratio of them that is detected, by the lower bound of the faces' mean grey level."""
    with (data / "images.csv").open() as rows:
        names = [row["image"] for row in csv.DictReader(rows) if row["kind"] == "photo"]
    detector, rng = Detector(build.detector_bundle()), np.random.default_rng(1)
    found: dict[float, list[bool]] = defaultdict(list)
    for _, pixels in images(data / "scenes.zip", names, number):
        faces = [face for face in detector.detect(pixels) if face.size >= MIN_PX]
        for gain in GAINS if faces else ():
            dark = np.clip(np.round(pixels * gain) + rng.normal(0, NOISE, pixels.shape), 0, 255).astype(np.uint8)
            bound = max((level for level in (0, *LEVELS) if level <= face_level(dark, faces[0].box)), default=0)
            found[bound].append(any(face.box.iou(faces[0].box) > MIN_IOU for face in detector.detect(dark)))
    return {bound: (len(hits), sum(hits) / len(hits)) for bound, hits in sorted(found.items())}


def turned_by_view(data: Path, number: int) -> dict[str, tuple[int, float]]:
    """Number of detected faces, and the ratio of them that is turned by more than the limit, by their labelled view."""
    boxes: dict[str, list[tuple[str, Box]]] = defaultdict(list)
    with (data / "diverse_faces.csv").open() as rows:
        for row in csv.DictReader(rows):
            box = Box(*(float(row[side]) for side in "xywh"))
            if row["kind"] == "face" and row["occluded"] == "0" and box.size >= MIN_VIEW_PX:
                boxes[row["image"]].append((row["view"], box))
    detector = Detector(build.detector_bundle("face-640x480"))
    turned: dict[str, list[bool]] = defaultdict(list)
    for name, pixels in images(data / "diverse.zip", list(boxes), number):
        faces = detector.detect(pixels)
        for view, box in boxes[name]:
            matches = [face for face in faces if face.box.iou(box) > MIN_IOU]
            if matches:
                turned[view].append(turn(matches[0]) > MAX_TURN)
    return {view: (len(hits), sum(hits) / len(hits)) for view, hits in sorted(turned.items())}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.aiming_limits", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="folder with scenes.zip and diverse.zip")
    parser.add_argument("--number", type=int, default=400, help="images of each kind (default: %(default)s)")
    arguments = parser.parse_args()
    print("mean grey level of the face: faces, ratio detected")
    for bound, (count, ratio) in recall_by_level(arguments.data, arguments.number).items():
        print(f"{bound:5.0f} or more: {count:5} {ratio:.3f}")
    print(f"labelled view: faces detected, ratio turned by more than {MAX_TURN}")
    for view, (count, ratio) in turned_by_view(arguments.data, arguments.number).items():
        print(f"{view:>10}: {count:5} {ratio:.3f}")


if __name__ == "__main__":
    main()
