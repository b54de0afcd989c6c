"""The health message of a device."""

from typing import Annotated, Literal

from msgspec import Meta

from contract.fields import MAX_OUTCOMES, SHA256_PATTERN, Boot, Clock, Count, Fraction, Outcome, Seconds, Time
from contract.strict import Strict

SINCE_4 = ("tracks_ended", "configuration_sha256", "release", "update_failed", "certificate_ends")
"""Fields of the health message since version 4."""
MAX_CHOICE_LENGTH = 300
"""Maximum length of ``detector_choice``, characters."""


class Latency(Strict, frozen=True, kw_only=True):
    """Time per frame that a stage took in the last minute, milliseconds."""

    p50: Seconds
    p95: Seconds


class Health(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """State of a device, sent after some seconds and then once a minute. None where the platform cannot report a value.

    Versions 2 to 4 add the optional fields at the end; each is absent where there is nothing to report.
    """

    schema: Literal[1, 2, 3, 4]
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
    written_mb: Annotated[float, Meta(ge=0, description="written to disk since the start, 10^6 bytes")] | None = None
    shared_with: (
        Annotated[Boot, Meta(description="boot of another device that uses the same site and device id")] | None
    ) = None
    detections_saved: (
        Annotated[Fraction, Meta(description="fraction of frames since the last report without detection")] | None
    ) = None
    """This and the next two fields: since version 3."""
    detector_choice: (
        Annotated[str, Meta(max_length=MAX_CHOICE_LENGTH, description="why the device runs this detector")] | None
    ) = None
    fixed_faces: Annotated[Count, Meta(description="ignored faces that never move, such as posters")] | None = None
    tracks_ended: (
        Annotated[
            dict[Outcome, Count],
            Meta(max_length=MAX_OUTCOMES, description="tracks that ended in the last full hour, by outcome"),
        ]
        | None
    ) = None
    """This and all fields below: since version 4."""
    configuration_sha256: (
        Annotated[
            str,
            Meta(pattern=SHA256_PATTERN, description="64 hexadecimal digits: SHA-256 of the configuration file in use"),
        ]
        | None
    ) = None
    release: Annotated[str, Meta(max_length=64, description="installed release")] | None = None
    update_failed: Annotated[str, Meta(max_length=300, description="why the last update was rolled back")] | None = None
    certificate_ends: Time | None = None
    """End of the validity of the device's certificate."""

    def __post_init__(self) -> None:
        """Reject fields that are newer than the version."""
        if self.schema < 4 and (newer := [name for name in SINCE_4 if getattr(self, name) is not None]):
            raise ValueError(f"{', '.join(newer)} need schema 4, `schema` is {self.schema}")
        if self.schema == 1 and (self.written_mb is not None or self.shared_with is not None):
            raise ValueError("written_mb and shared_with need schema 2, `schema` is 1")
        if self.schema < 3 and (self.detections_saved is not None or self.detector_choice is not None):
            raise ValueError(f"detections_saved and detector_choice need schema 3, `schema` is {self.schema}")
        if self.schema < 3 and self.fixed_faces is not None:
            raise ValueError(f"fixed_faces needs schema 3, `schema` is {self.schema}")
