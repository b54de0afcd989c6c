"""What a device sends: counts of a window, status, model and health, as structs and as JSON bytes."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from msgspec import UNSET, DecodeError, Meta, Struct, UnsetType, ValidationError
from msgspec.json import Decoder, Encoder

from contract.errors import BadMessage
from contract.labels import LABEL_PATTERN, MAX_LABELS
from contract.topics import ID_PATTERN, Kind

MAX_BYTES = 16_384
"""Nothing a device sends is longer; what is longer is not decoded."""

Id = Annotated[str, Meta(pattern=ID_PATTERN)]
Label = Annotated[str, Meta(pattern=LABEL_PATTERN)]
Boot = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$(?!\n)", description="random per start of the daemon")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]
Time = Annotated[datetime, Meta(tz=True, description="UTC, RFC 3339")]
Clock = Literal["synced", "restamped", "unsynced", "replay"]
"""How far ``start`` and ``end`` can be believed: stamped by a synchronised clock, put right when it became so, never
put right, or the time of a file that is replayed."""

LONGEST_WINDOW = timedelta(days=400)
"""Counts that are held back for ``k`` may wait through a long closure; a window longer than this is of a wrong clock,
and a store may refuse it."""

NO_OFFSET = timedelta(0)

Reason = Literal["no_camera", "frozen", "black", "covered", "blurred", "moved", "hot", "truncated"]
"""Why a window saw less than it should have."""


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A message: read-only, by keyword, and an unknown key is an error."""


@lru_cache(1024)
def _misnamed(names: tuple[str, ...]) -> str | None:
    """The first that is no label. A fleet has few sets of labels, and a look at each in each message took two thirds of
    the time of decoding it.
    """
    return next((name for name in names if not re.fullmatch(LABEL_PATTERN, name)), None)


class Privacy(Strict, frozen=True, kw_only=True):
    """The rule under which the counts were released."""

    k: Annotated[int, Meta(ge=1)]


class Models(Strict, frozen=True, kw_only=True):
    """Which bundles made the counts: name and the first twelve digits of the file's sha256, as
    ``name@0123456789ab``."""

    detector: str
    expression: str


class Counts(Strict, frozen=True, kw_only=True):
    """Visits per expression that ended in one window of one device. Version 2 adds the optional fields at the end: the
    number of visits is doubtful by so many, down and up; absent where none is.
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
        dict[str, Count],  # its keys are looked at in __post_init__
        Meta(min_length=3, max_length=MAX_LABELS + 1, extra_json_schema={"propertyNames": {"pattern": LABEL_PATTERN}}),
    ]
    merged: Annotated[int, Meta(ge=1, description="how many windows were joined into this one")]
    privacy: Privacy
    model: Models
    doubtful_low: (
        Annotated[Count, Meta(description="visits that may be a part of another one, or nobody's")] | UnsetType
    ) = UNSET
    doubtful_high: Annotated[Count, Meta(description="visits that may be those of two people")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse what types alone cannot: times off UTC, an empty or backward window, keys that are no labels."""
        if self.start.utcoffset() != NO_OFFSET or self.end.utcoffset() != NO_OFFSET:
            raise ValueError("start and end are UTC")
        if self.end <= self.start:
            raise ValueError("end is after start")
        if (label := _misnamed(tuple(self.visits))) is not None:
            raise ValueError(f"label {label!r} does not match {LABEL_PATTERN} - at `$.visits`")
        for name, doubtful in (("doubtful_low", self.doubtful_low), ("doubtful_high", self.doubtful_high)):
            if doubtful is UNSET:
                continue
            if self.schema == 1:
                raise ValueError(f"{name} needs schema 2")
            if doubtful > sum(self.visits.values()):
                raise ValueError(f"{name} must be at most the number of visits, is {doubtful}")

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes a window countable exactly once, wherever it arrives twice."""
        return self.site, self.device, self.boot, self.seq


class Status(Strict, frozen=True, kw_only=True):
    """Whether a device is there; ``offline`` is its last will."""

    schema: Literal[1]
    state: Literal["online", "stopping", "offline"]
    boot: Boot


class BundleIdentity(Strict, frozen=True, kw_only=True):
    """What an analyst must know of a bundle: its labels, its figures, and how it confuses its labels."""

    name: str
    sha256: str
    labels: tuple[Label, ...] = ()
    figures: dict[str, float] = {}
    confusion: tuple[tuple[Count, ...], ...] = ()
    """Rows are the truth, columns the int8 model's answer, both in the order of ``labels``."""
    visits: tuple[tuple[Count, ...], ...] | UnsetType = UNSET
    """The same of whole visits, with ``unknown`` as one column more. Since version 2 of the model message."""


