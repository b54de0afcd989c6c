"""Load a bundle: a model NAME.tflite and its card NAME.json, checked against each other before use."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from contract.card import Card, CheckCard, ClassifierCard, DetectorCard, Golden, read_card, unpack
from contract.errors import BundleError
from edge.vision.interpreter import Interpreter
from edge.vision.probe import check_in_subprocess

SHIPPED = Path(__file__).parents[1] / "models"
"""Folder of the bundles that come with this package."""
DEFAULT_DETECTOR, DEFAULT_CLASSIFIER = SHIPPED / "face-416x320.json", SHIPPED / "expression.json"
"""Cards of the bundles that run unless the configuration names others."""
STILL_IMAGE_DETECTOR = SHIPPED / "face-640x480.json"
"""Card of the most accurate detector, for single images (``facetally-edge try``), where speed does not matter."""
DEFAULT_CHECK = SHIPPED / "face-check.json"
"""Card of the face check that runs with the shipped detectors."""
MAX_BYTES = 100_000_000
"""Largest accepted size of a card or a model file."""

C = TypeVar("C", bound=Card)
T = TypeVar("T")


TASKS: dict[type[Any], str] = {DetectorCard: "detect", ClassifierCard: "classify", CheckCard: "check"}
"""The task of each kind of card, as the card names it."""


@dataclass(frozen=True, slots=True)
class Bundle(Generic[C]):
    """A card and the model that it describes, checked against each other."""

    card: C
    model: Interpreter


def card_path(given: str) -> Path:
    """The path of a card, given a path (``NAME.json``) or the name of a shipped bundle (``face-320x240``).

    Raises `BundleError` if no bundle of that name is shipped.
    """
    if given.endswith(".json") or "/" in given:
        return Path(given)
    shipped = sorted(path.stem for path in SHIPPED.glob("*.json"))
    if given not in shipped:
        raise BundleError(
            f"{given}: no bundle of that name is shipped; must be the path of a card (.json) or one of"
            f" {', '.join(shipped)}"
        )
    return SHIPPED / f"{given}.json"


def is_shipped(card_path: Path) -> bool:
    """Whether the bundle of a card comes with this package."""
    return card_path.resolve().parent == SHIPPED.resolve()


def read(card_path: Path) -> Card:
    """The card in a file; raises `BundleError` if it cannot be read."""
    return _read(card_path, lambda content: read_card(content, str(card_path)))


def load(card_path: Path, kind: type[C], threads: int = 1, *, trusted: bool = False) -> Bundle[C]:
    """Load the bundle of a card ``NAME.json``, whose model is ``NAME.tflite`` beside it, and replay its golden samples.

    A bundle from outside this package is first run in a subprocess, because a damaged model can end the process that
    runs it; ``trusted`` skips that. Raises `BundleError` if a file is missing, if the hash, the task, a shape or the
    number of labels does not match, or if a golden sample differs by more than its tolerance.
    """
    card = read(card_path)
    if not isinstance(card, kind):
        raise BundleError(f"{card_path}: must be a {kind.__name__}, is a {type(card).__name__}")
    model_path = card_path.with_suffix(".tflite")
    content = _read(model_path, bytes)
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise BundleError(f"{model_path}: sha256 is {digest[:12]}..., must be {card.sha256[:12]}... as in the card")
    if not trusted and not is_shipped(card_path):
        check_in_subprocess(card_path, TASKS[kind], threads)
    try:
        model = Interpreter(content, threads)
        _check_tensors(card, model)
        for golden in card.golden:
            _replay(golden, card, model)
    except BundleError as error:
        raise BundleError(f"{model_path}: {error}") from error
    return Bundle(card, model)


def golden_output(
    model: Interpreter, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """The output of a model as a golden sample keeps it: all int8 values, outputs in the order of their names."""
    raw = model.run(pixels)
    return np.concatenate([raw[name].ravel() for name in sorted(raw)])


def _read(path: Path, parse: Callable[[bytes], T]) -> T:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise BundleError(f"{path}: must be at most {MAX_BYTES} bytes, is larger")
    return parse(content)


def _check_tensors(card: Card, model: Interpreter) -> None:
    """Raise `BundleError` unless the model's inputs and outputs are those of the card."""
    given, wanted = model.input, card.input
    shape = (wanted.height, wanted.width, wanted.channels)
    if given.shape[1:] != shape:
        raise BundleError(f"input (height, width, channels) must be {shape} as in the card, is {given.shape[1:]}")
    if not np.isclose(given.scale, wanted.scale) or given.zero_point != wanted.zero_point:
        raise BundleError(
            f"input scale and zero point must be {wanted.scale} and {wanted.zero_point} as in the card, are"
            f" {given.scale} and {given.zero_point}"
        )
    outputs = {name: tensor.shape[1:] for name, tensor in model.outputs.items()}
    expected = _expected_outputs(card)
    if outputs != expected:
        raise BundleError(f"outputs must be {expected} by the card, are {outputs}")


def _expected_outputs(card: Card) -> dict[str, tuple[int, ...]]:
    """Names and shapes, without the batch, of the outputs that a card asks for."""
    if isinstance(card, ClassifierCard):
        return {"logits": (len(card.labels),)}
    if isinstance(card, CheckCard):
        return {"logits": (1,)}
    cells = sum(-(-card.input.height // s) * -(-card.input.width // s) for s in card.strides)
    return {"scores": (cells, 1), "boxes": (cells, 4), "landmarks": (cells, 2 * len(card.landmarks))}


def _replay(golden: Golden, card: Card, model: Interpreter) -> None:
    """Raise `BundleError` if the model's output for a golden sample differs by more than the sample's tolerance."""
    shape = (1, card.input.height, card.input.width, card.input.channels)
    try:
        pixels = np.frombuffer(unpack(golden.input), np.uint8).reshape(shape)
        expected = np.frombuffer(unpack(golden.output), np.int8).astype(np.int32)
    except ValueError as error:
        raise BundleError(f"golden sample {golden.name!r}: {error}") from error
    given = golden_output(model, pixels).astype(np.int32)
    if given.shape != expected.shape:
        raise BundleError(f"golden sample {golden.name!r}: output must have {expected.size} values, has {given.size}")
    difference = int(np.abs(given - expected).max())
    if difference > golden.tolerance:
        raise BundleError(
            f"golden sample {golden.name!r}: output must differ by at most {golden.tolerance} quantised steps,"
            f" differs by {difference}"
        )
