"""What the daemon notices of itself -> a health message once a minute."""

import gc
import resource
import shutil
import subprocess
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from contract.message import Clock, Health, Latency
from edge.delivery.spool import Spool

EVERY_S = 60.0
COARSE_S = 900.0
"""Figures that rise while somebody is in view are told as of the last whole quarter of an hour (at first, as of the
first minute), so that health does not tell by the minute what counts hold back."""
MAX_TIMES = 4096
"""Of each stage so many times are kept at most, the last ones."""
THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
VCGENCMD = ("vcgencmd", "get_throttled")
NOW = 0b1111
"""Of the firmware's bits, those that hold now: under-voltage, frequency capped, throttled, soft temperature limit."""


@dataclass(slots=True)
class HealthMonitor:
    """Times stages and counts frames; bounded, whatever the frame rate."""

    started: float = field(default_factory=time.monotonic)
    detector_choice: str | None = None
    """Why the device runs this detector (`edge.vision.choose_detector`)."""
    fixed_faces: int | None = None
    """How many faces that never move are ignored now."""
    _times: "dict[str, array[float]]" = field(default_factory=lambda: defaultdict(lambda: array("d")))
    _frames: int = 0
    _gated: int = 0
    _saved: int = 0
    _since: float = field(default_factory=time.monotonic)
    _begun: float = field(default_factory=time.monotonic)
    _told: tuple[float, dict[str, Latency], float | None] | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note how long what is inside takes."""
        begin = time.perf_counter()
        yield
        times = self._times[name]
        times.append((time.perf_counter() - begin) * 1000)
        if len(times) > MAX_TIMES:
            del times[: MAX_TIMES // 2]

    def frame(self) -> None:
        """A frame has gone through."""
        self._frames += 1

    def gate(self, wanted: bool) -> None:
        """Note whether the detector was wanted on a frame."""
        self._gated += 1
        self._saved += not wanted

    def due(self) -> bool:
        """Whether a minute has passed since the last report."""
        return time.monotonic() - self._since >= EVERY_S

    def latency(self) -> dict[str, Latency]:
        """Stage -> median and 95th percentile of the times that are kept, milliseconds a frame."""
        percentiles = {name: np.percentile(times, [50, 95]) for name, times in self._times.items() if times}
        return {name: Latency(p50=round(float(a), 3), p95=round(float(b), 3)) for name, (a, b) in percentiles.items()}

    def report(
        self, boot: str, spool: Spool, clock: Clock, utc: datetime, dropped: Callable[[], int], runtime: str
    ) -> Health:
        """The message of now. Rates and latencies are those of the last `COARSE_S` that are over.

        Unreachable objects are collected here, because Python alone does so only after hundreds of new ones, which
        takes this daemon hours.
        """
        gc.collect()
        now, oldest = time.monotonic(), spool.oldest()
        frames_per_s, latency, saved = self._coarse(now)
        health = Health(
            schema=3,
            boot=boot,
            time=utc,
            uptime_s=round(now - self.started, 1),
            frames_per_s=frames_per_s,
            latency_ms=latency,
            frames_dropped=dropped(),
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
        )
        self._since = now
        return health

    def _coarse(self, now: float) -> tuple[float, dict[str, Latency], float | None]:
        """Frames a second, latencies and the fraction of detections saved, renewed each quarter of an hour."""
        if self._told is None or now - self._begun >= COARSE_S:
            saved = round(self._saved / self._gated, 4) if self._gated else None
            self._told = round(self._frames / max(now - self._begun, 1e-3), 2), self.latency(), saved
            self._frames, self._gated, self._saved, self._begun = 0, 0, 0, now
            self._times.clear()
        return self._told


@cache
def version() -> str:
    """Of this package, as installed when the process began."""
    return metadata.version("facetally")


def resident_mb() -> float:
    """Memory of this process that is in RAM now, megabytes (10^6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def written_mb() -> float | None:
    """What this process has written to a disk or card since its start, megabytes (10^6 bytes), as the kernel counts it;
    None where the kernel does not.
    """
    try:
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        written = int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])  # others' may be cancelled, too
        return round(max(0, written) / 1e6, 2)
    except (OSError, ValueError, KeyError):
        return None


def temperature_c() -> float | None:
    """The processor's temperature as Linux tells it, or None where it does not."""
    try:
        return int(THERMAL.read_text()) / 1000
    except (OSError, ValueError):
        return None


def throttled(command: Sequence[str] = VCGENCMD) -> bool | None:
    """Whether a Raspberry Pi's firmware slows the processor now, for heat or volts; None on other boards."""
    if shutil.which(command[0]) is None:
        return None
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True).stdout
        return bool(int(said.partition("=")[2], 16) & NOW)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
