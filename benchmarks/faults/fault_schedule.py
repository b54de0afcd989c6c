"""A seed -> faults at random moments, several at once, each healed after a random while."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.faults.rig import FRAMES, Plant

TICK_S = 0.02
BETWEEN_S = (0.3, 3.0)
"""From one fault to the next."""
SLOW_S = 0.15
WHILE_STARTING = 0.2
"""A daemon that has not seen a picture yet is spared but for this share: it takes seconds to start."""
KINDS = {
    "daemon killed": 9,
    "broker killed": 4,
    "collector killed": 4,
    "all three killed at once": 1,
    "network cut": 3,
    "network slow": 2,
    "disk full": 3,
    "camera lost": 2,
}
"""Kinds of faults, and how often one happens beside the others."""
KILLS = {"daemon killed": 1, "broker killed": 1, "collector killed": 1, "all three killed at once": 3}


@dataclass(slots=True)
class Storm:
    """Faults by kind so far, and what is to be healed when (monotonic seconds)."""

    plant: Plant
    chance: random.Random
    faults: Counter[str] = field(default_factory=Counter)
    _due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(KILLS.get(kind, 0) * times for kind, times in self.faults.items())

    def blow(self, kills: int, progress: Callable[[int], object]) -> None:
        """Until so many processes were killed; then everything is healed."""
        self.plant.begin_door()
        again = time.monotonic() + 3.0
        while self.kills < kills:
            time.sleep(TICK_S)
            self._tend()
            if time.monotonic() >= again:
                before = self.kills
                self._strike(self.chance.choices(list(KINDS), list(KINDS.values()))[0])
                progress(self.kills - before)
                again = time.monotonic() + self.chance.uniform(*BETWEEN_S)
        while self._due:
            time.sleep(TICK_S)
            self._tend()

    def _tend(self) -> None:
        """Heal what is due; start the daemon again where it has ended by itself, as systemd does."""
        now = time.monotonic()
        due = [heal for at, heal in self._due if at <= now]
        self._due = [(at, heal) for at, heal in self._due if at > now]
        for heal in due:
            heal()
        plant = self.plant
        if plant.asked.frames() > FRAMES - 1000 and plant.door.running:
            plant.end_door()
            plant.begin_door()
        for part in (plant.broker, plant.collector, plant.pane):
            if not part.running and not self._waits(part.start):
                plant.unexpected.append(f"{part.log.name}: ended by itself with {part.wait(1.0)}")
                self._later(1.0, part.start)
        if not plant.door.running and not self._waits(plant.begin_door):
            status = plant.door.wait(1.0)
            plant.note_door(ended=status == 0)
            kind = "start refused by a full disk" if status == 2 and plant.disk and plant.disk.full else ""
            if kind:
                self.faults[kind] += 1
            else:
                plant.unexpected.append(f"{plant.door.log.name}: ended by itself with {status}")
            self._later(1.0, plant.begin_door)

    def _strike(self, kind: str) -> None:
        """One fault, if what it breaks is whole."""
        plant, heal_s = self.plant, self.chance.uniform(0.0, 2.0)
        whole = {
            "daemon killed": plant.door.running and (plant.asked.frames() > 0 or self.chance.random() < WHILE_STARTING),
            "broker killed": plant.broker.running,
            "collector killed": plant.collector.running,
            "all three killed at once": plant.door.running and plant.broker.running and plant.collector.running,
            "network cut": not self._waits(plant.wire.mend),
            "network slow": plant.wire.slow_s == 0,
            "disk full": plant.disk is not None and not plant.disk.full,
            "camera lost": not plant.camera.gone,
        }[kind]
        if not whole:
            return
        self.faults[kind] += 1
        if kind in ("daemon killed", "all three killed at once"):
            plant.end_door()
            self._later(heal_s / 4, plant.begin_door)
        if kind in ("broker killed", "all three killed at once"):
            plant.broker.end()
            self._later(heal_s, plant.broker.start)
        if kind in ("collector killed", "all three killed at once"):
            plant.collector.end()
            self._later(heal_s, plant.collector.start)
        if kind == "network cut":
            plant.wire.cut()
            self._later(heal_s, plant.wire.mend)
        elif kind == "network slow":
            plant.wire.slow_s = SLOW_S
            self._later(2 * heal_s, self._quicken)
        elif kind == "disk full" and plant.disk:
            plant.disk.fill()
            self._later(2 * heal_s, plant.disk.empty)
        elif kind == "camera lost":
            plant.camera.lose()
            self._later(2.0 + 3 * heal_s, plant.camera.give)

    def _quicken(self) -> None:
        self.plant.wire.slow_s = 0.0

    def _later(self, seconds: float, heal: Callable[[], None]) -> None:
        self._due.append((time.monotonic() + seconds, heal))

    def _waits(self, heal: Callable[[], None]) -> bool:
        return any(each == heal for _, each in self._due)
