"""What devices say of the time, and how the clock of this machine has run -> whether it can be believed.

No clock decides alone: a collector whose clock is a year ahead would delete what is a day old, and one whose clock is
a month behind would refuse what is good. Each device has one vote, its latest word on the time that came live.
"""

import logging
import os
import time
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from base.logs import line

HEARD_WITHIN_S = 86_400.0
"""Older votes do not count; a shop that is closed for a night still votes."""
LATEST_OF_S = 120.0
APART = timedelta(days=1)
"""A vote agrees with a clock that it differs from by less."""
ENOUGH = 2
"""Devices that must say the same; one is enough where no other was ever heard of."""
MOST = 10_000

STEADY = timedelta(hours=24)
"""A clock that jumped is believed again after so long without another jump."""
JUMP = timedelta(minutes=10)
AWAY = timedelta(days=1)
"""After a longer stop nobody knows whether the clock has jumped meanwhile, so it is taken to have."""
SAVE_EVERY = timedelta(minutes=10)

_log = logging.getLogger(__name__)
Opinion = Literal["agreed", "contradicted", "unknown"]


class Vote(NamedTuple):
    """A device's word on the time."""

    said: datetime
    """UTC, by the device's clock."""
    came_s: float
    """When it came, by the monotonic clock of this machine."""

    def at(self, monotonic_s: float) -> datetime:
        """What the device's clock says at another moment."""
        return self.said + timedelta(seconds=monotonic_s - self.came_s)


class Witnesses:
    """The devices' votes on the clock of this machine, in memory only."""

    def __init__(self) -> None:
        self._votes: dict[Hashable, Vote] = {}

    def note(self, device: Hashable, said: datetime, monotonic_s: float) -> None:
        """A device has said, live, that it is ``said``.

        The latest time of some minutes counts: what waited in a spool is older than the present.
        """
        vote = Vote(said, monotonic_s)
        before = self._votes.pop(device, None)
        if before is not None and monotonic_s - before.came_s < LATEST_OF_S:
            vote = max(vote, before, key=lambda each: each.at(monotonic_s))
        self._votes[device] = vote
        if len(self._votes) > MOST:
            del self._votes[next(iter(self._votes))]

    def opinion(self, now: datetime, monotonic_s: float, devices: int) -> Opinion:
        """What most devices say of this machine's clock, which says ``now``; ``devices`` are known at all."""
        votes = [vote for vote in self._votes.values() if monotonic_s - vote.came_s <= HEARD_WITHIN_S]
        agree = sum(abs(vote.at(monotonic_s) - now) <= APART for vote in votes)
        if agree >= min(ENOUGH, max(devices, 1)) and 2 * agree > len(votes):
            return "agreed"
        against = len(votes) - agree
        return "contradicted" if against >= ENOUGH and 2 * against > len(votes) else "unknown"


class _Kept(Struct, frozen=True, kw_only=True):
    """What outlives the process: the last time seen, and from when on the clock is believed."""

    last: datetime
    believed_from: datetime


class ClockHistory:
    """How this machine's clock has run, beside its monotonic clock, and over restarts by a file of its own."""

    def __init__(
        self, path: Path, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._now, self._monotonic = path, now, monotonic
        self._before: tuple[datetime, float] | None = None
        self._believed_from = now()
        self._saved: datetime | None = None

    def is_steady(self) -> bool:
        """Whether the clock has not jumped for `STEADY`. To be asked once a minute."""
        now, moment = self._now(), self._monotonic()
        steady_from = now + STEADY
        if self._before is None:
            self._believed_from = self._of_the_process_before(now) or steady_from
        else:
            jumped = (now - self._before[0]) - timedelta(seconds=moment - self._before[1])
            if abs(jumped) > JUMP:
                _log.warning(line("clock_jumped", seconds=round(jumped.total_seconds()), believed_from=steady_from))
                self._believed_from, self._saved = steady_from, None
        self._before = (now, moment)
        if self._saved is None or abs(now - self._saved) >= SAVE_EVERY:
            self._save(now)
        return now >= self._believed_from

    def _of_the_process_before(self, now: datetime) -> datetime | None:
        """From when on the clock is believed, as an earlier process knew; None if it may have jumped since."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        in_order = timedelta(0) <= now - kept.last <= AWAY and kept.believed_from <= now + STEADY
        return kept.believed_from if in_order else None

    def _save(self, now: datetime) -> None:
        """Without leave to write, a restart begins anew."""
        draft = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            draft.write_bytes(msgspec.json.encode(_Kept(last=now, believed_from=self._believed_from)))
            draft.replace(self._path)
        except OSError as error:
            _log.warning(line("clock_not_kept", file=self._path, reason=error.strerror))
        self._saved = now
