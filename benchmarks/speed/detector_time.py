"""Time the shipped face detectors beside YuNet of OpenCV on the same frames, with one thread.

``python -m benchmarks.speed.detector_time VIDEO... --yunet FILE.onnx [--card NAME.json ...]`` needs no training data.

Frames are spread evenly over each video and resized to 640x480. YuNet resizes them to a long side of 320 pixels. All
detectors run on a frame before the next one, and each passes over all frames several times. The printed ratio is
the median of the passes. Run this on a machine that does nothing else.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.speed.yunet import YuNet, timed
from contract.card import DetectorCard
from edge.values import Pixels
from edge.vision import bundle
from edge.vision.detect import Detector

FRAME = (640, 480)
"""Width and height, pixels."""
FRAMES = 10
"""Frames of each video."""
PEER = "YuNet at 320"


def frames(video: Path) -> Iterator[Pixels]:
    """Yield `FRAMES` grey frames of `FRAME` size, uint8 (height, width), spread evenly over a video."""
    capture = cv2.VideoCapture(str(video))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if count < FRAMES:
        raise SystemExit(f"{video}: a video with at least {FRAMES} frames is needed, this has {max(count, 0)}")
    for number in range(FRAMES):
        index = int((number + 0.5) * count / FRAMES)
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        read, image = capture.read()
        if not read:
            raise SystemExit(f"{video}: frame {index} cannot be read")
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        yield np.asarray(cv2.resize(grey, FRAME, interpolation=cv2.INTER_AREA), np.uint8)


def measure(
    detectors: dict[str, Callable[[Pixels], object]], images: Sequence[Pixels], passes: int
) -> dict[str, tuple[float, float, float, float]]:
    """Return the median milliseconds of each detector, and its median, lowest and highest ratio to `PEER`."""
    timed(detectors, images[:FRAMES])  # memory is allocated in the first calls
    medians = [
        {name: float(np.median(times)) for name, times in timed(detectors, images).items()} for _ in range(passes)
    ]
    results = {}
    for name in detectors:
        ratios = [each[name] / each[PEER] for each in medians]
        results[name] = (
            float(np.median([each[name] for each in medians])),
            float(np.median(ratios)),
            min(ratios),
            max(ratios),
        )
    return results


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.detector_time", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO", help="video with people")
    parser.add_argument("--yunet", type=Path, required=True, help="YuNet's ONNX file")
    parser.add_argument("--card", type=Path, action="append", help="a detector's card (default: the shipped ones)")
    parser.add_argument("--passes", type=int, default=7, help="passes over all frames (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.passes < 1:
        parser.error(f"--passes: must be at least 1, is {arguments.passes}")
    cv2.setNumThreads(1)
    cards = arguments.card or sorted(bundle.SHIPPED.glob("face-*x*.json"))
    bundles = [bundle.load(path, DetectorCard, 1) for path in cards]
    detectors: dict[str, Callable[[Pixels], object]] = {
        f"{path.stem} {loaded.card.version}": Detector(loaded).detect
        for path, loaded in zip(cards, bundles, strict=True)
    }
    images = [frame for video in arguments.videos for frame in frames(video)]
    detectors[PEER] = YuNet(arguments.yunet, 0.9).detect
    print(f"{len(images)} frames of {FRAME[0]}x{FRAME[1]}, {arguments.passes} passes, OpenCV {cv2.__version__}")
    print(f"{'':24}{'ms':>8}{'ratio':>8}{'lowest':>8}{'highest':>8}")
    for name, row in measure(detectors, images, arguments.passes).items():
        print(f"{name:24}{row[0]:8.2f}" + "".join(f"{ratio:8.2f}" for ratio in row[1:]))


if __name__ == "__main__":
    main()
