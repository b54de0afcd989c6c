"""Receipts: the message by which a collector confirms to a device which of its windows are stored.

A PUBACK says only that the broker has a message. A device deletes a window when a collector confirms it. Each collector
publishes its receipts on its own topic, retained, so that several collectors can share the counts.
"""

from functools import lru_cache
from typing import Annotated, Literal

from msgspec import DecodeError, Meta
from msgspec.json import Decoder, Encoder

from base.validation_errors import explain_json
from contract.errors import BadMessage
from contract.fields import Boot, Count
from contract.message import MAX_BYTES
from contract.strict import Strict
from contract.topics import PREFIX, check_id

MAX_BOOTS = 4
MAX_RUNS = 64
"""Of one boot. Both bounds keep a receipt below `MAX_BYTES`; what does not fit goes into another receipt."""

SeqRange = tuple[Count, Count]
"""First and last ``seq`` of a range without a gap, both included."""


class Stored(Strict, frozen=True, kw_only=True):
    """Windows of one device that a collector has dealt with: rows on its disk, or set aside for good.

    A receipt names recent windows only. What an earlier receipt confirmed stays confirmed.
    """

    schema: Literal[1]
    boots: Annotated[
        dict[Boot, Annotated[tuple[SeqRange, ...], Meta(max_length=MAX_RUNS)]],
        Meta(max_length=MAX_BOOTS, description="boot of the device -> ranges of seq, [first, last]"),
    ]

    def __post_init__(self) -> None:
        """Reject a range whose last number is below its first."""
        for ranges in self.boots.values():
            for first, last in ranges:
                if last < first:
                    raise ValueError(f"a range of seq must be [first, last] with first <= last, is [{first}, {last}]")

    def holds(self, boot: str, seq: int) -> bool:
        """Whether the receipt confirms this window."""
        return any(first <= seq <= last for first, last in self.boots.get(boot, ()))


_encoder, _decoder = Encoder(), Decoder(Stored)


@lru_cache(16_384)
def stored_topic(site: str, device: str, writer: str) -> str:
    """``("shop-1", "door", "collector")`` -> ``"facetally/v1/shop-1/door/stored/collector"``."""
    return f"{_prefix(site, device)}/{check_id('writer', writer)}"


def stored_filter(site: str, device: str) -> str:
    """Return the topic filter that matches the receipts of all collectors for one device."""
    return f"{_prefix(site, device)}/+"


def _prefix(site: str, device: str) -> str:
    return f"{PREFIX}/{check_id('site', site)}/{check_id('device', device)}/stored"


def encode_receipt(receipt: Stored) -> bytes:
    """Encode a receipt as JSON."""
    return _encoder.encode(receipt)


def decode_receipt(payload: bytes) -> Stored:
    """Decode JSON into a receipt. Raise BadMessage, which names the key, if the payload is not one."""
    if len(payload) > MAX_BYTES:
        raise BadMessage(f"stored: must be at most {MAX_BYTES} bytes, is {len(payload)}")
    try:
        return _decoder.decode(payload)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"stored: {explain_json(error, payload, Stored)}") from error
