"""Seconds of the source's clock -> UTC, and how far that can be believed."""

import ctypes
import logging
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Protocol

from base.logs import line
from contract.message import SourceClock as State

log = logging.getLogger("edge.system.clock")
TIME_ERROR = 5
"""What adjtimex(2) returns while the kernel's clock is not synchronised."""
LIBC = ctypes.CDLL(None, use_errno=True)
"""Once: each one made is a class of its own, which only the garbage collector takes away again."""

GRAIN = timedelta(milliseconds=10)
"""No window is stamped finer than this."""
AT_ONCE_S, TRIES = 0.001, 20
"""Two clocks read within so many seconds are read at once; so often they are tried to be."""


class SourceClock(Protocol):
    """The clock of a source."""

    def utc(self, seconds: float) -> datetime:
        """A second of the source's clock, as UTC."""

    @property
    def state(self) -> State:
        """How far `utc` can be believed now."""


class MonotonicClock:
    """The clock of a live source: monotonic seconds, set against the wall clock when asked, so that neither a jump nor
    a daylight-saving day moves a window.
    """

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], datetime]) -> None:
        self._monotonic, self._wall = monotonic, wall

    def utc(self, seconds: float) -> datetime:
        """A monotonic second, as UTC by what the wall clock says now."""
        _, monotonic, wall = min(self._readings())
        return wall - timedelta(seconds=monotonic - seconds)

    def _readings(self) -> Iterator[tuple[float, float, datetime]]:
        """Both clocks at once, until no other process had the processor in between, which on a busy one may have it
        for longer than `GRAIN`: how long a reading took, and the two instants.
        """
        for _ in range(TRIES):
            before, wall, after = self._monotonic(), self._wall(), self._monotonic()
            yield after - before, (before + after) / 2, wall
            if after - before < AT_ONCE_S:
                return

    @property
    def state(self) -> State:
        """``synced`` if the kernel says that its clock is synchronised."""
        return "synced" if is_synchronised() else "unsynced"


class ReplayClock:
    """The clock of a file: its own time stamps, counted from ``begin``."""

    state: State = "replay"

    def __init__(self, begin: datetime) -> None:
        self._begin = begin

    def utc(self, seconds: float) -> datetime:
        """A second of the file, as UTC."""
        return self._begin + timedelta(seconds=seconds)


def floor_to_grid(instant: datetime, grid_s: float) -> datetime:
    """The last multiple of ``grid_s`` seconds since 1970 that is not after an instant."""
    seconds = instant.timestamp()
    return datetime.fromtimestamp(seconds - seconds % grid_s, timezone.utc)


def round_to_grain(instant: datetime) -> datetime:
    """An instant to the nearest `GRAIN`: between the readings of two clocks lie microseconds, which would put a window
    that begins at midnight into the day before.
    """
    steps = round(instant.microsecond / GRAIN.microseconds)
    return instant.replace(microsecond=0) + steps * GRAIN


def now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(timezone.utc)


def is_synchronised() -> bool:
    """Whether the kernel's clock is synchronised, as any NTP daemon tells it (adjtimex(2)); no, as far as is known,
    where the kernel does not let us ask.
    """
    buffer = ctypes.create_string_buffer(512)  # struct timex is 208 bytes on 64-bit Linux; modes 0 only reads
    state = LIBC.adjtimex(buffer)
    if state == -1:
        _say_unknown(ctypes.get_errno())
    return state not in (TIME_ERROR, -1)


@cache
def _say_unknown(number: int) -> None:
    """Once: a sandbox that forbids the question forbids it for good."""
    log.error(line("clock_unknown", reason=os.strerror(number), errno=number))


def kernel_boot() -> str:
    """The random id of this start of the kernel: as long as it is the same, so is the monotonic clock."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boot_id() -> str:
    """Sixteen random hex digits, new per start of the daemon."""
    return os.urandom(8).hex()
