"""The processor's temperature -> how often faces are looked for, so that the firmware need not slow everything."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from base.logs import line

log = logging.getLogger("edge.system.thermal")
HOT_C, COOL_C = 75.0, 68.0
"""At the one the rate is halved, below the other doubled again; a Raspberry Pi's firmware throttles from 80 on."""
LONGEST = 8
"""Faces are looked for on at least every eighth of the frames that would be looked at."""
EVERY_S, PATIENCE_S = 10.0, 60.0
"""The temperature is read so often; after a step it is given so long to act before the next."""


@dataclass(slots=True)
class ThermalThrottle:
    """Halves the rate of detection while the processor is hot, step by step, and gives it back with hysteresis."""

    temperature_c: Callable[[], float | None]
    factor: int = 1
    """Of the frames that would be looked at, one in so many is."""
    _read: float = -EVERY_S
    _stepped: float = -PATIENCE_S

    def update(self, now: float) -> int:
        """The factor at ``now``, seconds; one where the temperature is not known."""
        if now - self._read >= EVERY_S:
            self._read = now
            self._step(self.temperature_c(), now)
        return self.factor

    def _step(self, celsius: float | None, now: float) -> None:
        if celsius is None or now - self._stepped < PATIENCE_S:
            return
        wanted = self.factor
        if celsius >= HOT_C:
            wanted = min(LONGEST, self.factor * 2)
        elif celsius < COOL_C:
            wanted = max(1, self.factor // 2)
        if wanted != self.factor:
            self.factor, self._stepped = wanted, now
            log.warning(line("heat", celsius=celsius, looks_at_one_frame_in=wanted))
