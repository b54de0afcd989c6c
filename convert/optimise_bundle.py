"""Rearrange the network of an existing bundle for speed; a bundle from `quantise` is rearranged already."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np

from contract.card import Card, read_card, write_card
from contract.errors import BundleError
from convert.optimise import optimise
from convert.quantise import operators, write
from edge.vision import bundle
from edge.vision.bundle import golden_output
from edge.vision.interpreter import Interpreter

IMAGES = 8
"""Images of noise for which the outputs are compared; they reach values that no photograph reaches."""


def optimise_bundle(card_path: Path, out: Path, version: str) -> Card:
    """Write the bundle of a card, with its network rearranged (`convert.optimise`) and a new version, into ``out``.

    BundleError if the bundle is damaged, or if an output of the network changes.
    """
    kind = type(read_card(card_path.read_bytes(), str(card_path)))
    loaded = bundle.load(card_path, kind)
    content = optimise(card_path.with_suffix(".tflite").read_bytes())
    rearranged = Interpreter(content)
    rng = np.random.default_rng(0)
    for _ in range(IMAGES):
        image = rng.integers(0, 256, (1, *loaded.model.input.shape[1:]), np.uint8)
        if not np.array_equal(golden_output(loaded.model, image), golden_output(rearranged, image)):
            raise BundleError(f"{card_path}: outputs of the rearranged network must be those of the old one, differ")
    card = msgspec.structs.replace(
        loaded.card, version=version, sha256=hashlib.sha256(content).hexdigest(), operators=operators(content)
    )
    out.mkdir(parents=True, exist_ok=True)
    write(content, out / f"{card.name}.tflite")
    write(write_card(card), out / f"{card.name}.json")
    bundle.load(out / f"{card.name}.json", kind)
    return card
