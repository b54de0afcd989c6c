"""Site, device and kind -> MQTT topic, and back."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from contract.errors import TopicError

Kind = Literal["counts", "status", "model", "health"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PREFIX = "facetally/v1"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)"
"""Python's ``$`` alone would let a newline follow."""


class Address(NamedTuple):
    """Who sent a message, and of what kind it is, as its topic says."""

    site: str
    device: str
    kind: Kind


def check_id(name: str, value: str) -> str:
    """A site or device id -> itself; TopicError unless it is 1 to 64 of ``A-Z a-z 0-9 . _ -``.

    Ids become levels of a topic and names of folders: ``+ # /``, blanks and a leading dot cannot be in them.
    """
    if not re.fullmatch(ID_PATTERN, value):
        raise TopicError(
            f"{name} {value!r}: 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
            " (no '+', '#', '/', no blanks)"
        )
    return value


def topic(site: str, device: str, kind: Kind) -> str:
    """``("shop-1", "door", "counts")`` -> ``"facetally/v1/shop-1/door/counts"``."""
    if kind not in KINDS:
        raise TopicError(f"kind {kind!r}: one of {', '.join(KINDS)}")
    return f"{PREFIX}/{check_id('site', site)}/{check_id('device', device)}/{kind}"


def subscription(kind: Kind, share: str | None = None) -> str:
    """The filter that matches one kind of message of every device; with ``share``, those of a group of clients get
    each message once between them (MQTT 5, 4.8.2).
    """
    return f"{PREFIX}/+/+/{kind}" if share is None else f"$share/{check_id('share', share)}/{PREFIX}/+/+/{kind}"


@lru_cache(16_384)
def address(of_topic: str) -> Address:
    """A topic -> its address; TopicError if it is none of facetally's."""
    prefix, *rest = of_topic.removeprefix(PREFIX + "/").split("/")
    if not of_topic.startswith(PREFIX + "/") or len(rest) != 2:
        raise TopicError(f"topic {of_topic!r}: {PREFIX}/<site>/<device>/<{'|'.join(KINDS)}>")
    device, kind = rest
    if kind not in KINDS:
        raise TopicError(f"topic {of_topic!r}: the last level is one of {', '.join(KINDS)}")
    return Address(check_id("site", prefix), check_id("device", device), kind)
