"""Compare face detectors on the validation set of everyday images: crowds, groups of people, and images without people.

``python -m benchmarks.accuracy.everyday --run runs/face --yunet FILE.onnx [--card NAME.json ...] [--people FOLDER]``

The images come from the run's cache. ``--people`` names a folder with people.csv (``image,expression,age,gender,
ethnicity``), one person per image. All detectors see the same grey images at native size. Printed are:

* ``labelled``: average precision on labelled images, faces of at least 20 pixels.
* ``crowds``: average precision, and recall at the threshold, on crowds labelled by hand, faces of at least 16 pixels.
* ``background``: false detections per image without people.
* percentiles of the scores of faces of at least 24 pixels (0 for a missed face), beside the 99.5th percentile of the
  largest score of each background image.
* ``people``: recall for one person per image, with the long side of the image at 64, 128 and 448 pixels.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from base.errors import SettingsError
from benchmarks.speed.detector import Peer, shipped, yunet
from benchmarks.speed.yunet import scaled
from edge.camera.file_source import read_image
from edge.values import Pixels
from edge.vision import bundle
from training.data import labelled_images
from training.data.labelled_images import LabelledImage
from training.evaluate import detector_metrics, precision_recall
from training.evaluate.detector_metrics import SceneDetections

MIN_CROWD_FACE_PX, MIN_SEPARATED_FACE_PX = 16.0, 24.0
SIDES = (64, 128, 448)
ALLOWED_FALSE = 0.01
"""False detections per background image at which recalls are compared."""


@dataclass(frozen=True, slots=True)
class ValidationImages:
    """Images of the validation set by kind, and images (height, width) of one person with the name of the group."""

    labelled: list[LabelledImage]
    crowds: list[LabelledImage]
    background: list[LabelledImage]
    negatives: list[LabelledImage]
    people: list[tuple[str, Pixels]]

    @classmethod
    def of(cls, cache: Path, people: Path | None) -> "ValidationImages":
        """Read a cache and a folder with people.csv; SettingsError if the cache has no background images."""
        _, held = labelled_images.split(list(labelled_images.read(cache)))
        kinds = {kind: [scene for scene in held if scene.kind == kind] for kind in ("crowd", "background")}
        if not kinds["background"]:
            raise SettingsError(
                f"{cache}: must hold background images; run `training prepare` with diverse.zip in the data folder"
            )
        negatives = [scene for scene in held if scene.kind == "negative"]
        return cls(
            detector_metrics.hand_labelled(held), kinds["crowd"], kinds["background"], negatives, list(_people(people))
        )


def _people(folder: Path | None) -> Sequence[tuple[str, Pixels]]:
    if folder is None:
        return []
    import pandas as pd  # noqa: PLC0415 (not installed on a device)

    images = []
    for row in pd.read_csv(folder / "people.csv", keep_default_na=False).itertuples():
        pixels = read_image(folder / row.image)
        if pixels is None:
            raise SettingsError(f"{folder / row.image}: must be an image")
        images.append((row.ethnicity or f"{row.source.split(',')[0].split()[0]} {row.gender} {row.age}", pixels))
    return images


def best_scores(shown: Sequence[SceneDetections], min_side: float) -> np.ndarray:
    """Return the score of the detection matched to each labelled face of at least ``min_side``; 0 for a missed face."""
    values: list[float] = []
    for each in shown:
        scored = each.with_labels(min_side)
        matched = [value for value, is_right in precision_recall.match(scored) if is_right]
        values += matched + [0.0] * (int(scored.required.sum()) - len(matched))
    return np.array(values)


def report(peer: Peer, images: ValidationImages, threshold: float) -> dict[str, float]:
    """Measure one detector at ``threshold``, and at the threshold of `ALLOWED_FALSE` false detections."""
    labelled = detector_metrics.detect_all(peer.find, images.labelled)
    crowds = detector_metrics.detect_all(peer.find, images.crowds)
    background = detector_metrics.detect_all(peer.find, images.background)
    negatives = detector_metrics.detect_all(peer.find, images.negatives)
    false = detector_metrics.all_scores(background)
    most = int(ALLOWED_FALSE * len(background) + 1e-9)
    allowed = float(np.nextafter(false[most], 2)) if len(false) > most else detector_metrics.MIN_SCORE
    in_labelled = precision_recall.curve([each.with_labels() for each in labelled])
    in_crowds = precision_recall.curve([each.with_labels(MIN_CROWD_FACE_PX) for each in crowds])
    faces = np.concatenate([best_scores(each, MIN_SEPARATED_FACE_PX) for each in (labelled, crowds)])
    maxima = [max((face.score for face in each.detections), default=0.0) for each in background]
    false_in_negatives = (detector_metrics.all_scores(negatives) >= threshold).sum()
    figures = {
        "threshold": threshold,
        "labelled AP": in_labelled.average_precision(),
        "labelled recall": in_labelled.recall_over(threshold),
        "crowds AP": in_crowds.average_precision(),
        "crowds recall": in_crowds.recall_over(threshold),
        "background false an image": float((false >= threshold).sum() / len(background)),
        "negatives false an image": float(false_in_negatives / max(len(negatives), 1)),
        f"threshold at {ALLOWED_FALSE} false": allowed,
        "  labelled recall there": in_labelled.recall_over(allowed),
        "  crowds recall there": in_crowds.recall_over(allowed),
        "5th percentile of faces": float(np.quantile(faces, 0.05)),
        "10th percentile of faces": float(np.quantile(faces, 0.10)),
        "99.5th of background maxima": float(np.quantile(maxima, 0.995)),
    }
    for side in SIDES if images.people else ():
        found = [
            max((face.score for face in peer.find(scaled(pixels, side)[0])), default=0.0) for _, pixels in images.people
        ]
        figures[f"people recall at {side} px"] = float((np.array(found) >= threshold).mean())
        figures[f"people recall at {side} px, {ALLOWED_FALSE} false"] = float((np.array(found) >= allowed).mean())
    return figures


def main() -> None:
    """Print a table with a column for each detector, and write it as JSON to ``--out``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.everyday", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of `training prepare`, with cache.npz")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file, the peer")
    parser.add_argument("--card", type=Path, action="append", help="a detector's card (default: the shipped ones)")
    parser.add_argument("--people", type=Path, help="folder with people.csv and images")
    parser.add_argument(
        "--long-side", type=int, action="append", help="long side of YuNet's input, pixels (default: 320 and 640)"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    images = ValidationImages.of(arguments.run / "cache.npz", arguments.people)
    peers = {path.stem: shipped(path) for path in arguments.card or sorted(bundle.SHIPPED.glob("face-*x*.json"))}
    for side in (arguments.long_side or (320, 640)) if arguments.yunet else ():
        peers[f"YuNet {side}"] = yunet(arguments.yunet, side)
    figures = {
        name: report(peer, images, 0.8 if name.startswith("YuNet") else peer.threshold) for name, peer in peers.items()
    }
    rows = list(next(iter(figures.values())))
    print(f"{'':42}" + "".join(f"{name:>16}" for name in figures))
    for row in rows:
        print(f"{row:42}" + "".join(f"{column[row]:16.4f}" for column in figures.values()))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
