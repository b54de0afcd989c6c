"""Judge whether a release proves healthy: the daemons must do all that they did before.

What was broken before, such as a camera without a cable or a broker that is away, is not asked of the new release.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.system.progress import NAME, Progress

READY_S = 120.0
"""Limit for a daemon to start, seconds.

A bad release is off the device within ten minutes: this limit, ``trial_s``, ``TimeoutStopSec`` of the daemon's unit,
and this limit again for the old release, which has kept it, are 590 s.
"""
MIN_SPEED = 0.7
"""Minimum ratio of the frame rates, after and before."""
MAX_DETECTION_MS = 300.0
"""With a face in view the detector must run every 0.3 s. A slower bundle is refused, unless the one before was too."""
DETECTION_TOLERANCE = 1.25

Readings = Mapping[str, Progress]
"""The progress of each daemon, by its unit, such as ``facetally-edge`` or ``facetally-edge@till``."""


class Requirement(Struct, frozen=True, kw_only=True):
    """What one daemon did before, and has to do after the switch."""

    boot: str | None = None
    """Start of the daemon before the switch; None if it did not run."""
    frames_per_s: float = 0.0
    connected: bool = False
    detection_ms: float | None = None


DAEMON = "facetally-edge"


def read_progress(runtime: Path) -> dict[str, Progress]:
    """Read the progress of all daemons that run."""
    found = {}
    for path in runtime.glob(f"{DAEMON}*/{NAME}"):
        try:
            found[path.parent.name] = msgspec.json.decode(path.read_bytes(), type=Progress)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            continue  # it stops at this moment, or is of another version
    return found


def requirements(first: Readings, second: Readings) -> dict[str, Requirement]:
    """Return what each daemon did between two readings. The daemon itself is always required, if only to run."""
    found = {DAEMON: Requirement()} if not second else {}
    for unit, now in second.items():
        before = first.get(unit)
        rate = 0.0
        if before is not None and before.boot == now.boot and now.seconds > before.seconds:
            rate = (now.frames - before.frames) / (now.seconds - before.seconds)
        found[unit] = Requirement(
            boot=now.boot, frames_per_s=rate, connected=now.connected, detection_ms=now.detection_ms
        )
    return found


class Proof:
    """Follows the daemons after a switch, by readings about once a second."""

    def __init__(self, required: Mapping[str, Requirement], trial_s: float, started: float) -> None:
        self._required, self._trial_s, self._started = required, trial_s, started
        self._first: dict[str, Progress] = {}
        self._ready: float | None = None

    def still_old(self, readings: Readings) -> bool:
        """Whether a daemon that ran before the switch still runs. One that is starting must not be disturbed."""
        return any(unit in readings and readings[unit].boot == needed.boot for unit, needed in self._required.items())

    def problem(self, readings: Readings, now: float) -> str | None:
        """Return why the release has failed; None while it may still succeed. ``now`` is monotonic seconds."""
        for unit, needed in self._required.items():
            reading = readings.get(unit)
            first = self._first.get(unit)
            if first is None:
                if reading is not None and reading.boot != needed.boot:
                    self._first[unit] = reading
            elif reading is None or reading.boot != first.boot:
                return f"{unit}: stopped or restarted {now - (self._ready or now):.0f} s after its start"
        if self._ready is None:
            missing = sorted(self._required.keys() - self._first)
            if missing and now - self._started > READY_S:
                return f"{', '.join(missing)}: did not start within {READY_S:.0f} s"
            self._ready = None if missing else now
        if self._ready is None or now - self._ready < self._trial_s:
            return None
        return next(filter(None, (self._shortfall(unit, readings[unit]) for unit in self._required)), None)

    def is_over(self, now: float) -> bool:
        """Whether the trial has lasted long enough."""
        return self._ready is not None and now - self._ready >= self._trial_s

    def _shortfall(self, unit: str, reading: Progress) -> str | None:
        """Return what a daemon has not done that it did before."""
        needed, first = self._required[unit], self._first[unit]
        if needed.connected and not (reading.acknowledged and reading.connected):
            return f"{unit}: the broker has acknowledged no message"
        rate = (reading.frames - first.frames) / max(reading.seconds - first.seconds, 1e-3)
        if rate < MIN_SPEED * needed.frames_per_s:
            return f"{unit}: processes {rate:.1f} frames a second, {needed.frames_per_s:.1f} before"
        if needed.frames_per_s and reading.window_s <= self._trial_s / 2 and not reading.windows:
            return f"{unit}: no window has ended"
        limit = max(MAX_DETECTION_MS, DETECTION_TOLERANCE * (needed.detection_ms or 0.0))
        if reading.detection_ms is not None and reading.detection_ms > limit:
            return f"{unit}: a detection takes {reading.detection_ms:.0f} ms, must be at most {limit:.0f}"
        return None
