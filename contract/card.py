"""The card beside a model file: all that a device must know of it, and nothing inferred from a file name."""

import base64
import zlib
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from contract.errors import BundleError
from contract.labels import check_labels
from contract.message import MAX_BYTES, BundleIdentity, Count, Model, Fraction, encode

Positive = Annotated[int, Meta(gt=0)]
MOST_SAMPLE = 16_000_000
"""Bytes of a golden sample's input or output; a few kilobytes of base64 can promise gigabytes."""


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a card: read-only, by keyword, and an unknown key is an error."""


class Input(Strict, frozen=True, kw_only=True):
    """The picture a model takes: grey, row-major, one byte a pixel, as it is."""

    width: Positive
    height: Positive
    channels: Literal[1]
    dtype: Literal["uint8"]
    scale: float
    zero_point: int


class Crop(Strict, frozen=True, kw_only=True):
    """How a face is cut out of a frame for this model.

    ``margin`` is the share of the box's longer side that is added on every side (negative cuts tighter);
    ``align`` says whether the eyes are turned level first.
    """

    margin: Annotated[float, Meta(gt=-0.5, le=2)]
    align: Literal["none", "eyes"]


class Golden(Strict, frozen=True, kw_only=True):
    """One picture and what the model makes of it, replayed when a device starts.

    ``input`` is base64 of zlib of the input's bytes; ``output`` is the same of all output tensors' raw bytes, one after
    the other in the order of their names; ``tolerance`` is the largest difference allowed, in quantised steps: two
    runtimes may round differently.
    """

    name: str
    input: str
    output: str
    tolerance: Annotated[int, Meta(ge=0)]


class Common(Strict, frozen=True, kw_only=True):
    """What a card of either task says."""

    schema: Literal[1, 2]
    name: str
    version: str
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    input: Input
    figures: dict[str, float]
    """Measured figures, float and int8 side by side, named ``<data>.<figure>.<float|int8>``."""
    data: str
    licence: str
    notes: str = ""
    operators: tuple[str, ...] = ()
    golden: Annotated[tuple[Golden, ...], Meta(min_length=1)]

    @property
    def identity(self) -> str:
        """``name@0123456789ab``, as messages carry it."""
        return f"{self.name}@{self.sha256[:12]}"


class DetectorCard(Common, frozen=True, kw_only=True, tag_field="task", tag="detect"):
    """A face detector: outputs named ``scores``, ``boxes`` and ``landmarks``, one row a cell, strides in this order."""

    strides: Annotated[tuple[Positive, ...], Meta(min_length=1)]
    threshold: Fraction
    overlap: Fraction
    """Of two boxes whose intersection over union is larger, the one with the lower score is dropped."""
    landmarks: tuple[Literal["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"], ...]


class ClassifierCard(Common, frozen=True, kw_only=True, tag_field="task", tag="classify"):
    """An expression classifier: one output ``logits``, one value a label."""

    labels: tuple[str, ...]
    crop: Crop
    temperature: Annotated[float, Meta(gt=0)]
    """Logits are divided by this before the softmax (Guo et al. 2017, temperature scaling)."""
    unknown_below: Fraction
    """A sighting whose largest probability is less is no verdict."""
    min_face_px: Positive
    """A face whose longer side is shorter in the frame is no verdict."""
    min_sharpness: Annotated[float, Meta(ge=0)] = 0.0
    """A crop whose Laplacian varies less is too blurred for a verdict; 0 switches this off."""
    confusion: tuple[tuple[Count, ...], ...]
    """Of the int8 model on data it was not trained on: rows are the truth, columns the answer."""
    visits: tuple[tuple[Count, ...], ...] | UnsetType = UNSET
    """The same of whole visits, several sightings each, with one column more: ``unknown``. Since version 2."""

    def __post_init__(self) -> None:
        """Refuse labels that are none, and matrices of another size."""
        check_labels(self.labels)
        size = len(self.labels)
        if [len(row) for row in self.confusion] != [size] * size:
            raise ValueError(f"the confusion matrix is {size} x {size}, as many as there are labels")
        if self.visits is not UNSET:
            if self.schema == 1:
                raise ValueError("visits: since version 2 of the schema")
            if [len(row) for row in self.visits] != [size + 1] * size:
                raise ValueError(f"the matrix of visits is {size} x {size + 1}, with a column for unknown")


Card = DetectorCard | ClassifierCard


def read_card(text: bytes, where: str) -> Card:
    """JSON of a card -> the card; BundleError that names ``where`` and the key."""
    try:
        card: Card = msgspec.json.decode(text, type=Card)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise BundleError(f"{where}: {error}") from error
    return card


def write_card(card: Card) -> bytes:
    """A card -> JSON that a person can read."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"


def bundle_identity(card: Card) -> BundleIdentity:
    """A card -> the part of it that goes out in the model message."""
    bundle = BundleIdentity(name=card.name, sha256=card.sha256, figures=card.figures)
    if isinstance(card, ClassifierCard):
        return msgspec.structs.replace(bundle, labels=card.labels, confusion=card.confusion, visits=card.visits)
    return bundle


def model_of(detector: DetectorCard, expression: ClassifierCard) -> Model:
    """The cards of a device -> its model message, of the lowest version that can say it; BundleError if it is too long
    to be sent.
    """
    schema: Literal[1, 2] = 1 if expression.visits is UNSET else 2
    model = Model(schema=schema, detector=bundle_identity(detector), expression=bundle_identity(expression))
    size = len(encode(model))
    if size > MAX_BYTES:
        raise BundleError(
            f"cards {detector.identity} and {expression.identity}: names, figures and matrices must fit a message of"
            f" {MAX_BYTES} bytes, are {size}"
        )
    return model


def pack(raw: bytes) -> str:
    """Bytes of a golden sample -> text for the card."""
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def unpack(text: str, most: int = MOST_SAMPLE) -> bytes:
    """The inverse of `pack`; ValueError if the text is none of its, or holds more than so many bytes."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(base64.b64decode(text, validate=True), most)
    except zlib.error as error:
        raise ValueError(f"not zlib: {error}") from error
    if not stream.eof:
        raise ValueError(f"not zlib: cut off, or of more than {most} bytes")
    return raw
