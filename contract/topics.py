"""MQTT topics: build a topic from site, device and kind, and parse one."""

import re
from functools import lru_cache
from typing import Literal, get_args

from msgspec import Struct

from contract.errors import TopicError

Kind = Literal["counts", "status", "model", "health", "shadow"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PREFIX = "facetally/v1"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)"
"""The look-ahead rejects a trailing newline, which ``$`` alone accepts."""


class Address(Struct, frozen=True):
    """The sender and the kind of a message, parsed from its topic."""

    site: str
    device: str
    kind: Kind


def check_id(name: str, value: str) -> str:
    """Return a site or device id unchanged. Raise TopicError unless it is 1 to 64 of ``A-Z a-z 0-9 . _ -``.

    Ids become topic levels and folder names: ``+ # /``, blanks and a leading dot would break those.
    """
    if not re.fullmatch(ID_PATTERN, value):
        raise TopicError(
            f"{name} {value!r} must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
        )
    return value


def topic(site: str, device: str, kind: Kind) -> str:
    """``("shop-1", "door", "counts")`` -> ``"facetally/v1/shop-1/door/counts"``."""
    if kind not in KINDS:
        raise TopicError(f"kind {kind!r} must be one of {', '.join(KINDS)}")
    return f"{PREFIX}/{check_id('site', site)}/{check_id('device', device)}/{kind}"


def subscription(kind: Kind, share: str | None = None) -> str:
    """Return the topic filter that matches one kind of message of every device.

    With ``share`` it is a shared subscription: the clients of the group get each message once between them (MQTT 5,
    section 4.8.2).
    """
    return f"{PREFIX}/+/+/{kind}" if share is None else f"$share/{check_id('share', share)}/{PREFIX}/+/+/{kind}"


@lru_cache(16_384)
def address(of_topic: str) -> Address:
    """Parse a topic. Raise TopicError if it is not a topic of a device."""
    site, *rest = of_topic.removeprefix(PREFIX + "/").split("/")
    if not of_topic.startswith(PREFIX + "/") or len(rest) != 2:
        raise TopicError(f"topic {of_topic!r} must be {PREFIX}/<site>/<device>/<{'|'.join(KINDS)}>")
    device, kind = rest
    if kind not in KINDS:
        raise TopicError(f"topic {of_topic!r} must end with one of {', '.join(KINDS)}")
    return Address(check_id("site", site), check_id("device", device), kind)
