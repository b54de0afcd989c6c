"""Devices that are played: shop-like days, outages, restarts, repeats and clocks that are wrong -> messages."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from msgspec import UNSET

from contract.labels import EXPRESSIONS, UNKNOWN
from contract.message import Clock, Counts, Models, Privacy, Reason, encode
from contract.topics import topic

BEGIN = datetime(2026, 3, 28, 22, 0, tzinfo=timezone.utc)
"""Two hours before a day ends, so that short plays write two days too."""
NEVER_SET = datetime(1970, 1, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
MIX = (5, 2, 3, 33, 8, 6, 38, 5)
RESTART, OUTAGE, WRONG_CLOCK, REPEAT = 1 / 300, 1 / 100, 1 / 500, 1 / 50
"""Chances a minute of each fault; of REPEAT a message. A restart sends the last message again: its PUBACK was lost."""
BUSY = (0, 0, 0, 0, 0, 0, 1, 2, 4, 6, 8, 9, 10, 9, 8, 8, 9, 10, 9, 6, 3, 2, 1, 1)
"""Visits a minute, in tenths, by hour UTC."""


@dataclass(slots=True)
class Player:
    """One device: every minute a window; what is sent when is up to its faults."""

    site: str
    device: str
    chance: random.Random
    boot: str = ""
    seq: int = 0
    away: int = 0
    """Minutes until the network is back."""
    unset: int = 0
    """Minutes until the clock is right."""
    last: Counts | None = None
    waiting: list[Counts] = field(default_factory=list)

    def minute(self, number: int) -> Iterator[Counts]:
        """The messages that leave the device in this minute, repeats among them."""
        if not self.boot or self.chance.random() < RESTART:
            self.boot, self.seq = f"{self.chance.getrandbits(64):016x}", 0
            if self.last is not None:
                self.waiting.append(self.last)
        self.away = max(self.away - 1, 0) or (self.chance.randint(2, 15) if self.chance.random() < OUTAGE else 0)
        self.unset = max(self.unset - 1, 0) or (self.chance.randint(1, 5) if self.chance.random() < WRONG_CLOCK else 0)
        self.waiting.append(self._window(number))
        if self.away:
            return
        yield from self._send()

    def end(self) -> Iterator[Counts]:
        """All that still waits."""
        yield from self._send()

    def _send(self) -> Iterator[Counts]:
        """New windows before the backlog, as the daemon does; now and then one twice."""
        for counts in reversed(self.waiting):
            yield counts
            if self.chance.random() < REPEAT:
                yield counts
            self.last = counts
        self.waiting.clear()

    def _window(self, number: int) -> Counts:
        start = (NEVER_SET if self.unset else BEGIN) + number * MINUTE
        clock: Clock = "unsynced" if self.unset else self.chance.choice(("synced", "synced", "restamped"))
        visits = dict.fromkeys((*EXPRESSIONS, UNKNOWN), 0)
        for _ in range(sum(self.chance.random() < 0.1 for _ in range(BUSY[start.hour]))):
            visits[self.chance.choices(list(visits), MIX)[0]] += 1
        degraded: tuple[Reason, ...] = ("black",) if self.chance.random() < 0.01 else ()
        doubtful = any(visits.values()) and number % 2 == 1
        counts = Counts(
            schema=2 if doubtful else 1, site=self.site, device=self.device, boot=self.boot, seq=self.seq, start=start,
            end=start + MINUTE, clock=clock, coverage=round(self.chance.uniform(0.9, 1), 4), degraded=degraded,
            visits=visits, merged=1, privacy=Privacy(k=1),
            model=Models(detector="face@0123456789ab", expression="expression@ba9876543210"),
            doubtful_low=1 if doubtful else UNSET, doubtful_high=number % 4 // 2 if doubtful else UNSET,
        )  # fmt: skip
        self.seq += 1
        return counts


def players(devices: int, seed: int) -> list[Player]:
    """Five devices a site."""
    return [
        Player(f"shop-{number // 5:03}", f"device-{number % 5}", random.Random(seed * 1_000_003 + number))  # noqa: S311
        for number in range(devices)
    ]


def message(counts: Counts) -> tuple[str, bytes]:
    """Topic and payload."""
    return topic(counts.site, counts.device, "counts"), encode(counts)


def expected(payload: bytes) -> str:
    """A payload -> the line that the store must hold; from the JSON alone, by none of the collector's code."""
    told = json.loads(payload)
    told["degraded"], told["privacy"] = "|".join(told["degraded"]), told["privacy"]["k"]
    models, visits = told.pop("model"), told.pop("visits")
    doubtful = [told.pop(name, 0) for name in ("doubtful_low", "doubtful_high")]
    doubtful = doubtful if any(doubtful) else []
    cells = [*told.values(), models["detector"], models["expression"], *doubtful, *visits.values()]
    return ",".join(map(str, cells)) + "\n"
