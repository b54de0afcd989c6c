"""A count by hand that is not compared yet: which device, from when to when, and the times of the taps.

The phone sends the whole session each time, with a revision that grows. So a request that is lost, repeated or late
changes nothing, and a tap that was undone is simply missing in the next revision.
"""

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from contract.fields import Count
from contract.topics import ID_PATTERN

MAX_TAPS = 5000
LONGEST = timedelta(hours=2)
EARLIEST_START, LATEST_START = timedelta(days=1), timedelta(hours=1)
"""How long before and after the present a session may begin: a phone may be offline, or wait for a quarter hour."""
CLOCK_TOLERANCE = timedelta(seconds=10)
"""A phone estimates the server's clock, so a tap may seem to be this far in the future."""
SESSION_ID_PATTERN = r"^[0-9a-f]{32}$"

Id = Annotated[str, Meta(pattern=ID_PATTERN.removesuffix(r"(?!\n)"))]
Moment = Annotated[datetime, Meta(tz=True)]


class InvalidSession(Exception):
    """A session that breaks a rule; the text names the field, the value and what is allowed."""


class Session(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session as a phone sends it and as it is kept until its comparison. Times are those of this server's clock."""

    site: Id
    device: Id
    start: Moment
    end: Annotated[Moment, Meta(description="moved to the present when the session is stopped early")]
    taps: Annotated[tuple[Moment, ...], Meta(max_length=MAX_TAPS, description="one time per visit")] = ()
    finished: Annotated[bool, Meta(description="all taps are in; without it a session is never compared")] = False
    revision: Annotated[Count, Meta(description="grows with each change; an older revision is ignored")] = 0

    def check(self, now: datetime) -> None:
        """Raise InvalidSession unless times and taps fit together and are not in the future."""
        if not now - EARLIEST_START <= self.start <= now + LATEST_START:
            raise InvalidSession(
                f"start: must be at most {EARLIEST_START} before and {LATEST_START} after the present"
                f" ({now.isoformat(timespec='seconds')}), is {self.start.isoformat()}"
            )
        if not timedelta(0) < self.end - self.start <= LONGEST:
            raise InvalidSession(
                f"end: must be after start and at most {LONGEST} later, is {self.end.isoformat()};"
                f" start is {self.start.isoformat()}"
            )
        for tap in self.taps:
            if not self.start <= tap <= self.end:
                raise InvalidSession(
                    f"taps: must be from {self.start.isoformat()} to {self.end.isoformat()}, one is {tap.isoformat()}"
                )
            if tap > now + CLOCK_TOLERANCE:
                raise InvalidSession(
                    f"taps: must not be in the future, one is {tap.isoformat()}; it is {now.isoformat()}"
                )

    def overlaps(self, other: "Session") -> bool:
        """Whether both are of the same device and share some time."""
        same = (self.site, self.device) == (other.site, other.device)
        return same and self.start < other.end and other.start < self.end
