"""What a collector sends back to a device: which of its windows it has dealt with, as a struct and as JSON bytes.

A broker's PUBACK says only that the broker has a message. A device deletes a window when a collector says that it has
it. Each collector publishes its receipts on a topic of its own, retained, so that several can share the counts.
"""

from typing import Annotated, Literal

from msgspec import DecodeError, Meta, ValidationError
from msgspec.json import Decoder, Encoder

from contract.errors import BadMessage
from contract.message import MAX_BYTES, Boot, Count, Strict
from contract.topics import PREFIX, check_id

MAX_BOOTS = 4
MAX_RUNS = 64
"""Of one boot. Both keep a receipt below `MAX_BYTES`; what does not fit goes into a further one."""

SeqRange = tuple[Count, Count]
"""First and last number of a run of ``seq`` without a gap, both included."""


class Stored(Strict, frozen=True, kw_only=True):
    """Windows of one device that a collector has dealt with: rows on its disk, or set aside for good.

    A receipt names the windows of the last moments and some before; what an older one named is not taken back.
    """

    schema: Literal[1]
    boots: Annotated[
        dict[Boot, Annotated[tuple[SeqRange, ...], Meta(max_length=MAX_RUNS)]],
        Meta(max_length=MAX_BOOTS, description="boot of the device -> runs of seq, [first, last]"),
    ]

    def __post_init__(self) -> None:
        """Refuse a run that ends before it begins."""
        for runs in self.boots.values():
            for first, last in runs:
                if last < first:
                    raise ValueError(f"a run of seq is [first, last] with first <= last, not [{first}, {last}]")

    def holds(self, boot: str, seq: int) -> bool:
        """Whether a window is among them."""
        return any(first <= seq <= last for first, last in self.boots.get(boot, ()))


_encoder, _decoder = Encoder(), Decoder(Stored)


def stored_topic(site: str, device: str, writer: str) -> str:
    """``("shop-1", "door", "collector")`` -> ``"facetally/v1/shop-1/door/stored/collector"``."""
    return f"{_about(site, device)}/{check_id('writer', writer)}"


def stored_filter(site: str, device: str) -> str:
    """The filter that matches the receipts of all collectors for one device."""
    return f"{_about(site, device)}/+"


def _about(site: str, device: str) -> str:
    return f"{PREFIX}/{check_id('site', site)}/{check_id('device', device)}/stored"


def encode_receipt(receipt: Stored) -> bytes:
    """A receipt -> its JSON."""
    return _encoder.encode(receipt)


def decode_receipt(payload: bytes) -> Stored:
    """JSON bytes -> a receipt; BadMessage that says at which key it fails."""
    if len(payload) > MAX_BYTES:
        raise BadMessage(f"stored: {len(payload)} bytes, at most {MAX_BYTES}")
    try:
        return _decoder.decode(payload)
    except (DecodeError, ValidationError, UnicodeDecodeError) as error:
        raise BadMessage(f"stored: {error}") from error
