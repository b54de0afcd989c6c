"""Count people who walk far from the camera, with the detector on whole frames and on regions.

``python -m benchmarks.accuracy.far_people DATA [--people N] [--size PX ...] [--seed N] [--card NAME_OR_PATH ...]``

DATA holds ``fairness/``, ``diverse.zip`` and ``diverse_images.csv``. A fixed camera of 1280 x 720 pixels sees a wall of
everyday images without people (validation part). Portraits of adults (Face Research Lab London Set) on plain bodies
walk across, one after another, with faces of the same size. Frames have sensor noise. The daemon's motion gate,
detector, face check and tracker count them twice: without and with regions (`edge.vision.region`).

The portraits are frontal and in even light, so real visitors are found less often. Both ways see the same frames.
"""

import argparse
import csv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.accuracy.detections import shipped_check
from benchmarks.accuracy.device_count import DeviceCount, count_frames
from contract.card import DetectorCard
from edge.build import detector_bundle
from edge.camera.file_source import read_image
from edge.values import Frame
from edge.vision.bundle import DEFAULT_DETECTOR, STILL_IMAGE_DETECTOR, Bundle
from edge.vision.detect import Detector

HEIGHT, WIDTH, FPS = 720, 1280, 15
COLUMNS, ROWS = 4, 3
"""Images on the wall."""
NOISE = 3.0
"""Standard deviation of the sensor noise, grey levels."""
PAUSE_S, STEP_FACES_PER_S = 2.0, 3.0
"""Time between two people, and their speed."""
HEAD, BODY = (1.5, 2.0), (2.4, 5.0)
"""Width and height of the head's ellipse and of the body, face sizes."""

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Head:
    """A portrait cut out around its face."""

    pixels: Grey
    """Square image, the face in the middle."""
    face_px: float
    """Size of the face, pixels."""


def heads(folder: Path, detector: Detector) -> list[Head]:
    """Cut out the heads of the consenting adults in ``folder`` with people.csv."""
    with (folder / "people.csv").open(newline="") as file:
        names = [row["image"] for row in csv.DictReader(file) if row["image"].startswith("london/")]
    found = []
    for name in names:
        pixels = read_image(folder / name)
        if pixels is None:
            raise SystemExit(f"{folder / name}: must be an image")
        face = max(detector.detect(pixels), key=lambda each: each.score)
        half = int(HEAD[1] * face.box.size / 2)
        x, y = (int(each) for each in face.box.centre)
        padded = cv2.copyMakeBorder(pixels, half, half, half, half, cv2.BORDER_REPLICATE)
        found.append(Head(np.asarray(padded[y : y + 2 * half, x : x + 2 * half], np.uint8), face.box.size))
    return found


