"""Inject faults at seeded random moments, several at once, and repair each after a random delay."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from benchmarks.faults.rig import REPLAY_FRAMES, Rig

TICK_S = 0.02
FIRST_AFTER_S = 3.0
INTERVAL_S = (0.3, 3.0)
"""Least and greatest time from one fault to the next."""
DELAY_S = 0.15
"""Delay of a slow network, for each chunk."""
KILL_WHILE_STARTING = 0.2
"""Fraction of the kills that are done to a daemon that has not opened an image yet. Starting takes seconds, so most
kills would otherwise hit a daemon that has counted nothing.
"""


class Fault(str, Enum):
    """Kinds of faults, by their name in the report."""

    DAEMON_KILLED = "daemon killed"
    BROKER_KILLED = "broker killed"
    COLLECTOR_KILLED = "collector killed"
    ALL_KILLED = "daemon, broker and collector killed at once"
    NETWORK_CUT = "network cut"
    NETWORK_SLOW = "network slow"
    DISK_FULL = "disk full"
    CAMERA_LOST = "camera lost"


WEIGHTS = {
    Fault.DAEMON_KILLED: 9,
    Fault.BROKER_KILLED: 4,
    Fault.COLLECTOR_KILLED: 4,
    Fault.ALL_KILLED: 1,
    Fault.NETWORK_CUT: 3,
    Fault.NETWORK_SLOW: 2,
    Fault.DISK_FULL: 3,
    Fault.CAMERA_LOST: 2,
}
"""Relative frequency of each fault."""
KILLS = {Fault.DAEMON_KILLED: 1, Fault.BROKER_KILLED: 1, Fault.COLLECTOR_KILLED: 1, Fault.ALL_KILLED: 3}
"""Processes that a fault kills."""
START_REFUSED = "daemon start refused by a full disk"


@dataclass(slots=True)
class FaultSchedule:
    """Injects faults into a rig, and counts them."""

    rig: Rig
    rng: random.Random
    faults: Counter[str] = field(default_factory=Counter)
    """Number of faults injected so far, by the name in the report."""
    _repairs: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    """Repairs that are pending, with the time at which they are due (monotonic seconds)."""

    @property
    def kills(self) -> int:
        """Number of processes killed so far."""
        return sum(times * self.faults[fault.value] for fault, times in KILLS.items())

    def run(self, kills: int, progress: Callable[[int], object]) -> None:
        """Inject faults until ``kills`` processes were killed, then complete all repairs.

        ``progress`` is called with the number of processes that each fault has killed.
        """
        self.rig.start_replay()
        next_at = time.monotonic() + FIRST_AFTER_S
        while self.kills < kills:
            time.sleep(TICK_S)
            self._maintain()
            if time.monotonic() >= next_at:
                before = self.kills
                self._inject(self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0])
                progress(self.kills - before)
                next_at = time.monotonic() + self.rng.uniform(*INTERVAL_S)
        while self._repairs:
            time.sleep(TICK_S)
            self._maintain()

    def _maintain(self) -> None:
        """Carry out the repairs that are due, and restart what has ended by itself, as systemd does."""
        now = time.monotonic()
        due = [repair for at, repair in self._repairs if at <= now]
        self._repairs = [(at, repair) for at, repair in self._repairs if at > now]
        for repair in due:
            repair()
        rig = self.rig
        if rig.opened.count() > REPLAY_FRAMES - 1000 and rig.replay.running:
            rig.kill_replay()
            rig.start_replay()
        if not rig.broker.running and not self._is_pending(rig.broker.launch):
            self._restart("broker: ended by itself", rig.broker.launch)
        for process in (rig.collector, rig.live):
            if not process.running and not self._is_pending(process.start):
                self._restart(process.complaint("ended by itself"), process.start)
        if not rig.replay.running and not self._is_pending(rig.start_replay):
            self._restart_replay()

    def _restart(self, complaint: str, start: Callable[[], None]) -> None:
        """Restart a process in a second; no fault explains its end."""
        self.rig.unexpected.append(complaint)
        self._repair_after(1.0, start)

    def _restart_replay(self) -> None:
        """Record the end of the replay daemon, and restart it in a second."""
        rig = self.rig
        status = rig.replay.wait(1.0)
        rig.record_replay(ended=status == 0)
        if status == 2 and rig.replay_was_refused_by_disk:
            self.faults[START_REFUSED] += 1
        else:
            rig.unexpected.append(rig.replay.complaint(f"ended by itself with exit status {status}"))
        self._repair_after(1.0, rig.start_replay)

    def _inject(self, fault: Fault) -> None:
        """Inject one fault, and schedule its repair; do nothing if what it breaks is broken already."""
        if not self._is_possible(fault):
            return
        rig, repair_s = self.rig, self.rng.uniform(0.0, 2.0)
        self.faults[fault.value] += 1
        if fault in (Fault.DAEMON_KILLED, Fault.ALL_KILLED):
            rig.kill_replay()
            self._repair_after(repair_s / 4, rig.start_replay)
        if fault in (Fault.BROKER_KILLED, Fault.ALL_KILLED):
            rig.broker.kill()
            self._repair_after(repair_s, rig.broker.launch)
        if fault in (Fault.COLLECTOR_KILLED, Fault.ALL_KILLED):
            rig.collector.kill()
            self._repair_after(repair_s, rig.collector.start)
        if fault is Fault.NETWORK_CUT:
            rig.proxy.cut()
            self._repair_after(repair_s, rig.proxy.restore)
        elif fault is Fault.NETWORK_SLOW:
            rig.proxy.delay_s = DELAY_S
            self._repair_after(2 * repair_s, self._restore_speed)
        elif fault is Fault.DISK_FULL and rig.disk:
            rig.disk.fill()
            self._repair_after(2 * repair_s, rig.disk.empty)
        elif fault is Fault.CAMERA_LOST:
            rig.camera.turn_off()
            self._repair_after(2.0 + 3 * repair_s, rig.camera.turn_on)

    def _is_possible(self, fault: Fault) -> bool:
        rig = self.rig
        broken = {
            Fault.DAEMON_KILLED: not rig.replay.running,
            Fault.BROKER_KILLED: not rig.broker.running,
            Fault.COLLECTOR_KILLED: not rig.collector.running,
            Fault.ALL_KILLED: not (rig.replay.running and rig.broker.running and rig.collector.running),
            Fault.NETWORK_CUT: self._is_pending(rig.proxy.restore),
            Fault.NETWORK_SLOW: rig.proxy.delay_s > 0,
            Fault.DISK_FULL: rig.disk is None or rig.disk.full,
            Fault.CAMERA_LOST: rig.camera.is_off,
        }[fault]
        if broken or fault is not Fault.DAEMON_KILLED:
            return not broken
        return rig.opened.count() > 0 or self.rng.random() < KILL_WHILE_STARTING

    def _restore_speed(self) -> None:
        self.rig.proxy.delay_s = 0.0

    def _repair_after(self, delay_s: float, repair: Callable[[], None]) -> None:
        self._repairs.append((time.monotonic() + delay_s, repair))

    def _is_pending(self, repair: Callable[[], None]) -> bool:
        return any(each == repair for _, each in self._repairs)
