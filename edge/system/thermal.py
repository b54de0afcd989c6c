"""Reduce the detection rate while the processor is hot, before the firmware throttles everything."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from base.logs import line

log = logging.getLogger("edge.system.thermal")
HOT_C, COOL_C = 75.0, 68.0
"""The rate is halved at the first temperature and doubled again below the second, degrees Celsius. The firmware of a
Raspberry Pi throttles from 80."""
MAX_FACTOR = 8
"""The detector runs on at least every eighth of the frames on which it would otherwise run."""
READ_EVERY_S, STEP_EVERY_S = 10.0, 60.0
"""Time between two readings of the temperature, and minimum time between two changes of the rate, seconds."""


@dataclass(slots=True)
class ThermalThrottle:
    """Halves the detection rate step by step while the processor is hot, and restores it with hysteresis."""

    temperature_c: Callable[[], float | None]
    """Reads the temperature, degrees Celsius; None if it is unknown."""
    factor: int = 1
    """The detector runs on one of this many frames on which it would otherwise run."""
    _last_read: float = -READ_EVERY_S
    _last_step: float = -STEP_EVERY_S

    def update(self, now: float) -> int:
        """Factor at ``now``, seconds; unchanged while the temperature is unknown."""
        if now - self._last_read >= READ_EVERY_S:
            self._last_read = now
            self._step(self.temperature_c(), now)
        return self.factor

    def _step(self, celsius: float | None, now: float) -> None:
        if celsius is None or now - self._last_step < STEP_EVERY_S:
            return
        wanted = self.factor
        if celsius >= HOT_C:
            wanted = min(MAX_FACTOR, self.factor * 2)
        elif celsius < COOL_C:
            wanted = max(1, self.factor // 2)
        if wanted != self.factor:
            self.factor, self._last_step = wanted, now
            log.warning(line("heat", celsius=celsius, detect_every=wanted))
