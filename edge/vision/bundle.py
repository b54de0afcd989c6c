"""NAME.tflite and NAME.json -> a checked model that gives what its card promises."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from contract.card import Card, ClassifierCard, DetectorCard, Golden, read_card, unpack
from contract.errors import BundleError
from edge.vision.interpreter import Interpreter
from edge.vision.probe import check_in_subprocess

C = TypeVar("C", DetectorCard, ClassifierCard)
SHIPPED = Path(__file__).parents[1] / "models"
MOST_BYTES = 100_000_000
"""Of a card or a model."""
DEFAULT_DETECTOR, DEFAULT_CLASSIFIER = SHIPPED / "face-416x320.json", SHIPPED / "expression.json"
"""The cards of what runs where nothing else is configured."""
STILL_IMAGE_DETECTOR = SHIPPED / "face-640x480.json"
"""The detector for still images (``facetally-edge try``): the most accurate one. Time does not matter there."""


@dataclass(frozen=True, slots=True)
class Bundle(Generic[C]):
    """A card and the model it describes, proved to belong together."""

    card: C
    model: Interpreter


def card_path(given: str) -> Path:
    """``face-320x240``, the name of a shipped bundle, or the path of any card, ``NAME.json`` -> the path of the card.
    BundleError for a name that none is shipped under.
    """
    if given.endswith(".json") or "/" in given:
        return Path(given)
    shipped = sorted(path.stem for path in SHIPPED.glob("*.json"))
    if given not in shipped:
        raise BundleError(f"{given}: no bundle of that name is shipped ({', '.join(shipped)}), and no path of a .json")
    return SHIPPED / f"{given}.json"


def load(card_path: Path, kind: type[C], threads: int = 1, *, vetted: bool = False) -> Bundle[C]:
    """The path of a card (``NAME.json``, its model ``NAME.tflite`` beside it) -> the bundle, golden samples replayed.

    BundleError if a file is missing, the hash, task, shape or label count is wrong, or a golden sample comes out
    differently. Unless it is ``vetted``, or shipped with this package, another process runs it first, so that a damaged
    model cannot end this one.
    """
    card = _read(card_path, lambda content: read_card(content, str(card_path)))
    if not isinstance(card, kind):
        raise BundleError(f"{card_path}: the card is of another task than the {kind.__name__} asked for")
    model_path = card_path.with_suffix(".tflite")
    content = _read(model_path, bytes)
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise BundleError(f"{model_path}: sha256 is {digest[:12]}..., the card says {card.sha256[:12]}...")
    if not vetted and card_path.resolve().parent != SHIPPED.resolve():
        check_in_subprocess(card_path, "detect" if kind is DetectorCard else "classify", threads)
    try:
        model = Interpreter(content, threads)
        _check_shapes(card, model)
        for golden in card.golden:
            _replay(golden, card, model)
    except BundleError as error:
        raise BundleError(f"{model_path}: {error}") from error
    return Bundle(card, model)


T = TypeVar("T")


def _read(path: Path, into: Callable[[bytes], T]) -> T:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise BundleError(f"{path}: must be at most {MOST_BYTES} bytes, is longer")
    return into(content)


def _check_shapes(card: Card, model: Interpreter) -> None:
    """BundleError unless input and outputs of the model are those of the card."""
    wanted = (card.input.height, card.input.width, card.input.channels)
    if model.input.shape[1:] != wanted:
        raise BundleError(f"input is {model.input.shape[1:]}, the card says {wanted} (height, width, channels)")
    if not np.isclose(model.input.scale, card.input.scale) or model.input.zero_point != card.input.zero_point:
        raise BundleError(f"input scale {model.input.scale}, zero point {model.input.zero_point}: not the card's")
    outputs = {name: tensor.shape[1:] for name, tensor in model.outputs.items()}
    expected = _outputs(card)
    if outputs != expected:
        raise BundleError(f"outputs are {outputs}, the card needs {expected}")


def _outputs(card: Card) -> dict[str, tuple[int, ...]]:
    """Name -> shape without the batch of what the card's task needs."""
    if isinstance(card, ClassifierCard):
        return {"logits": (len(card.labels),)}
    cells = sum(-(-card.input.height // s) * -(-card.input.width // s) for s in card.strides)
    return {"scores": (cells, 1), "boxes": (cells, 4), "landmarks": (cells, 2 * len(card.landmarks))}


def _replay(golden: Golden, card: Card, model: Interpreter) -> None:
    """BundleError if the model's answer to a golden sample is further off than its tolerance."""
    shape = (1, card.input.height, card.input.width, card.input.channels)
    try:
        pixels = np.frombuffer(unpack(golden.input), np.uint8).reshape(shape)
        promised = np.frombuffer(unpack(golden.output), np.int8).astype(np.int32)
    except ValueError as error:
        raise BundleError(f"golden sample {golden.name!r}: {error}") from error
    given = golden_output(model, pixels).astype(np.int32)
    if given.shape != promised.shape:
        raise BundleError(f"golden sample {golden.name!r}: {given.size} output values, the card has {promised.size}")
    off = int(np.abs(given - promised).max())
    if off > golden.tolerance:
        raise BundleError(f"golden sample {golden.name!r}: off by {off} steps, at most {golden.tolerance} allowed")


def golden_output(
    model: Interpreter, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """What a golden sample keeps of a model's answer: all int8 output values, in the order of the outputs' names."""
    raw = model.run(pixels)
    return np.concatenate([raw[name].ravel() for name in sorted(raw)])
