"""Compare the shipped face detectors with YuNet of OpenCV on the same images, with one thread.

``python -m benchmarks.speed.detector --run runs/face --yunet FILE.onnx [--card NAME.json ...] [--long-side PIXELS]``

The images are those of the run's cache that no model was trained on. All detectors get the same grey images, resized to
a long side of 320 pixels. A detector with another input size resizes them again, and that time is included. Average
precision matches faces by their centres (`training.evaluate.precision_recall`). Its difference has a 95 % interval from
a paired bootstrap over images.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.speed.yunet import LONG_SIDE, YuNet, scaled, timed
from contract.card import DetectorCard
from edge.values import Detection, Pixels
from edge.vision import bundle
from edge.vision.detect import Detector, letterbox
from training.data import labelled_images
from training.data.labelled_images import LabelledImage
from training.evaluate import detector_metrics, precision_recall
from training.evaluate.detector_metrics import SceneDetections

TIMED_IMAGES = 400
FALSE_RATES = (0.1, 0.3)
"""False detections per labelled image at which recall is compared."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A detector under test."""

    name: str
    find: detector_metrics.Detect
    """Detects at a low threshold, for curves."""
    used: detector_metrics.Detect
    """Detects at `threshold`, as it is used."""
    kilobytes: float
    """Size of the model file."""
    threshold: float
    size: tuple[int, int] | None
    """Height and width of the network's input; None if it takes any."""


def resizing(find: detector_metrics.Detect, long_side: int) -> detector_metrics.Detect:
    """Return a detector that resizes each image to a long side first."""

    def detect(pixels: Pixels) -> tuple[Detection, ...]:
        resized, scale = scaled(pixels, long_side)
        return tuple(Detection(tuple(value / scale for value in face.box), face.score) for face in find(resized))

    return detect


def shipped(path: Path) -> Peer:
    """Load the detector of a card."""
    loaded = bundle.load(path, DetectorCard, 1)
    size = (loaded.card.input.height, loaded.card.input.width)
    kilobytes = path.with_suffix(".tflite").stat().st_size / 1000
    finds = (Detector(loaded, detector_metrics.MIN_SCORE).detect, Detector(loaded).detect)
    return Peer(f"ours {size[1]}x{size[0]}", *finds, kilobytes, loaded.card.threshold, size)


def yunet(path: Path, long_side: int) -> Peer:
    """Load YuNet with the default score threshold of OpenCV, 0.9."""
    finds = (YuNet(path, detector_metrics.MIN_SCORE, long_side).detect, YuNet(path, 0.9, long_side).detect)
    return Peer("YuNet", *finds, path.stat().st_size / 1000, 0.9, None)


@dataclass(frozen=True, slots=True)
class DetectorResults:
    """Detections of one detector in all sets of images."""

    labelled: list[SceneDetections]
    masked: list[SceneDetections]
    """Faces with masks."""
    profiles: list[SceneDetections]
    """Faces turned to the side."""
    negatives: list[SceneDetections]
    """Images without faces."""

    @classmethod
    def of(cls, find: detector_metrics.Detect, images: Sequence[LabelledImage]) -> "DetectorResults":
        """Run a detector on all images."""
        sets = (
            detector_metrics.hand_labelled(images),
            detector_metrics.with_masks(images),
            detector_metrics.with_turned_faces(images),
        )
        return cls(
            *(
                detector_metrics.detect_all(find, each)
                for each in (*sets, detector_metrics.shop_negatives(images, choose=False))
            )
        )

    def sets(self) -> dict[str, list[precision_recall.ImageDetections]]:
        """Return the sets for average precision, by name."""
        sized = {f"labelled >= {side} px": [each.with_labels(side) for each in self.labelled] for side in (12, 20, 40)}
        turned = [each.with_labels(only_turned=True) for each in self.profiles]
        return {**sized, "masked >= 20 px": [each.with_labels() for each in self.masked], "turned >= 20 px": turned}

    def false_rate(self, threshold: float) -> float:
        """Return the false detections per negative at a threshold."""
        return float((detector_metrics.all_scores(self.negatives) >= threshold).sum() / max(len(self.negatives), 1))

    def threshold_at(self, rate: float) -> float:
        """Return the lowest threshold with at most ``rate`` false detections per negative."""
        false = detector_metrics.all_scores(self.negatives)
        allowed = int(rate * len(self.negatives) + 1e-9)
        return float(np.nextafter(false[allowed], 2)) if len(false) > allowed else detector_metrics.MIN_SCORE


