"""Turn the time stamps of a network camera's stream into times of this machine's clock, where they can be trusted."""

from dataclasses import dataclass

MAX_DELAY_S = 30.0
"""A frame whose stamp says that it was on its way for longer, seconds, is stamped with its arrival instead. A device
that is busy for some seconds must not tear visits apart."""
DRIFT_PER_S = 0.001
"""How much faster or slower the camera's clock may run than ours; cheap oscillators stay below 0.0002."""
MIN_STEP_S = 0.001
"""Shortest time between two frames; their order never changes."""


@dataclass(slots=True)
class StreamClock:
    """Estimates when each frame of one connection was taken.

    The frame that was fastest on its way shows the offset between both clocks. A frame that takes longer was delayed
    by the network. A stamp that is missing, does not increase or is far off is not believed, and the frame's arrival
    counts. A time is never in the future and never goes back.
    """

    _offset: float | None = None
    """Our time minus the stream's, for the fastest frame, seconds."""
    _stamp: float = 0.0
    _arrived: float = 0.0
    _last: float = float("-inf")
    delay_s: float = 0.0
    """How much longer than the fastest frame the last one was on its way, seconds."""

    def time(self, stamp: float | None, arrived: float) -> float:
        """The time at which a frame was taken, from its stamp in the stream (None without one) and its arrival."""
        if stamp is None:
            return self._ordered(arrived, arrived)
        if self._offset is not None:
            self._offset += DRIFT_PER_S * (arrived - self._arrived)
        if self._offset is None or stamp <= self._stamp or not 0 <= arrived - stamp - self._offset <= MAX_DELAY_S:
            self._offset = arrived - stamp
        self._stamp, self._arrived = stamp, arrived
        self.delay_s = arrived - stamp - self._offset
        return self._ordered(stamp + self._offset, arrived)

    def _ordered(self, time: float, arrived: float) -> float:
        """The time, but later than that of the frame before, and not after its arrival."""
        self._last = min(max(time, self._last + MIN_STEP_S), max(arrived, self._last))
        return self._last
