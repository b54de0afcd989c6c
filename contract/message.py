"""The messages of a device: counts of a window, status, model, health and shadow, as structs and as JSON."""

import re
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from msgspec import UNSET, DecodeError, Meta, UnsetType, field
from msgspec.json import Decoder, Encoder
from msgspec.structs import force_setattr

from base.validation_errors import explain_json
from contract.errors import BadMessage
from contract.fields import NO_OFFSET, Boot, Clock, Count, Fraction, Id, Label, Matrix, Reason, Time
from contract.health import Health
from contract.labels import LABEL_PATTERN, MAX_LABELS
from contract.strict import Strict
from contract.topics import Kind

MAX_BYTES = 16_384
"""Maximum length of a message, bytes. Longer payloads are not decoded."""


@lru_cache(1024)
def _first_invalid_label(names: tuple[str, ...]) -> str | None:
    """Return the first name that is not a valid label, or None.

    Cached: a fleet uses few label sets, and checking every label of every message took two thirds of the decoding time.
    """
    return next((name for name in names if not re.fullmatch(LABEL_PATTERN, name)), None)


class Privacy(Strict, frozen=True, kw_only=True):
    """The privacy rule under which the counts were released: ``k``, the minimum number of visits."""

    k: Annotated[int, Meta(ge=1)]


class Models(Strict, frozen=True, kw_only=True):
    """The bundles that produced the counts, as ``name@0123456789ab``: name and first 12 hex digits of the SHA-256."""

    detector: str
    expression: str


