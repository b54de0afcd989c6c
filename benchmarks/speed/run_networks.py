"""Run both networks on given inputs, and write their raw outputs; the same file runs here and on an emulated board.

``run_networks.py INPUTS.npz OUTPUTS.npz IMAGE...`` writes all int8 outputs for the inputs. It also writes each image
resized for the detector, and the crops of its faces: these depend on OpenCV, not on the networks.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.card import ClassifierCard, DetectorCard, unpack
from edge import build
from edge.camera.file_source import read_image
from edge.vision.bundle import Bundle
from edge.vision.crop import crop_face
from edge.vision.detect import Detector, letterbox

Arrays = dict[str, NDArray[np.uint8]]
NOISE_IMAGES = 2
"""Images of noise for each network; they reach values that no photograph reaches."""


def network_inputs(faces: Bundle[DetectorCard], expressions: Bundle[ClassifierCard], images: list[Path]) -> Arrays:
    """Return the resized image as ``detector/NAME`` (height, width), its crops as ``classifier/NAME`` (n, h, w)."""
    found = {}
    size = (expressions.card.input.height, expressions.card.input.width)
    for path in images:
        pixels = read_image(path)
        assert pixels is not None, path
        found[f"detector/{path.name}"] = letterbox(pixels, (faces.card.input.height, faces.card.input.width))[0]
        crops = [crop_face(pixels, face, expressions.card.crop, size) for face in Detector(faces).detect(pixels)]
        found[f"classifier/{path.name}"] = np.stack(crops)
    return found


def inputs(images: list[Path]) -> Arrays:
    """Return ``detector`` and ``classifier``, uint8 (n, height, width, 1): from images, golden samples and noise."""
    bundles = {"detector": build.detector_bundle(), "classifier": build.classifier_bundle()}
    from_images = network_inputs(bundles["detector"], bundles["classifier"], images)
    noise, made = np.random.default_rng(5), {}
    for name, bundle in bundles.items():
        shape = (-1, bundle.card.input.height, bundle.card.input.width, 1)
        parts = [pixels.reshape(shape) for key, pixels in from_images.items() if key.startswith(name)]
        parts += [np.frombuffer(unpack(each.input), np.uint8).reshape(shape) for each in bundle.card.golden]
        made[name] = np.concatenate([*parts, noise.integers(0, 256, (NOISE_IMAGES, *shape[1:]), np.uint8)])
    return made


def outputs(given: Arrays, images: list[Path]) -> dict[str, NDArray[np.generic]]:
    """Return raw outputs as ``NETWORK/TENSOR`` (n, ...), and `network_inputs` of the images as ``preprocessed/...``."""
    faces, expressions = build.detector_bundle(), build.classifier_bundle()
    found: dict[str, NDArray[np.generic]] = {}
    for name, model in (("detector", faces.model), ("classifier", expressions.model)):
        runs = [model.run(pixels[None]) for pixels in given[name]]
        found |= {f"{name}/{tensor}": np.concatenate([run[tensor] for run in runs]) for tensor in model.outputs}
    return found | {
        f"preprocessed/{name}": pixels for name, pixels in network_inputs(faces, expressions, images).items()
    }


if __name__ == "__main__":
    source, sink, *names = map(Path, sys.argv[1:])
    np.savez(sink, **outputs(dict(np.load(source)), names))  # type: ignore[arg-type]  # numpy's stub has allow_pickle
