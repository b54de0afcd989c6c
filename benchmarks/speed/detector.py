"""Our face detector against YuNet in OpenCV's DNN module: the same pictures, one thread, one run.

``python -m benchmarks.speed.detector --run runs/face --yunet FILE.onnx [--card NAME.json ...] [--long-side PIXELS] [--out
FOLDER]``. The run's cache holds the pictures; none that a model was trained on is used. Both are given the same grey
pictures, brought to the long side of 320 pixels before; a network of ours with another input fits them to it by itself,
in the time that is measured. Average precision is by centre match (`training.evaluate.precision_recall`), its difference with a 95 %
interval by a paired bootstrap over pictures.
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
from edge.values import Face, Pixels
from edge.vision import bundle
from edge.vision.detect import Detector, letterbox
from training.data import labelled_images
from training.data.labelled_images import LabelledImage
from training.evaluate import detector_metrics, precision_recall
from training.evaluate.detector_metrics import SceneDetections

TIMED = 400
"""Pictures whose detection is timed, each by all detectors in turn."""
RATES = (0.1, 0.3)


@dataclass(frozen=True, slots=True)
class Peer:
    """A detector under test: its function at a low threshold, to draw curves, and at the one it is used with; the size
    of its file; that threshold; and the (height, width) of its network, if that is always the same.
    """

    name: str
    find: detector_metrics.Detect
    used: detector_metrics.Detect
    kilobytes: float
    threshold: float
    size: tuple[int, int] | None


def given(find: detector_metrics.Detect, long_side: int) -> detector_metrics.Detect:
    """A detector that is given pictures of that long side alone."""

    def found(pixels: Pixels) -> tuple[Face, ...]:
        picture, scale = scaled(pixels, long_side)
        return tuple(Face(tuple(value / scale for value in face.box), face.score) for face in find(picture))

    return found


def shipped(path: Path) -> Peer:
    """The detector of a card, made to tell all it finds."""
    loaded = bundle.load(path, DetectorCard, 1)
    size = (loaded.card.input.height, loaded.card.input.width)
    kilobytes = path.with_suffix(".tflite").stat().st_size / 1000
    finds = (Detector(loaded, detector_metrics.MIN_SCORE).detect, Detector(loaded).detect)
    return Peer(f"ours {size[1]}x{size[0]}", *finds, kilobytes, loaded.card.threshold, size)


def yunet(path: Path, long_side: int) -> Peer:
    """YuNet with the score threshold that OpenCV gives it, 0.9."""
    finds = (YuNet(path, detector_metrics.MIN_SCORE, long_side).detect, YuNet(path, 0.9, long_side).detect)
    return Peer("YuNet", *finds, path.stat().st_size / 1000, 0.9, None)


@dataclass(frozen=True, slots=True)
class Looks:
    """What one detector finds in all sets of pictures."""

    stills: list[SceneDetections]
    masked: list[SceneDetections]
    profiles: list[SceneDetections]
    shelves: list[SceneDetections]

    @classmethod
    def of(cls, find: detector_metrics.Detect, held: Sequence[LabelledImage]) -> "Looks":
        """Run it on all of them."""
        sets = (
            detector_metrics.hand_labelled(held),
            detector_metrics.with_masks(held),
            detector_metrics.with_turned_faces(held),
        )
        return cls(
            *(
                detector_metrics.detect_all(find, each)
                for each in (*sets, detector_metrics.shop_negatives(held, choose=False))
            )
        )

    def sets(self) -> dict[str, list[precision_recall.ImageDetections]]:
        """The sets that average precision is taken of, by name."""
        sized = {f"stills >= {side} px": [each.with_labels(side) for each in self.stills] for side in (12, 20, 40)}
        turned = [each.with_labels(only_turned=True) for each in self.profiles]
        return {**sized, "masked >= 20 px": [each.with_labels() for each in self.masked], "turned >= 20 px": turned}

    def false_rate(self, threshold: float) -> float:
        """False faces a shelf at a threshold."""
        return float((detector_metrics.all_scores(self.shelves) >= threshold).sum() / max(len(self.shelves), 1))

    def threshold_at(self, rate: float) -> float:
        """The threshold at which no more than so many false faces a shelf are found."""
        false = detector_metrics.all_scores(self.shelves)
        allowed = int(rate * len(self.shelves) + 1e-9)
        return float(np.nextafter(false[allowed], 2)) if len(false) > allowed else detector_metrics.MIN_SCORE


@dataclass(slots=True)
class Table:
    """Rows of text, a column a detector, and the same numbers by detector; the last one is the peer."""

    peers: Sequence[Peer]
    looks: dict[str, Looks]
    rows: list[list[str]] = field(default_factory=list)
    numbers: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, what: str, values: dict[str, float], form: str = ".3f", of: str = "") -> None:
        """One row: the detectors that have a value; among the numbers it is named with what it is ``of``."""
        self.rows.append([what, *(f"{values[peer.name]:{form}}" if peer.name in values else "" for peer in self.peers)])
        for name, value in values.items():
            self.numbers[name][of + what] = value

    def precision(self) -> None:
        """Average precision of each set, and by how much it is above the peer's."""
        sets = {peer.name: self.looks[peer.name].sets() for peer in self.peers}
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
        """Recall at rates of false faces on stills, and at the rate on shelves that each shipped threshold has."""
        stills = {
            peer.name: precision_recall.curve(self.looks[peer.name].sets()["stills >= 20 px"]) for peer in self.peers
        }
        for rate in RATES:
            self.add(
                f"recall at {rate} false faces a still", {key: each.recall_at(rate) for key, each in stills.items()}
            )
        last = self.looks[self.peers[-1].name]
        for peer in self.peers[:-1]:
            rate = self.looks[peer.name].false_rate(peer.threshold)
            self.add(f"{peer.name}: false faces a shelf ({len(last.shelves)})", {peer.name: rate}, ".4f")
            at = {peer.name: peer.threshold, self.peers[-1].name: last.threshold_at(rate)}
            self.add("  threshold of that rate", at, of=peer.name)
            there = {key: stills[key].recall_over(at[key]) for key in at}
            self.add("  recall there, stills >= 20 px", there, of=peer.name)

    def text(self) -> str:
        """All of it, aligned."""
        wide = max(len(row[0]) for row in self.rows)
        head = ["", *(peer.name for peer in self.peers)]
        return "\n".join(f"{row[0]:{wide}}" + "".join(f"{cell:>16}" for cell in row[1:]) for row in [head, *self.rows])


