"""Model cards: the JSON file beside a model that describes its input, outputs, thresholds and measured quality."""

import base64
import zlib
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import force_setattr

from contract.errors import BundleError
from contract.fields import SHA256_PATTERN, Fraction, Matrix
from contract.json_text import read_json, write_json
from contract.labels import check_labels
from contract.message import MAX_BYTES, BundleIdentity, Model, check_matrix, encode
from contract.strict import Strict

Positive = Annotated[int, Meta(gt=0)]
Version = Literal[1, 2, 3]
MAX_SAMPLE_BYTES = 16_000_000
"""Maximum size of a golden sample's input or output, unpacked; a few kilobytes of base64 can expand to gigabytes."""


class Input(Strict, frozen=True, kw_only=True):
    """The image that a model takes: grey, row-major, one byte a pixel, neither scaled nor shifted.

    The input of the TFLite file may also be int8. The device then subtracts 128, and ``zero_point`` is the file's
    plus 128.
    """

    width: Positive
    height: Positive
    channels: Literal[1]
    dtype: Literal["uint8"]
    scale: float
    zero_point: int


class Crop(Strict, frozen=True, kw_only=True):
    """How a face is cropped from a frame for this model."""

    margin: Annotated[float, Meta(gt=-0.5, le=2)]
    """Fraction of the box's longer side that is added on every side; negative values crop tighter."""
    align: Literal["none", "eyes"]
    """``eyes``: rotate the face so that the eyes are level."""


class Golden(Strict, frozen=True, kw_only=True):
    """One input and the model's output for it, replayed when a device starts."""

    name: str
    input: str
    """Base64 of the zlib-compressed input bytes."""
    output: str
    """The same of the raw bytes of all output tensors, concatenated in the order of their names."""
    tolerance: Annotated[int, Meta(ge=0)]
    """Largest allowed difference, quantisation steps: runtimes may round differently."""


class Common(Strict, frozen=True, kw_only=True):
    """The keys that the cards of all tasks have."""

    schema: Version
    name: str
    version: str
    sha256: Annotated[str, Meta(pattern=SHA256_PATTERN, description="64 hexadecimal digits: SHA-256 of the model file")]
    input: Input
    figures: dict[str, float]
    """Measured figures of the float and the int8 model, named ``<data>.<figure>.<float|int8>``."""
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
    """A face detector: outputs ``scores``, ``boxes`` and ``landmarks``, one row per grid cell, stride after stride."""

    strides: Annotated[tuple[Positive, ...], Meta(min_length=1)]
    threshold: Fraction
    """Minimum score of a detection."""
    overlap: Fraction
    """Of two boxes with a larger intersection over union, the one with the lower score is dropped."""
    landmarks: tuple[Literal["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"], ...]


class CheckCard(Common, frozen=True, kw_only=True, tag_field="task", tag="check"):
    """A face check: one output ``logits`` with one value, higher for a face and lower for a look-alike.

    It sees the crop of a detection. The face score of the detection, 0 to 1, is the logistic function of
    ``logit(score) + weight * value + bias``.
    """

    crop: Crop
    weight: Annotated[float, Meta(gt=0, le=10)]
    bias: Annotated[float, Meta(ge=-20, le=20)]
    checked_below: Fraction
    """Detections with this score or more are not checked; their face score is their score."""


class ClassifierCard(Common, frozen=True, kw_only=True, tag_field="task", tag="classify"):
    """An expression classifier: one output ``logits``, one value per label.

    Version 2 adds the confusion matrix of visits, version 3 renames it from ``visits`` to ``visit_confusion``. A
    card of version 2 with that matrix is converted to version 3 on reading.
    """

    labels: tuple[str, ...]
    crop: Crop
    temperature: Annotated[float, Meta(gt=0)]
    """Logits are divided by this before the softmax (temperature scaling, Guo et al. 2017)."""
    unknown_below: Fraction
    """An observation whose largest probability is lower does not count."""
    min_face_px: Positive
    """A face whose longer side in the frame is shorter, in pixels, does not count."""
    min_sharpness: Annotated[float, Meta(ge=0)] = 0.0
    """A crop whose Laplacian has a lower variance is too blurred to count; 0 disables the check."""
    confusion: Matrix
    """Of single faces, int8 model on held-out data: rows are true labels, columns predictions."""
    visit_confusion: Matrix | UnsetType = UNSET
    """Of whole visits of several observations each, with one more column for ``unknown``. Since version 3."""
    visits: (
        Annotated[Matrix, Meta(description="name of visit_confusion in version 2; read, never written")] | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        """Check labels and matrices, and read the matrix of version 2 under its present name."""
        check_labels(self.labels)
        size = len(self.labels)
        check_matrix("confusion", self.confusion, size, size)
        if self.visits is not UNSET:
            if self.schema != 2 or self.visit_confusion is not UNSET:
                raise ValueError(f"`visits` must be `visit_confusion` in a card of schema {self.schema}")
            force_setattr(self, "visit_confusion", self.visits)
            force_setattr(self, "visits", UNSET)
            force_setattr(self, "schema", 3)
        if self.visit_confusion is not UNSET:
            check_matrix("visit_confusion", self.visit_confusion, size, size + 1)
            if self.schema < 3:
                raise ValueError(f"`visit_confusion` needs version 3, `schema` is {self.schema}")


Card = DetectorCard | ClassifierCard | CheckCard


def read_card(text: bytes, where: str) -> Card:
    """Decode the JSON of a card. Raise BundleError, which names ``where`` and the key, if it is not a card."""
    card: Card = read_json(text, Card, where, BundleError)
    return card


def write_card(card: Card) -> bytes:
    """Encode a card as indented JSON."""
    return write_json(card)


def bundle_identity(card: Card) -> BundleIdentity:
    """Return the part of a card that is published in the model message."""
    bundle = BundleIdentity(name=card.name, sha256=card.sha256, figures=card.figures)
    if isinstance(card, ClassifierCard):
        return msgspec.structs.replace(
            bundle, labels=card.labels, confusion=card.confusion, visit_confusion=card.visit_confusion
        )
    return bundle


def model_of(detector: DetectorCard, expression: ClassifierCard) -> Model:
    """Return the model message of a device that runs these bundles, in the lowest version that can express it.

    Raise BundleError if it would exceed the maximum length of a message.
    """
    schema: Version = 1 if expression.visit_confusion is UNSET else 3
    model = Model(schema=schema, detector=bundle_identity(detector), expression=bundle_identity(expression))
    size = len(encode(model))
    if size > MAX_BYTES:
        raise BundleError(
            f"cards {detector.identity} and {expression.identity}: names, figures and matrices must fit a message of"
            f" {MAX_BYTES} bytes, are {size}"
        )
    return model


def pack(raw: bytes) -> str:
    """Compress and encode the bytes of a golden sample as text for a card."""
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def unpack(text: str, max_bytes: int = MAX_SAMPLE_BYTES) -> bytes:
    """Invert `pack`. Raise ValueError if the text was not packed, or holds more than ``max_bytes``."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(base64.b64decode(text, validate=True), max_bytes)
    except zlib.error as error:
        raise ValueError(f"not zlib data: {error}") from error
    if not stream.eof:
        raise ValueError(f"not zlib data: cut off, or more than {max_bytes} bytes")
    return raw
