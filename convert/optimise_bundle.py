"""Rearrange the network of an existing bundle for speed; a bundle from `quantise` is rearranged already."""

import hashlib
from pathlib import Path

import msgspec

from contract.card import Card, write_card
from contract.errors import BundleError
from convert.optimise import optimise
from convert.quantise import operators, write
from edge.vision import bundle


def optimise_bundle(card_path: Path, out: Path, version: str) -> Card:
    """Write the bundle of a card, with its network rearranged (`convert.optimise`) and a new version, into ``out``.

    BundleError if the bundle is damaged, if nothing of its network can be rearranged, or if it would have the version
    or the place of the old one.
    """
    loaded = bundle.load(card_path, type(bundle.read(card_path)))
    if not version or version == loaded.card.version:
        raise BundleError(
            f"--version: must be another than that of the bundle, {loaded.card.version!r}, is {version!r}"
        )
    if out.resolve() == card_path.resolve().parent:
        raise BundleError(f"--out: must be another folder than that of the bundle, is {out}")
    before = card_path.with_suffix(".tflite").read_bytes()
    content = optimise(before)
    if content == before:
        raise BundleError(f"{card_path}: nothing to rearrange: the network is rearranged already, or of another kind")
    card = msgspec.structs.replace(
        loaded.card, version=version, sha256=hashlib.sha256(content).hexdigest(), operators=operators(content)
    )
    out.mkdir(parents=True, exist_ok=True)
    write(content, out / f"{card.name}.tflite")
    write(write_card(card), out / f"{card.name}.json")
    bundle.load(out / f"{card.name}.json", type(card))
    return card