def plot(path: Path, looks: dict[str, Looks]) -> None:
    """Precision over recall on stills, and recall on stills over false faces a shelf."""
    import matplotlib as mpl  # noqa: PLC0415 (not needed for the table)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for name, each in looks.items():
        curve = precision_recall.curve(each.sets()["stills >= 20 px"])
        left.plot(curve.recall, curve.precision, label=f"{name}: AP {curve.average_precision():.3f}")
        rates = np.linspace(0, 0.3, 61)
        right.plot(rates, [curve.recall_over(each.threshold_at(rate)) for rate in rates], label=name)
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="stills, faces >= 20 px")
    right.set(xlabel="false faces a shelf", ylabel="recall on stills", ylim=(0, 1), title="what a threshold costs")
    left.legend()
    right.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, print the table, and write ``detect.json`` and ``detect.png`` where ``--out`` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.detector", description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of `training prepare`, with cache.npz")
    parser.add_argument("--yunet", type=Path, required=True, help="YuNet's ONNX file")
    parser.add_argument("--card", type=Path, action="append", help="a detector's card (default: the shipped ones)")
    parser.add_argument("--long-side", type=int, default=LONG_SIDE, help="of the pictures that all are given, pixels")
    parser.add_argument("--out", type=Path, help="folder for detect.json and detect.png")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    _, held = labelled_images.split(list(labelled_images.read(chosen.run / "cache.npz")))
    ours = [shipped(path) for path in chosen.card or sorted(bundle.SHIPPED.glob("face*.json"))]
    peers = [*ours, yunet(chosen.yunet, chosen.long_side)]
    result = Table(peers, {peer.name: Looks.of(given(peer.find, chosen.long_side), held) for peer in peers})
    result.precision()
    result.recall()
    result.add("file, kB", {peer.name: peer.kilobytes for peer in peers}, ".0f")
    for peer in ours:
        size = tuple(round(side * chosen.long_side / max(peer.size)) for side in peer.size)
        pictures = [letterbox(scene.pixels, size)[0] for scene in held[:TIMED]]
        times = timed({each.name: each.used for each in (peer, peers[-1])}, pictures)
        what = f"ms, pictures of {size[1]}x{size[0]} by {peer.name}"
        result.add(f"{what}, median", {key: float(np.median(each)) for key, each in times.items()})
        result.add("  p95", {key: float(np.quantile(each, 0.95)) for key, each in times.items()}, of=what)
        share = float(np.median(times[peer.name]) / np.median(times["YuNet"]))
        result.add("  of YuNet's", {peer.name: share}, of=what)
    print(result.text())
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "detect.json").write_text(json.dumps(result.numbers, indent=2) + "\n")
        plot(chosen.out / "detect.png", result.looks)


if __name__ == "__main__":
    main()