class Model(Strict, frozen=True, kw_only=True):
    """The two bundles a device runs."""

    schema: Literal[1, 2]
    detector: BundleIdentity
    expression: BundleIdentity

    def __post_init__(self) -> None:
        """Refuse matrices of another size than the labels', and what version 1 has not."""
        for bundle in (self.detector, self.expression):
            size = len(bundle.labels)
            if bundle.confusion and [len(row) for row in bundle.confusion] != [size] * size:
                raise ValueError(f"confusion is {size} x {size}, as many as there are labels")
            if bundle.visits is not UNSET:
                if self.schema == 1:
                    raise ValueError("visits: since version 2 of the schema")
                if [len(row) for row in bundle.visits] != [size + 1] * size:
                    raise ValueError(f"visits is {size} x {size + 1}, with a column for unknown")


class Latency(Strict, frozen=True, kw_only=True):
    """Milliseconds a frame that a stage took in the last minute."""

    p50: Seconds
    p95: Seconds


class Health(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """State of a device, sent once a minute. None where the platform does not say. Versions 2 and 3 add the optional
    fields at the end, each absent where there is nothing to say.
    """

    schema: Literal[1, 2, 3]
    boot: Boot
    time: Time
    uptime_s: Seconds
    frames_per_s: Seconds
    latency_ms: dict[str, Latency]
    frames_dropped: Count
    spool_depth: Count
    spool_dropped: Count
    oldest_unsent: Time | None
    memory_mb: Seconds
    temperature_c: float | None
    throttled: bool | None
    clock: Clock
    versions: dict[str, str]
    written_mb: Annotated[float, Meta(ge=0, description="since the start, to disk or card, 10^6 bytes")] | None = None
    shared_with: (
        Annotated[Boot, Meta(description="of another unit that was alive under the same name since the start")] | None
    ) = None
    detections_saved: (
        Annotated[Fraction, Meta(description="fraction of frames since the last report that needed no detection")] | None
    ) = None
    """Since version 3, as ``detector_choice``."""
    detector_choice: Annotated[str, Meta(max_length=300, description="why the device runs this detector")] | None = None
    fixed_faces: Annotated[Count, Meta(description="posters, portraits and the like, now ignored")] | None = None
    """Since version 3."""

    def __post_init__(self) -> None:
        """Refuse fields that are newer than the version."""
        if self.schema == 1 and (self.written_mb is not None or self.shared_with is not None):
            raise ValueError("written_mb and shared_with need schema 2")
        if self.schema < 3 and (self.detections_saved is not None or self.detector_choice is not None):
            raise ValueError("detections_saved and detector_choice need schema 3")
        if self.schema < 3 and self.fixed_faces is not None:
            raise ValueError("fixed_faces needs schema 3")


Message = Counts | Status | Model | Health
MESSAGES: dict[Kind, type[Counts | Status | Model | Health]] = {
    "counts": Counts,
    "status": Status,
    "model": Model,
    "health": Health,
}

_encoder = Encoder()
_decoders: dict[type, Decoder[Message]] = {kind: Decoder(kind) for kind in MESSAGES.values()}
M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """A message -> its JSON, keys in the order of its fields."""
    return _encoder.encode(message)


def decode(payload: bytes, kind: type[M]) -> M:
    """JSON bytes -> a message of the kind expected; BadMessage that says at which key it fails."""
    if len(payload) > MAX_BYTES:
        raise BadMessage(f"{kind.__name__.lower()}: {len(payload)} bytes, at most {MAX_BYTES}")
    try:
        message = _decoders[kind].decode(payload)
    except (DecodeError, ValidationError, UnicodeDecodeError) as error:
        raise BadMessage(f"{kind.__name__.lower()}: {error}") from error
    assert isinstance(message, kind)
    return message