@dataclass(slots=True)
class Table:
    """A table with a column for each detector, as text and as numbers by detector; the last detector is the peer."""

    peers: Sequence[Peer]
    results: dict[str, DetectorResults]
    rows: list[list[str]] = field(default_factory=list)
    numbers: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, what: str, values: dict[str, float], form: str = ".3f", of: str = "") -> None:
        """Add a row. Its name in `numbers` is prefixed with ``of``, the row that it belongs to."""
        self.rows.append([what, *(f"{values[peer.name]:{form}}" if peer.name in values else "" for peer in self.peers)])
        for name, value in values.items():
            self.numbers[name][of + what] = value

    def precision(self) -> None:
        """Add average precision by set, and its difference from the peer's."""
        sets = {peer.name: self.results[peer.name].sets() for peer in self.peers}
        peer = self.peers[-1].name
        for name, theirs in sets[peer].items():
            curves = {key: precision_recall.curve(each[name]) for key, each in sets.items()}
            self.add(
                f"AP, {name} ({curves[peer].labels} faces)",
                {key: each.average_precision() for key, each in curves.items()},
            )
            gaps = {key: precision_recall.difference(each[name], theirs) for key, each in sets.items() if key != peer}
            self.add(f"  above {peer}", {key: gap.value for key, gap in gaps.items()}, "+.3f", f"AP, {name}")
            self.add("    95 % from", {key: gap.low for key, gap in gaps.items()}, "+.3f", f"AP, {name}")
            self.add("    95 % to", {key: gap.high for key, gap in gaps.items()}, "+.3f", f"AP, {name}")

    def recall(self) -> None:
        """Add recall at `FALSE_RATES`, and at the false detections per negative of each shipped threshold."""
        curves = {
            peer.name: precision_recall.curve(self.results[peer.name].sets()["labelled >= 20 px"])
            for peer in self.peers
        }
        for rate in FALSE_RATES:
            self.add(
                f"recall at {rate} false per labelled image",
                {key: each.recall_at(rate) for key, each in curves.items()},
            )
        last = self.results[self.peers[-1].name]
        for peer in self.peers[:-1]:
            rate = self.results[peer.name].false_rate(peer.threshold)
            self.add(f"{peer.name}: false per negative ({len(last.negatives)})", {peer.name: rate}, ".4f")
            at = {peer.name: peer.threshold, self.peers[-1].name: last.threshold_at(rate)}
            self.add("  threshold of that rate", at, of=peer.name)
            there = {key: curves[key].recall_over(at[key]) for key in at}
            self.add("  recall there, labelled >= 20 px", there, of=peer.name)

    def text(self) -> str:
        """Return the table as aligned text."""
        wide = max(len(row[0]) for row in self.rows)
        head = ["", *(peer.name for peer in self.peers)]
        return "\n".join(f"{row[0]:{wide}}" + "".join(f"{cell:>16}" for cell in row[1:]) for row in [head, *self.rows])


def plot(path: Path, results: dict[str, DetectorResults]) -> None:
    """Plot precision over recall on labelled images, and recall over false detections per negative."""
    import matplotlib as mpl  # noqa: PLC0415 (needed only with --out)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for name, each in results.items():
        curve = precision_recall.curve(each.sets()["labelled >= 20 px"])
        left.plot(curve.recall, curve.precision, label=f"{name}: AP {curve.average_precision():.3f}")
        rates = np.linspace(0, 0.3, 61)
        right.plot(rates, [curve.recall_over(each.threshold_at(rate)) for rate in rates], label=name)
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="labelled images, faces >= 20 px")
    right.set(
        xlabel="false detections per negative", ylabel="recall", ylim=(0, 1), title="recall over false detections"
    )
    left.legend()
    right.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure and print the table; write detect.json and detect.png to ``--out``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.detector", description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of `training prepare`, with cache.npz")
    parser.add_argument("--yunet", type=Path, required=True, help="YuNet's ONNX file")
    parser.add_argument("--card", type=Path, action="append", help="a detector's card (default: the shipped ones)")
    parser.add_argument(
        "--long-side", type=int, default=LONG_SIDE, help="long side of the input, pixels (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="folder for detect.json and detect.png")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    _, images = labelled_images.split(list(labelled_images.read(arguments.run / "cache.npz")))
    ours = [shipped(path) for path in arguments.card or sorted(bundle.SHIPPED.glob("face-*x*.json"))]
    peers = [*ours, yunet(arguments.yunet, arguments.long_side)]
    result = Table(
        peers, {peer.name: DetectorResults.of(resizing(peer.find, arguments.long_side), images) for peer in peers}
    )
    result.precision()
    result.recall()
    result.add("file, kB", {peer.name: peer.kilobytes for peer in peers}, ".0f")
    for peer in ours:
        size = tuple(round(side * arguments.long_side / max(peer.size)) for side in peer.size)
        timed_images = [letterbox(scene.pixels, size)[0] for scene in images[:TIMED_IMAGES]]
        times = timed({each.name: each.used for each in (peer, peers[-1])}, timed_images)
        what = f"ms, images of {size[1]}x{size[0]} by {peer.name}"
        result.add(f"{what}, median", {key: float(np.median(each)) for key, each in times.items()})
        result.add("  p95", {key: float(np.quantile(each, 0.95)) for key, each in times.items()}, of=what)
        ratio = float(np.median(times[peer.name]) / np.median(times["YuNet"]))
        result.add("  relative to YuNet", {peer.name: ratio}, of=what)
    print(result.text())
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "detect.json").write_text(json.dumps(result.numbers, indent=2) + "\n")
        plot(arguments.out / "detect.png", result.results)


if __name__ == "__main__":
    main()
