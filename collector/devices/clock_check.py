"""Check the clock of this machine against the devices' clocks and against its own history.

No single clock decides. A collector whose clock is a year ahead would delete yesterday's rows, and one whose clock is a
month behind would refuse good windows. Each device has one vote: the latest time that it has reported live.
"""

import logging
import time
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from base.durable_file import replace_file
from base.logs import line

READING_LIFETIME_S = 86_400.0
"""Age up to which a device's reading counts: a shop that is closed for a night still votes."""
BACKLOG_S = 120.0
"""Within so many seconds a device's latest time replaces an earlier one only if it is ahead of it."""
MAX_DIFFERENCE = timedelta(days=1)
"""Largest difference at which a device agrees with the clock of this machine."""
QUORUM = 2
"""Devices that must report the same. One is enough if no other device is known."""
MAX_DEVICES = 10_000

STEADY_FOR = timedelta(hours=24)
"""A clock that has jumped is trusted again after so long without another jump."""
JUMP = timedelta(minutes=10)
"""Smallest difference from the monotonic clock that counts as a jump."""
LONGEST_STOP = timedelta(days=1)
"""After a longer stop of the collector the clock may have jumped meanwhile, so it counts as a jump."""
SAVE_INTERVAL = timedelta(minutes=10)

_log = logging.getLogger(__name__)
ClockAgreement = Literal["agreed", "contradicted", "unknown"]
"""What most devices report about the clock of this machine."""


class ClockReading(Struct, frozen=True):
    """A time that a device has reported."""

    reported: datetime
    """UTC, by the device's clock."""
    received_s: float
    """Seconds on the monotonic clock of this machine."""

    def at(self, monotonic_s: float) -> datetime:
        """Return the time on the device's clock at another moment."""
        if monotonic_s == self.received_s:  # of the same group of messages
            return self.reported
        return self.reported + timedelta(seconds=monotonic_s - self.received_s)


class DeviceClocks:
    """The latest clock reading of each device, in memory only."""

    def __init__(self) -> None:
        self._readings: dict[Hashable, ClockReading] = {}

    def add(self, device: Hashable, reported: datetime, monotonic_s: float) -> None:
        """Take a time that a device has reported live.

        Windows from a spool are older than the present, so of readings within `BACKLOG_S` the latest time counts.
        """
        reading, before = ClockReading(reported, monotonic_s), self._readings.pop(device, None)
        if before is not None and monotonic_s - before.received_s < BACKLOG_S and before.at(monotonic_s) > reported:
            reading = before
        self._readings[device] = reading
        if len(self._readings) > MAX_DEVICES:
            del self._readings[next(iter(self._readings))]

    def agreement(self, now: datetime, monotonic_s: float, known_devices: int) -> ClockAgreement:
        """Compare the devices' clocks with ``now``, the time of this machine.

        ``known_devices`` is the number of devices in the registry.
        """
        readings = [each for each in self._readings.values() if monotonic_s - each.received_s <= READING_LIFETIME_S]
        agreeing = sum(abs(each.at(monotonic_s) - now) <= MAX_DIFFERENCE for each in readings)
        if agreeing >= min(QUORUM, max(known_devices, 1)) and 2 * agreeing > len(readings):
            return "agreed"
        contradicting = len(readings) - agreeing
        return "contradicted" if contradicting >= QUORUM and 2 * contradicting > len(readings) else "unknown"


class _SavedHistory(Struct, frozen=True, kw_only=True):
    """The content of the history's file."""

    last: datetime
    """Time of the last check."""
    believed_from: datetime
    """Time from which the clock is trusted."""


class _ClockSample(NamedTuple):
    """Both clocks of this machine at one moment."""

    now: datetime
    monotonic_s: float


class ClockHistory:
    """Whether the clock of this machine has jumped, by its monotonic clock and, over restarts, by a file."""

    def __init__(
        self, path: Path, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._now, self._monotonic = path, now, monotonic
        self._before: _ClockSample | None = None
        self._trusted_from = now()
        self._saved: datetime | None = None

    def is_steady(self) -> bool:
        """Whether the clock has not jumped for `STEADY_FOR`. To be called about once a minute."""
        sample = _ClockSample(self._now(), self._monotonic())
        steady_from = sample.now + STEADY_FOR
        if self._before is None:
            self._trusted_from = self._read_trusted_from(sample.now) or steady_from
        else:
            passed = timedelta(seconds=sample.monotonic_s - self._before.monotonic_s)
            jump = sample.now - self._before.now - passed
            if abs(jump) > JUMP:
                _log.warning(line("clock_jumped", seconds=round(jump.total_seconds()), trusted_from=steady_from))
                self._trusted_from, self._saved = steady_from, None
        self._before = sample
        if self._saved is None or abs(sample.now - self._saved) >= SAVE_INTERVAL:
            self._save(sample.now)
        return sample.now >= self._trusted_from

    def _read_trusted_from(self, now: datetime) -> datetime | None:
        """Return the time from which an earlier process trusted the clock; None if it may have jumped since."""
        try:
            saved = msgspec.json.decode(self._path.read_bytes(), type=_SavedHistory)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        is_plausible = timedelta(0) <= now - saved.last <= LONGEST_STOP and saved.believed_from <= now + STEADY_FOR
        return saved.believed_from if is_plausible else None

    def _save(self, now: datetime) -> None:
        """Save the history. If the file cannot be written, the check begins anew after a restart."""
        saved = _SavedHistory(last=now, believed_from=self._trusted_from)
        try:
            replace_file(self._path, msgspec.json.encode(saved))
        except OSError as error:
            _log.warning(line("clock_history_not_saved", file=self._path, reason=error.strerror))
        self._saved = now