def wall(data: Path, rng: Generator) -> Grey:
    """A frame full of validation images without people."""
    with (data / "diverse_images.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "validation" and row["kind"] == "no-people"]
    chosen = rng.choice(len(rows), ROWS * COLUMNS, replace=False)
    size = (WIDTH // COLUMNS, HEIGHT // ROWS)
    with zipfile.ZipFile(data / "diverse.zip") as archive:
        images = [
            cv2.imdecode(np.frombuffer(archive.read(rows[index]["image"]), np.uint8), cv2.IMREAD_GRAYSCALE)
            for index in chosen
        ]
    shown = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    return np.vstack([np.hstack(shown[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(ROWS)])


def frames(background: Grey, people: list[Head], size: float, rng: Generator) -> Iterator[Frame]:
    """People who walk across one after another, with faces of ``size`` pixels."""
    time, grain = 0.0, rng.normal(0, NOISE, (HEIGHT + 64, WIDTH + 64)).astype(np.float32)
    for head in people:
        face = _scaled(head, size)
        y, right = rng.uniform(2 * size, HEIGHT / 2), bool(rng.random() < 0.5)
        body, seconds, begin = rng.uniform(30, 220), rng.uniform(4, 8), rng.uniform(100, WIDTH - 100)
        for index in range(int((PAUSE_S + seconds) * FPS)):
            image, walked = background.copy(), index / FPS - PAUSE_S
            if walked >= 0:
                _draw(image, face, (begin + (1 if right else -1) * STEP_FACES_PER_S * size * walked, y), body)
            dy, dx = rng.integers(0, 64, 2)
            part = grain[dy : dy + HEIGHT, dx : dx + WIDTH]
            yield Frame(np.asarray(cv2.add(image, part, dtype=cv2.CV_8U), np.uint8), time)
            time += 1 / FPS


def _scaled(head: Head, size: float) -> Head:
    """The head with a face of ``size`` pixels, as sharp as a camera shows it."""
    scale = size / head.face_px
    side = max(4, round(head.pixels.shape[0] * scale))
    pixels = cv2.GaussianBlur(cv2.resize(head.pixels, (side, side), interpolation=cv2.INTER_AREA), (0, 0), 0.4)
    return Head(np.asarray(pixels, np.uint8), size)


def _draw(image: Grey, head: Head, centre: tuple[float, float], body: float) -> None:
    """Draw a body of the grey level ``body`` and a head whose face has its centre at ``centre`` (x, y)."""
    (x, y), size, side = centre, head.face_px, head.pixels.shape[0]
    low, high = (
        (int(x - BODY[0] * size / 2), int(y + 0.6 * size)),
        (int(x + BODY[0] * size / 2), int(y + BODY[1] * size)),
    )
    cv2.rectangle(image, low, high, body, -1)
    mask = np.zeros((side, side), np.float32)
    axes = (round(HEAD[0] * size / 2), round(HEAD[1] * size * 0.4))
    cv2.ellipse(mask, (side // 2, side // 2), axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    left, top = round(x - side / 2), round(y - side / 2)
    if left < 0 or top < 0 or left + side > WIDTH or top + side > HEIGHT:
        return  # the person has left
    behind = image[top : top + side, left : left + side]
    np.copyto(behind, (mask * head.pixels + (1 - mask) * behind).astype(np.uint8))


def compare(
    bundle: Bundle[DetectorCard], data: Path, portraits: list[Head], people: int, size: float, seed: int = 0
) -> list[DeviceCount]:
    """Count people with faces of ``size`` pixels, first on whole frames, then with regions; both see the same."""
    counts, check = [], shipped_check()
    for regions in (False, True):
        rng = np.random.default_rng(seed)
        chosen = [portraits[index] for index in rng.permutation(len(portraits))[:people]]
        counts.append(count_frames(bundle, check, frames(wall(data, rng), chosen, size, rng), regions=regions))
    return counts


def main() -> None:
    """Print a table with a row for each detector and size."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.far_people", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("data", type=Path, help="folder with fairness/ and diverse.zip")
    parser.add_argument("--people", type=int, default=20, help="how many people walk (default: 20)")
    parser.add_argument("--size", type=float, nargs="+", default=[16, 24, 32, 48], help="sizes of the faces, pixels")
    parser.add_argument("--seed", type=int, default=0, help="chooses the wall, the people and their ways")
    parser.add_argument("--card", nargs="+", default=[DEFAULT_DETECTOR.stem, STILL_IMAGE_DETECTOR.stem])
    arguments = parser.parse_args()
    portraits = heads(arguments.data / "fairness", Detector(detector_bundle(STILL_IMAGE_DETECTOR.stem)))
    print("| detector | face, pixels | people | whole frames | regions | detections, whole frames | regions |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in arguments.card:
        bundle = detector_bundle(name)
        for size in arguments.size:
            whole, part = compare(bundle, arguments.data, portraits, arguments.people, size, arguments.seed)
            cells = (name, f"{size:g}", arguments.people, whole.visits, part.visits, whole.detections, part.detections)
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
