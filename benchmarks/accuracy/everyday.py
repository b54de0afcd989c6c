"""Face detectors on held-back everyday images: faces of crowds and of many groups of people, and what is none.

``python -m benchmarks.accuracy.everyday --run runs/face --yunet FILE.onnx [--card NAME.json ...] [--people FOLDER]``. The
run's cache holds the images; only those for validation are used. ``--people`` names a folder with people.csv
(``image,expression,age,gender,ethnicity``), one person an image. All detectors see the same grey images at native size.

* ``stills``: average precision on labelled stills, faces of 20 pixels and more.
* ``crowds``: average precision, and recall at the threshold, of faces that people drew in crowds, 16 pixels and more.
* ``background``: false detections an image without people.
* ``separation``: the 5th percentile of the scores of faces of 24 pixels and more, a missed face with 0, beside the
  99.5th percentile of the largest score of each background image.
* ``people``: recall of one person an image, the image's long side at 64, 128 and 448 pixels.
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
from edge.camera.file_source import read_picture
from edge.values import Pixels
from edge.vision import bundle
from training.data import labelled_images
from training.data.labelled_images import LabelledImage
from training.evaluate import detector_metrics, precision_recall
from training.evaluate.detector_metrics import SceneDetections

SMALLEST_IN_CROWD, SEPARATED = 16.0, 24.0
SIDES = (64, 128, 448)
ALLOWED = 0.01
"""False detections a background image at which recall is compared."""


@dataclass(frozen=True, slots=True)
class Held:
    """Held-back images by what they show, and images (h, w) of one person each with the name of the group."""

    stills: list[LabelledImage]
    crowds: list[LabelledImage]
    background: list[LabelledImage]
    shelves: list[LabelledImage]
    people: list[tuple[str, Pixels]]

    @classmethod
    def of(cls, cache: Path, people: Path | None) -> "Held":
        """Those of a cache, and of a folder with people.csv; SettingsError where the cache has no background."""
        _, held = labelled_images.split(list(labelled_images.read(cache)))
        kinds = {kind: [scene for scene in held if scene.kind == kind] for kind in ("crowd", "background")}
        if not kinds["background"]:
            raise SettingsError(f"{cache}: holds no background images; prepare it with diverse.zip in the data folder")
        shelves = [scene for scene in held if scene.kind == "negative"]
        return cls(
            detector_metrics.hand_labelled(held), kinds["crowd"], kinds["background"], shelves, list(_people(people))
        )


def _people(folder: Path | None) -> Sequence[tuple[str, Pixels]]:
    if folder is None:
        return []
    import pandas as pd  # noqa: PLC0415 (not on a device)

    made = []
    for row in pd.read_csv(folder / "people.csv", keep_default_na=False).itertuples():
        pixels = read_picture(folder / row.image)
        if pixels is None:
            raise SettingsError(f"{folder / row.image}: not an image")
        made.append((row.ethnicity or f"{row.source.split(',')[0].split()[0]} {row.gender} {row.age}", pixels))
    return made


def best_scores(shown: Sequence[SceneDetections], smallest: float) -> np.ndarray:
    """For each label that counts, the score of the detection matched to it; 0 where none is."""
    made: list[float] = []
    for each in shown:
        picture = each.with_labels(smallest)
        right = [value for value, is_right in precision_recall.match(picture) if is_right]
        made += right + [0.0] * (int(picture.required.sum()) - len(right))
    return np.array(made)


def report(peer: Peer, held: Held, threshold: float) -> dict[str, float]:
    """One detector -> its figures at ``threshold`` and at the one that lets `ALLOWED` false detections through."""
    stills, crowds = (
        detector_metrics.detect_all(peer.find, held.stills),
        detector_metrics.detect_all(peer.find, held.crowds),
    )
    background, shelves = (
        detector_metrics.detect_all(peer.find, held.background),
        detector_metrics.detect_all(peer.find, held.shelves),
    )
    false = detector_metrics.all_scores(background)
    most = int(ALLOWED * len(background) + 1e-9)
    allowed = float(np.nextafter(false[most], 2)) if len(false) > most else detector_metrics.MIN_SCORE
    in_stills = precision_recall.curve([each.with_labels() for each in stills])
    in_crowds = precision_recall.curve([each.with_labels(SMALLEST_IN_CROWD) for each in crowds])
    faces = np.concatenate([best_scores(each, SEPARATED) for each in (stills, crowds)])
    maxima = [max((face.score for face in each.detections), default=0.0) for each in background]
    made = {
        "threshold": threshold,
        "stills AP": in_stills.average_precision(),
        "stills recall": in_stills.recall_over(threshold),
        "crowds AP": in_crowds.average_precision(),
        "crowds recall": in_crowds.recall_over(threshold),
        "background false an image": float((false >= threshold).sum() / len(background)),
        "shelves false an image": float(
            (detector_metrics.all_scores(shelves) >= threshold).sum() / max(len(shelves), 1)
        ),
        f"threshold at {ALLOWED} false": allowed,
        "  stills recall there": in_stills.recall_over(allowed),
        "  crowds recall there": in_crowds.recall_over(allowed),
        "5th percentile of faces": float(np.quantile(faces, 0.05)),
        "10th percentile of faces": float(np.quantile(faces, 0.10)),
        "99.5th of background maxima": float(np.quantile(maxima, 0.995)),
    }
    for side in SIDES if held.people else ():
        found = [
            max((face.score for face in peer.find(scaled(pixels, side)[0])), default=0.0) for _, pixels in held.people
        ]
        made[f"people recall at {side} px"] = float((np.array(found) >= threshold).mean())
        made[f"people recall at {side} px, {ALLOWED} false"] = float((np.array(found) >= allowed).mean())
    return made


def main() -> None:
    """Print a table, a column a detector, and write it as JSON where ``--out`` says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.everyday", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of `training prepare`, with cache.npz")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file, the peer")
    parser.add_argument("--card", type=Path, action="append", help="a detector's card (default: the shipped ones)")
    parser.add_argument("--people", type=Path, help="folder with people.csv and images")
    parser.add_argument("--long-side", type=int, action="append", help="at which YuNet looks (default: 320 and 640)")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    held = Held.of(chosen.run / "cache.npz", chosen.people)
    peers = {path.stem: shipped(path) for path in chosen.card or sorted(bundle.SHIPPED.glob("face*.json"))}
    for side in (chosen.long_side or (320, 640)) if chosen.yunet else ():
        peers[f"YuNet {side}"] = yunet(chosen.yunet, side)
    made = {
        name: report(peer, held, 0.8 if name.startswith("YuNet") else peer.threshold) for name, peer in peers.items()
    }
    rows = list(next(iter(made.values())))
    print(f"{'':42}" + "".join(f"{name:>16}" for name in made))
    for row in rows:
        print(f"{row:42}" + "".join(f"{figures[row]:16.4f}" for figures in made.values()))
    if chosen.out:
        chosen.out.write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
