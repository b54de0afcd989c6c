"""Convert seconds on a source's clock to UTC, and tell how far that UTC can be trusted."""

import ctypes
import logging
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Protocol, TypeAlias

from base.libc import libc
from base.logs import line
from contract import fields

log = logging.getLogger("edge.system.clock")
ClockState: TypeAlias = fields.Clock
"""How far a timestamp can be trusted, as in the counts message."""
TIME_ERROR = 5
"""Result of adjtimex(2) while the kernel's clock is not synchronised."""

GRAIN = timedelta(milliseconds=10)
"""Resolution of window timestamps."""
MAX_READING_S, MAX_READINGS = 0.001, 20
"""Two clocks count as read at the same time if the reading took less than the first, seconds. Otherwise they are read
again, up to the second number of times."""


class SourceClock(Protocol):
    """The clock of a source of frames."""

    def utc(self, seconds: float) -> datetime:
        """Convert a second on the source's clock to UTC."""

    @property
    def state(self) -> ClockState:
        """How far `utc` can be trusted now."""


class MonotonicClock:
    """The clock of a live source: monotonic seconds, converted to UTC by the wall clock at the time of the call.

    Neither a jump of the wall clock nor daylight-saving time moves a window.
    """

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], datetime]) -> None:
        self._monotonic, self._wall = monotonic, wall

    def utc(self, seconds: float) -> datetime:
        """Convert a monotonic second to UTC by the present wall clock."""
        _, monotonic, wall = min(self._readings())
        return wall - timedelta(seconds=monotonic - seconds)

    def _readings(self) -> Iterator[tuple[float, float, datetime]]:
        """Read both clocks until a reading is fast enough. Yields its duration, the monotonic second and the wall time.

        On a busy processor another process may run between two readings, for longer than `GRAIN`.
        """
        for _ in range(MAX_READINGS):
            before, wall, after = self._monotonic(), self._wall(), self._monotonic()
            yield after - before, (before + after) / 2, wall
            if after - before < MAX_READING_S:
                return

    @property
    def state(self) -> ClockState:
        """``synced`` if the kernel's clock is synchronised, else ``unsynced``."""
        return "synced" if is_synchronised() else "unsynced"


class ReplayClock:
    """The clock of a file: its own timestamps, counted from ``begin``."""

    state: ClockState = "replay"

    def __init__(self, begin: datetime) -> None:
        self._begin = begin

    def utc(self, seconds: float) -> datetime:
        """Convert a second of the file to UTC."""
        return self._begin + timedelta(seconds=seconds)


def floor_to_grid(instant: datetime, grid_s: float) -> datetime:
    """Round an instant down to a multiple of ``grid_s`` seconds since 1970 UTC."""
    seconds = instant.timestamp()
    return datetime.fromtimestamp(seconds - seconds % grid_s, timezone.utc)


def round_to_grain(instant: datetime) -> datetime:
    """Round an instant to the nearest multiple of `GRAIN`.

    Two clocks are read microseconds apart. Without rounding, a window that starts at midnight could belong to the day
    before.
    """
    steps = round(instant.microsecond / GRAIN.microseconds)
    return instant.replace(microsecond=0) + steps * GRAIN


def now() -> datetime:
    """Wall clock, UTC."""
    return datetime.now(timezone.utc)


def is_synchronised() -> bool:
    """Whether an NTP daemon keeps the kernel's clock synchronised (adjtimex(2)); False if the kernel refuses to say."""
    buffer = ctypes.create_string_buffer(512)  # struct timex has 208 bytes on 64-bit Linux; modes 0 only reads
    state = libc().adjtimex(buffer)
    if state == -1:
        _log_unknown(ctypes.get_errno())
    return state not in (TIME_ERROR, -1)


@cache
def _log_unknown(number: int) -> None:
    """Log once per error number: a sandbox that forbids the call forbids it for good."""
    log.error(line("clock_unknown", reason=os.strerror(number), errno=number))


def kernel_boot() -> str:
    """Random id of the kernel's boot. The monotonic clock continues as long as the id stays the same."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boot_id() -> str:
    """New random id of a daemon start, 16 hexadecimal digits."""
    return os.urandom(8).hex()
