"""A window that was sent to the broker: its key in receipts, and what is known of its delivery."""

from dataclasses import dataclass

import msgspec


class WindowKey(msgspec.Struct, frozen=True):
    """What identifies a window in receipts, in the messages of every version."""

    boot: str
    seq: int


@dataclass(slots=True)
class SentWindow:
    """A window that was sent and is still in the spool. Times are monotonic seconds."""

    key: WindowKey | None
    """None if the payload has none; no receipt can then confirm the window."""
    sent: float
    """Time of the last send."""
    acknowledged: float | None = None
    """Time of the PUBACK; None before it."""
    earlier: bool = False
    """The PUBACK came on an earlier connection."""
    tries: int = 1
    """Number of sends while a collector was connected, without early repeats."""
    repeated: bool = False
    """It was sent again on this connection."""
    passed: bool = False
    """A collector that should have it by now has not confirmed it."""


_decoder = msgspec.json.Decoder(WindowKey)


def key_of(payload: bytes) -> WindowKey | None:
    """Return the key of a spooled message, or None if it has none."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None
