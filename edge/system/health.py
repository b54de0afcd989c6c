"""Measure the daemon's frame rate, latencies and resources, and report them in health messages.

The first message follows seconds after the first frames, so that a release that crashes in its first minute is seen to
have been taken. All others are sent once a minute.
"""

import gc
import resource
import shutil
import subprocess
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from contract.fields import Clock
from contract.health import Health, Latency
from edge.delivery.spool import Spool
from edge.system.installed_release import installed_release, update_failed

REPORT_EVERY_S = 60.0
FIRST_REPORT_S = 5.0
"""The first report follows the first frame after this time, seconds."""
COARSE_S = 900.0
"""Rates, latencies and dropped frames are renewed after each period of this length, seconds; at first, after a minute.
They change while somebody is in view, so finer values would reveal by the minute what the counts hold back."""
MAX_TIMES = 4096
"""Maximum number of times kept per stage; the oldest half is dropped."""
THERMAL_ZONE = Path("/sys/class/thermal/thermal_zone0/temp")
VCGENCMD = ("vcgencmd", "get_throttled")
ACTIVE_BITS = 0b1111
"""Bits of the firmware's answer that hold now: under-voltage, frequency capped, throttled, soft temperature limit."""


@dataclass(slots=True)
class HealthMonitor:
    """Counts frames and keeps the times of the stages, in bounded memory at any frame rate."""

    started: float = field(default_factory=time.monotonic)
    detector_choice: str | None = None
    """Why the device runs this detector (`edge.vision.choose_detector`)."""
    fixed_faces: int | None = None
    """Number of faces that never move and are ignored now."""
    tracks_ended: dict[str, int] | None = None
    """Tracks of the last full hour by outcome (`edge.counting.totals.PublishedTotals`)."""
    configuration_sha256: str | None = None
    """SHA-256 of the configuration file, hexadecimal."""
    certificate_ends: datetime | None = None
    """End of the validity of the device's certificate, UTC; None if it has none."""
    _times: "dict[str, array[float]]" = field(default_factory=lambda: defaultdict(lambda: array("d")))
    """Times by stage, milliseconds."""
    _frames: int = 0
    _gated: int = 0
    _saved: int = 0
    _last_report: float = field(default_factory=time.monotonic)
    _has_reported: bool = False
    _first_frame: float | None = None
    _period_start: float = field(default_factory=time.monotonic)
    _coarse: tuple[float, dict[str, Latency], float | None, int] | None = None

    def add_time(self, stage: str, seconds: float) -> None:
        """Add the time that a stage took for one frame."""
        times = self._times[stage]
        times.append(seconds * 1000)
        if len(times) > MAX_TIMES:
            del times[: MAX_TIMES // 2]

    def add_frame(self) -> None:
        """Count a frame."""
        self._frames += 1
        if self._first_frame is None:
            self._first_frame = time.monotonic()

    def add_motion_decision(self, wanted: bool) -> None:
        """Count whether the motion gate wanted the detector to run on a frame."""
        self._gated += 1
        self._saved += not wanted

    def is_due(self) -> bool:
        """Whether a minute has passed since the last report."""
        return time.monotonic() - self._last_report >= REPORT_EVERY_S

    def is_first_due(self) -> bool:
        """Whether the first report can be sent before its minute: frames have been processed for some seconds."""
        if self._has_reported or self._first_frame is None or self.is_due():
            return False
        return time.monotonic() - self._first_frame >= FIRST_REPORT_S

    def latency(self) -> dict[str, Latency]:
        """Median and 95th percentile of the kept times by stage, milliseconds per frame."""
        percentiles = {name: np.percentile(times, [50, 95]) for name, times in self._times.items() if times}
        return {name: Latency(p50=round(float(a), 3), p95=round(float(b), 3)) for name, (a, b) in percentiles.items()}

    def report(
        self, boot: str, spool: Spool, clock: Clock, utc: datetime, dropped: Callable[[], int], runtime: str
    ) -> Health:
        """Make the health message. Rates, latencies and dropped frames are those of the last complete `COARSE_S`.

        A message of the first seconds has no latencies, and the frame rate of the camera: the daemon's own would tell
        whether somebody was in view just then.

        Also collects garbage. Python alone would wait for hundreds of new objects, which takes this daemon hours.
        """
        gc.collect()
        now, oldest = time.monotonic(), spool.oldest()
        frames_per_s, latency, saved, frames_dropped = self._coarse_figures(now, dropped())
        health = Health(
            schema=4,
            boot=boot,
            time=utc,
            uptime_s=round(now - self.started, 1),
            frames_per_s=frames_per_s,
            latency_ms=latency,
            frames_dropped=frames_dropped,
            spool_depth=spool.depth(),
            spool_dropped=spool.dropped,
            oldest_unsent=oldest.start if oldest else None,
            memory_mb=float(round(resident_mb())),
            temperature_c=temperature_c(),
            throttled=throttled(),
            clock=clock,
            versions={"facetally": version(), "runtime": runtime},
            written_mb=written_mb(),
            detections_saved=saved,
            detector_choice=self.detector_choice,
            fixed_faces=self.fixed_faces,
            tracks_ended=self.tracks_ended,
            configuration_sha256=self.configuration_sha256,
            certificate_ends=self.certificate_ends,
            release=installed_release(),
            update_failed=update_failed(),
        )
        self._last_report, self._has_reported = now, True
        return health

    def _coarse_figures(self, now: float, dropped: int) -> tuple[float, dict[str, Latency], float | None, int]:
        """Frames per second, latencies, fraction of detections saved and dropped frames, renewed every `COARSE_S`."""
        if self.is_first_due() and self._first_frame is not None:
            return round((self._frames + dropped) / (now - self._first_frame), 1), {}, None, 0
        if self._coarse is None or now - self._period_start >= COARSE_S:
            saved = round(self._saved / self._gated, 4) if self._gated else None
            fps = round(self._frames / max(now - self._period_start, 1e-3), 2)
            self._coarse = fps, self.latency(), saved, dropped
            self._frames, self._gated, self._saved, self._period_start = 0, 0, 0, now
            self._times.clear()
        return self._coarse


@cache
def version() -> str:
    """Version of this package at the start of the process; an update does not change it."""
    return metadata.version("facetally")


def resident_mb() -> float:
    """Resident memory of this process, megabytes (10^6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def written_mb() -> float | None:
    """Megabytes (10^6 bytes) that this process has written to disk since its start; None if the kernel does not count.

    Cancelled writes are subtracted. They may be of other processes, hence the lower bound of zero.
    """
    try:
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        written = int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])
        return round(max(0, written) / 1e6, 2)
    except (OSError, ValueError, KeyError):
        return None


def temperature_c() -> float | None:
    """Temperature of the processor, degrees Celsius; None if the kernel does not report it."""
    try:
        return int(THERMAL_ZONE.read_text()) / 1000
    except (OSError, ValueError):
        return None


def throttled(command: Sequence[str] = VCGENCMD) -> bool | None:
    """Whether a Raspberry Pi's firmware throttles the processor now, for heat or low voltage; None on other boards."""
    if shutil.which(command[0]) is None:
        return None
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True).stdout
        return bool(int(output.partition("=")[2], 16) & ACTIVE_BITS)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
