"""Run the networks on given inputs, and write their raw outputs; the same file runs here and on an emulated board.

``run_networks.py INPUTS.npz OUTPUTS.npz IMAGE...`` writes all int8 outputs for the inputs. It also writes each image
resized for the detector, and the crops of its faces: these depend on OpenCV, not on the networks.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.card import CheckCard, ClassifierCard, DetectorCard, unpack
from edge import build
from edge.camera.file_source import read_image
from edge.vision import bundle
from edge.vision.bundle import Bundle
from edge.vision.crop import crop_face
from edge.vision.detect import Detector, letterbox

Arrays = dict[str, NDArray[np.uint8]]
NOISE_IMAGES = 2
"""Images of noise for each network; they reach values that no photograph reaches."""


@dataclass(frozen=True, slots=True)
class Bundles:
    """The bundles whose networks run."""

    detector: Bundle[DetectorCard]
    check: Bundle[CheckCard]
    classifier: Bundle[ClassifierCard]

    @classmethod
    def shipped(cls) -> "Bundles":
        """Load those that run by default."""
        return cls(build.detector_bundle(), bundle.load(bundle.DEFAULT_CHECK, CheckCard), build.classifier_bundle())

    def by_name(self) -> dict[str, Bundle[DetectorCard] | Bundle[CheckCard] | Bundle[ClassifierCard]]:
        """Return them by the names that inputs and outputs begin with."""
        return {"detector": self.detector, "check": self.check, "classifier": self.classifier}


def network_inputs(bundles: Bundles, images: list[Path]) -> Arrays:
    """Return the resized image as ``detector/NAME`` (height, width), and the crops of its faces (n, h, w) as
    ``check/NAME`` and ``classifier/NAME``.
    """
    found, detector = {}, Detector(bundles.detector)
    for path in images:
        pixels = read_image(path)
        assert pixels is not None, path
        shape, faces = bundles.detector.card.input, detector.detect(pixels)
        found[f"detector/{path.name}"] = letterbox(pixels, (shape.height, shape.width))[0]
        for name, card in (("check", bundles.check.card), ("classifier", bundles.classifier.card)):
            size = (card.input.height, card.input.width)
            found[f"{name}/{path.name}"] = np.stack([crop_face(pixels, face, card.crop, size) for face in faces])
    return found


def inputs(images: list[Path]) -> Arrays:
    """Return ``detector``, ``check`` and ``classifier``, uint8 (n, height, width, 1): from images, golden samples and
    noise.
    """
    bundles = Bundles.shipped()
    from_images = network_inputs(bundles, images)
    noise, made = np.random.default_rng(5), {}
    for name, each in bundles.by_name().items():
        card = each.card
        shape = (-1, card.input.height, card.input.width, 1)
        parts = [pixels.reshape(shape) for key, pixels in from_images.items() if key.startswith(name)]
        parts += [np.frombuffer(unpack(golden.input), np.uint8).reshape(shape) for golden in card.golden]
        made[name] = np.concatenate([*parts, noise.integers(0, 256, (NOISE_IMAGES, *shape[1:]), np.uint8)])
    return made


def outputs(given: Arrays, images: list[Path]) -> dict[str, NDArray[np.generic]]:
    """Return raw outputs as ``NETWORK/TENSOR`` (n, ...), and `network_inputs` of the images as ``preprocessed/...``."""
    bundles = Bundles.shipped()
    found: dict[str, NDArray[np.generic]] = {}
    for name, each in bundles.by_name().items():
        runs = [each.model.run(pixels[None]) for pixels in given[name]]
        found |= {f"{name}/{tensor}": np.concatenate([run[tensor] for run in runs]) for tensor in each.model.outputs}
    return found | {f"preprocessed/{name}": pixels for name, pixels in network_inputs(bundles, images).items()}


if __name__ == "__main__":
    source, sink, *names = map(Path, sys.argv[1:])
    np.savez(sink, **outputs(dict(np.load(source)), names))  # type: ignore[arg-type]  # numpy's stub has allow_pickle
