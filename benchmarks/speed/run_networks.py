"""Pixels -> what both networks make of them, raw; the same file runs here and on an emulated board.

``outputs.py INPUTS.npz OUTPUTS.npz PICTURE...``: all int8 values for the given inputs; and how each picture is fitted
and its faces are cut here, which is OpenCV's work and not the networks'.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.card import ClassifierCard, DetectorCard, unpack
from edge import build
from edge.camera.file_source import read_picture
from edge.vision.bundle import Bundle
from edge.vision.crop import cut
from edge.vision.detect import Detector, letterbox

Arrays = dict[str, NDArray[np.uint8]]
NOISE = 2
"""Pictures of noise for each network: values that no photograph reaches."""


def fitted(faces: Bundle[DetectorCard], expressions: Bundle[ClassifierCard], pictures: list[Path]) -> Arrays:
    """Pictures -> ``detector/NAME`` (h, w) as the detector takes it, and ``classifier/NAME`` (n, h, w), its faces."""
    found = {}
    size = (expressions.card.input.height, expressions.card.input.width)
    for path in pictures:
        pixels = read_picture(path)
        assert pixels is not None, path
        found[f"detector/{path.name}"] = letterbox(pixels, (faces.card.input.height, faces.card.input.width))[0]
        crops = [cut(pixels, face, expressions.card.crop, size) for face in Detector(faces).detect(pixels)]
        found[f"classifier/{path.name}"] = np.stack(crops)
    return found


def inputs(pictures: list[Path]) -> Arrays:
    """Pictures -> ``detector`` and ``classifier`` (n, h, w, 1): theirs, the golden samples', and noise."""
    bundles = {"detector": build.detector_bundle(), "classifier": build.classifier_bundle()}
    ours = fitted(bundles["detector"], bundles["classifier"], pictures)
    noise, made = np.random.default_rng(5), {}
    for name, bundle in bundles.items():
        shape = (-1, bundle.card.input.height, bundle.card.input.width, 1)
        parts = [pixels.reshape(shape) for key, pixels in ours.items() if key.startswith(name)]
        parts += [np.frombuffer(unpack(each.input), np.uint8).reshape(shape) for each in bundle.card.golden]
        made[name] = np.concatenate([*parts, noise.integers(0, 256, (NOISE, *shape[1:]), np.uint8)])
    return made


def outputs(given: Arrays, pictures: list[Path]) -> dict[str, NDArray[np.generic]]:
    """`inputs` and pictures -> raw tensors as ``NETWORK/TENSOR`` (n, ...), and `fitted` under ``cut/``."""
    faces, expressions = build.detector_bundle(), build.classifier_bundle()
    found: dict[str, NDArray[np.generic]] = {}
    for name, model in (("detector", faces.model), ("classifier", expressions.model)):
        runs = [model.run(pixels[None]) for pixels in given[name]]
        found |= {f"{name}/{tensor}": np.concatenate([run[tensor] for run in runs]) for tensor in model.outputs}
    return found | {f"cut/{name}": pixels for name, pixels in fitted(faces, expressions, pictures).items()}


if __name__ == "__main__":
    source, sink, *names = map(Path, sys.argv[1:])
    np.savez(sink, **outputs(dict(np.load(source)), names))  # type: ignore[arg-type]  # numpy's stub has allow_pickle
