"""The hour message: the counts of a device in its last full hour, which a collector publishes for other programs.

It is the sum of windows that the device has released, so it says nothing that the windows do not say.
"""

from typing import Annotated, Literal

from msgspec import DecodeError, Meta
from msgspec.json import Decoder, Encoder

from base.validation_errors import explain_json
from contract.errors import BadMessage
from contract.fields import Count, Fraction, Id, Time
from contract.labels import LABEL_PATTERN, MAX_LABELS
from contract.message import MAX_BYTES
from contract.strict import Strict
from contract.topics import PREFIX, check_id

Visits = Annotated[float, Meta(ge=0, description="no whole number where a window lies in two hours")]


class Hour(Strict, frozen=True, kw_only=True):
    """Visits of one device in one hour of UTC, as ``facetally-collector summary --by hour`` has them.

    It is retained, and published again if windows of the hour arrive later.
    """

    schema: Literal[1]
    site: Id
    device: Id
    start: Time
    end: Time
    windows: Count
    """Windows that lie in the hour, or reach into it."""
    coverage: Fraction
    """Fraction of the hour in which the camera was watched."""
    visits: Annotated[
        dict[str, Visits],
        Meta(max_length=MAX_LABELS + 1, extra_json_schema={"propertyNames": {"pattern": LABEL_PATTERN}}),
    ]
    """Visits by label, not corrected for the model's errors."""
    doubtful_low: Visits
    """Visits that may be none."""
    doubtful_high: Visits
    """Visits that may be two."""


_encoder, _decoder = Encoder(), Decoder(Hour)


def hour_topic(site: str, device: str) -> str:
    """``("shop-1", "door")`` -> ``"facetally/v1/shop-1/door/hour"``."""
    return f"{PREFIX}/{check_id('site', site)}/{check_id('device', device)}/hour"


def encode_hour(hour: Hour) -> bytes:
    """Encode an hour as JSON."""
    return _encoder.encode(hour)


def decode_hour(payload: bytes) -> Hour:
    """Decode JSON into an hour. Raise BadMessage, which names the key, if the payload is not one."""
    if len(payload) > MAX_BYTES:
        raise BadMessage(f"hour: must be at most {MAX_BYTES} bytes, is {len(payload)}")
    try:
        return _decoder.decode(payload)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"hour: {explain_json(error, payload, Hour)}") from error
