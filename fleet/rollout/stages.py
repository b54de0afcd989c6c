"""Stages of a rollout and durations, as they are written on the command line."""

import hashlib
import math
import re
from collections.abc import Iterable

from fleet.errors import Refused

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_S = 90 * 86_400


def parse_stages(text: str, devices: int) -> tuple[int, ...]:
    """``("1,5%,25%,100%", 300)`` -> ``(1, 15, 75, 300)``: how many devices have the release after each stage.

    Percentages are rounded up. Stages that add no device are left out. Raise Refused for other text.
    """
    counts: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,7})(%?)", part.strip())
        if not found or int(found[1]) == 0 or (found[2] and int(found[1]) > 100):
            raise Refused(f"stages: must be numbers of devices and percentages such as 1,5%,25%,100%, has {part!r}")
        count = math.ceil(devices * int(found[1]) / 100) if found[2] else min(int(found[1]), devices)
        if counts and count < counts[-1]:
            raise Refused(f"stages: must grow, {part} of {devices} devices is less than the stage before")
        if not counts or count > counts[-1]:
            counts.append(count)
    if counts[-1] != devices:
        raise Refused(f"stages: must end with 100%, ends with {counts[-1]} of {devices} devices")
    return tuple(counts)


def parse_duration(text: str) -> float:
    """``"60m"`` -> 3600.0, seconds. Raise Refused for other text."""
    found = re.fullmatch(r"(\d{1,7})([smhd])", text)
    seconds = int(found[1]) * UNITS[found[2]] if found else LONGEST_S + 1
    if seconds > LONGEST_S:
        raise Refused(f"time: must be a whole number with s, m, h or d, at most 90d, such as 60m, is {text!r}")
    return float(seconds)


def order(release: str, identities: Iterable[str]) -> list[str]:
    """Return devices in the order in which they take a release: mixed over sites, another one for each release."""
    return sorted(identities, key=lambda identity: hashlib.sha256(f"{release} {identity}".encode()).digest())
