"""Types of the fields that messages, cards, releases and settings have in common."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta

from contract.labels import LABEL_PATTERN
from contract.topics import ID_PATTERN

Id = Annotated[
    str,
    Meta(
        pattern=ID_PATTERN,
        description="1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
    ),
]
Label = Annotated[str, Meta(pattern=LABEL_PATTERN)]
Boot = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{16}$(?!\n)",
        description="16 hexadecimal digits in lower case, random per start of the daemon",
    ),
]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]
Time = Annotated[datetime, Meta(tz=True, description="UTC, RFC 3339")]
Matrix = tuple[tuple[Count, ...], ...]
"""A confusion matrix: one row per true label, one column per prediction."""
Clock = Literal["synced", "restamped", "unsynced", "replay"]
"""How far ``start`` and ``end`` can be trusted.

``synced``: stamped by a synchronised clock. ``restamped``: corrected once the clock was synchronised. ``unsynced``:
never corrected. ``replay``: the time stamps of a replayed file.
"""

LONGEST_WINDOW = timedelta(days=400)
"""Longest window of a correct clock: counts held back for ``k`` may span a long closure. Stores refuse longer ones."""

NO_OFFSET = timedelta(0)

Outcome = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)",
        description="1 to 32 lower-case letters, digits or '_', beginning with a letter",
    ),
]
"""An outcome of a track, such as ``counted`` or ``staff_zone_1``."""
MAX_OUTCOMES = 64
SHA256_PATTERN = r"^[0-9a-f]{64}$(?!\n)"
Reason = Literal["no_camera", "frozen", "black", "covered", "blurred", "moved", "hot", "truncated"]
"""Why the device saw less than it should have in a window."""
