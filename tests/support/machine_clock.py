"""The clock of a machine under the control of a test."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from collector.devices.clock_check import ClockHistory


class Machine:
    """A clock and a monotonic clock that can be set independently."""

    def __init__(self, now: datetime) -> None:
        self.now, self.seconds = now, 1000.0

    def advance(self, time: timedelta) -> None:
        self.now += time
        self.seconds += time.total_seconds()

    def history(self, root: Path) -> ClockHistory:
        return ClockHistory(root / "clock.json", lambda: self.now, lambda: self.seconds)


def every_half_hour(machine: Machine, ask: Callable[[], object], time: timedelta) -> list[object]:
    """Return the answers to a question that is asked each half hour."""
    answers = []
    for _ in range(int(time / timedelta(minutes=30))):
        machine.advance(timedelta(minutes=30))
        answers.append(ask())
    return answers