class Counts(Strict, frozen=True, kw_only=True):
    """Visits per expression that ended in one window of one device.

    Version 2 adds the optional fields at the end: how many of the visits are doubtful. They are absent where none is.
    """

    schema: Literal[1, 2]
    site: Id
    device: Id
    boot: Boot
    seq: Count
    start: Time
    end: Time
    clock: Clock
    coverage: Fraction
    degraded: Annotated[tuple[Reason, ...], Meta(max_length=8)]
    visits: Annotated[
        dict[str, Count],  # its keys are checked in __post_init__
        Meta(min_length=3, max_length=MAX_LABELS + 1, extra_json_schema={"propertyNames": {"pattern": LABEL_PATTERN}}),
    ]
    merged: Annotated[int, Meta(ge=1, description="number of windows joined into this one")]
    privacy: Privacy
    model: Models
    doubtful_low: (
        Annotated[Count, Meta(description="visits that may belong to another visit or to nobody")] | UnsetType
    ) = UNSET
    doubtful_high: Annotated[Count, Meta(description="visits that may be two people")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Check what the types cannot: UTC times, a window that ends after it starts, valid labels, doubtful counts."""
        if self.start.utcoffset() != NO_OFFSET or self.end.utcoffset() != NO_OFFSET:
            raise ValueError(f"`start` and `end` must be UTC ({self._times()})")
        if self.end <= self.start:
            raise ValueError(f"`end` must be after `start` ({self._times()})")
        if (label := _first_invalid_label(tuple(self.visits))) is not None:
            raise ValueError(f"label must match {LABEL_PATTERN}, is {label!r} - at `$.visits`")
        if self.doubtful_low is not UNSET or self.doubtful_high is not UNSET:
            self._check_doubtful()

    def _check_doubtful(self) -> None:
        for name, doubtful in (("doubtful_low", self.doubtful_low), ("doubtful_high", self.doubtful_high)):
            if doubtful is UNSET:
                continue
            if self.schema == 1:
                raise ValueError(f"{name} needs schema 2, `schema` is 1")
            if doubtful > sum(self.visits.values()):
                raise ValueError(f"{name} must be at most the number of visits, is {doubtful}")

    def _times(self) -> str:
        return f"start={self.start.isoformat()}, end={self.end.isoformat()}"

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Unique key of the window: ``(site, device, boot, seq)``. Repeats of a key are dropped."""
        return self.site, self.device, self.boot, self.seq


class Status(Strict, frozen=True, kw_only=True):
    """Whether a device is connected; ``offline`` is its last will."""

    schema: Literal[1]
    state: Literal["online", "stopping", "offline"]
    boot: Boot


class BundleIdentity(Strict, frozen=True, kw_only=True):
    """What an analyst needs to know about a bundle: name, hash, labels, measured figures and confusion matrices."""

    name: str
    sha256: str
    labels: tuple[Label, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    confusion: Matrix = ()
    """Of single faces: rows are true labels, columns predictions of the int8 model, both in the order of ``labels``."""
    visit_confusion: Annotated[Matrix, Meta(description="since version 3 of the model message")] | UnsetType = UNSET
    """Of whole visits, with one more column for ``unknown``."""
    visits: (
        Annotated[Matrix, Meta(description="name of visit_confusion in version 2; read, never written")] | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        """Read the matrix of version 2 under its present name."""
        if self.visits is not UNSET:
            if self.visit_confusion is not UNSET:
                raise ValueError("`visits` is the former name of `visit_confusion`; both are present")
            force_setattr(self, "visit_confusion", self.visits)
            force_setattr(self, "visits", UNSET)


class Model(Strict, frozen=True, kw_only=True):
    """The two bundles that a device runs.

    Version 2 adds the confusion matrix of visits, version 3 renames it from ``visits`` to ``visit_confusion``. A
    message of version 2 with that matrix is converted to version 3 on reading.
    """

    schema: Literal[1, 2, 3]
    detector: BundleIdentity
    expression: BundleIdentity

    def __post_init__(self) -> None:
        """Check that the matrices fit the labels and the version."""
        for bundle in (self.detector, self.expression):
            size = len(bundle.labels)
            if bundle.confusion:
                check_matrix("confusion", bundle.confusion, size, size)
            if bundle.visit_confusion is not UNSET:
                check_matrix("visit_confusion", bundle.visit_confusion, size, size + 1)
                if self.schema == 1:
                    raise ValueError("`visit_confusion` needs version 3, `schema` is 1")
                force_setattr(self, "schema", 3)


def check_matrix(name: str, matrix: Matrix, rows: int, columns: int) -> None:
    """Raise ValueError unless a confusion matrix has the shape (rows, columns)."""
    widths = [len(row) for row in matrix]
    if widths != [columns] * rows:
        raise ValueError(f"`{name}` must be {rows} x {columns} for {rows} labels, has {len(widths)} rows of {widths}")


class Shadow(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """How often a second classifier, which is only compared, predicts the same as the one that counts.

    The table is about a random part of the visits, and grows as long as both bundles stay. A message replaces the one
    before it with the same ``boot``.
    """

    schema: Literal[1]
    boot: Boot
    """Of the start of the daemon that began the table: its key, together with site and device."""
    seq: Count
    """Number of times that the table has grown."""
    active: Annotated[str, Meta(max_length=256, description="bundle that counts, as in counts messages")]
    shadow: Annotated[str, Meta(max_length=256, description="bundle that is compared; empty if it is not known")]
    fraction: Fraction
    """Fraction of the visits that are compared."""
    privacy: Privacy
    labels: Annotated[tuple[Label, ...], Meta(min_length=2, max_length=MAX_LABELS)]
    table: Matrix
    """Compared visits: one row per prediction of the active bundle, one column per prediction of the other, both in the
    order of ``labels`` and then ``unknown``."""
    skipped: Count
    """Visits that were drawn and not compared, because the device had no time."""
    failed: Annotated[str, Meta(max_length=300, description="why the second bundle does not run")] | None = None

    def __post_init__(self) -> None:
        """Check the shape of the table, and that its numbers may be published."""
        size, k = len(self.labels) + 1, self.privacy.k
        check_matrix("table", self.table, size, size)
        for name, number in (("table", self.visits), ("skipped", self.skipped)):
            if 0 < number < k:
                raise ValueError(f"`{name}` must hold no visits or at least k = {k}, holds {number}")

    @property
    def visits(self) -> int:
        """Number of visits that were compared."""
        return sum(map(sum, self.table))


Message = Counts | Status | Model | Health | Shadow
MESSAGES: dict[Kind, type[Counts | Status | Model | Health | Shadow]] = {
    "counts": Counts,
    "status": Status,
    "model": Model,
    "health": Health,
    "shadow": Shadow,
}

_encoder = Encoder()
_decoders: dict[type, Decoder[Message]] = {kind: Decoder(kind) for kind in MESSAGES.values()}
M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """Encode a message as JSON; keys are in the order of its fields."""
    return _encoder.encode(message)


def decode(payload: bytes, kind: type[M]) -> M:
    """Decode JSON into a message of ``kind``. Raise BadMessage, which names the key, if the payload is not one."""
    if len(payload) > MAX_BYTES:
        raise BadMessage(f"{kind.__name__.lower()}: must be at most {MAX_BYTES} bytes, is {len(payload)}")
    try:
        message = _decoders[kind].decode(payload)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"{kind.__name__.lower()}: {explain_json(error, payload, kind)}") from error
    assert isinstance(message, kind)
    return message
