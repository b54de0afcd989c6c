"""Simulate devices: their messages over shop-like days, with outages, restarts, repeats and wrong clocks."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from msgspec import UNSET

from contract.fields import Clock, Reason
from contract.health import Health, Latency
from contract.labels import EXPRESSIONS, UNKNOWN
from contract.message import Counts, Models, Privacy, encode
from contract.topics import topic

BEGIN = datetime(2026, 3, 28, 22, 0, tzinfo=timezone.utc)
"""Two hours before midnight, so that short simulations cover two days."""
UNSET_CLOCK = datetime(1970, 1, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
LABEL_WEIGHTS = (5, 2, 3, 33, 8, 6, 38, 5)
RESTART_PER_MINUTE, OUTAGE_PER_MINUTE, WRONG_CLOCK_PER_MINUTE = 1 / 300, 1 / 100, 1 / 500
"""Probability of each fault in a minute."""
REPEAT = 1 / 50
"""Probability that a message is sent twice."""
BUSY = (0, 0, 0, 0, 0, 0, 1, 2, 4, 6, 8, 9, 10, 9, 8, 8, 9, 10, 9, 6, 3, 2, 1, 1)
"""Visits per minute, in tenths, by hour UTC."""


@dataclass(slots=True)
class SimulatedDevice:
    """One device with one window a minute; its faults decide when windows are sent."""

    site: str
    device: str
    rng: random.Random
    boot: str = ""
    seq: int = 0
    offline_minutes: int = 0
    """Minutes until the network is back."""
    wrong_clock_minutes: int = 0
    """Minutes until the clock is right."""
    last_sent: Counts | None = None
    waiting: list[Counts] = field(default_factory=list)

    def minute(self, number: int) -> Iterator[Counts]:
        """Yield the messages that the device sends in a minute, repeats included.

        A restart sends the last message again: its PUBACK was lost.
        """
        rng = self.rng
        if not self.boot or rng.random() < RESTART_PER_MINUTE:
            self.boot, self.seq = f"{rng.getrandbits(64):016x}", 0
            if self.last_sent is not None:
                self.waiting.append(self.last_sent)
        self.offline_minutes = max(self.offline_minutes - 1, 0) or (
            rng.randint(2, 15) if rng.random() < OUTAGE_PER_MINUTE else 0
        )
        self.wrong_clock_minutes = max(self.wrong_clock_minutes - 1, 0) or (
            rng.randint(1, 5) if rng.random() < WRONG_CLOCK_PER_MINUTE else 0
        )
        self.waiting.append(self._window(number))
        if not self.offline_minutes:
            yield from self.send_waiting()

    def send_waiting(self) -> Iterator[Counts]:
        """Yield all windows that wait, the newest first as the daemon does, and some of them twice."""
        for counts in reversed(self.waiting):
            yield counts
            if self.rng.random() < REPEAT:
                yield counts
            self.last_sent = counts
        self.waiting.clear()

    def _window(self, number: int) -> Counts:
        rng = self.rng
        start = (UNSET_CLOCK if self.wrong_clock_minutes else BEGIN) + number * MINUTE
        clock: Clock = "unsynced" if self.wrong_clock_minutes else rng.choice(("synced", "synced", "restamped"))
        visits = dict.fromkeys((*EXPRESSIONS, UNKNOWN), 0)
        for _ in range(sum(rng.random() < 0.1 for _ in range(BUSY[start.hour]))):
            visits[rng.choices(list(visits), LABEL_WEIGHTS)[0]] += 1
        degraded: tuple[Reason, ...] = ("black",) if rng.random() < 0.01 else ()
        doubtful = any(visits.values()) and number % 2 == 1
        counts = Counts(
            schema=2 if doubtful else 1, site=self.site, device=self.device, boot=self.boot, seq=self.seq, start=start,
            end=start + MINUTE, clock=clock, coverage=round(rng.uniform(0.9, 1), 4), degraded=degraded,
            visits=visits, merged=1, privacy=Privacy(k=1),
            model=Models(detector="face@0123456789ab", expression="expression@ba9876543210"),
            doubtful_low=1 if doubtful else UNSET, doubtful_high=number % 4 // 2 if doubtful else UNSET,
        )  # fmt: skip
        self.seq += 1
        return counts


def simulated_devices(number: int, seed: int) -> list[SimulatedDevice]:
    """Return ``number`` devices, five per site."""
    return [
        SimulatedDevice(
            f"shop-{index // 5:03}",
            f"device-{index % 5}",
            random.Random(seed * 1_000_003 + index),  # noqa: S311 - not for secrets
        )
        for index in range(number)
    ]


def message(counts: Counts) -> tuple[str, bytes]:
    """Return topic and payload."""
    return topic(counts.site, counts.device, "counts"), encode(counts)


def health_message(device: SimulatedDevice, minute: int) -> tuple[str, bytes]:
    """Return topic and payload of the health that a device reports in a minute."""
    latency = Latency(p50=21.4, p95=33.9)
    health = Health(
        schema=4, boot=device.boot, time=BEGIN + minute * MINUTE, uptime_s=60.0 * minute + 7.25, frames_per_s=9.97,
        latency_ms={"detect": latency, "classify": latency}, frames_dropped=3, spool_depth=len(device.waiting),
        spool_dropped=0, oldest_unsent=None, memory_mb=103.2, temperature_c=61.5, throttled=False, clock="synced",
        versions={"facetally": "0.1.0", "python": "3.11.2", "runtime": "ai_edge_litert 2.1.0"}, written_mb=12.25,
        detections_saved=0.62, fixed_faces=0,
    )  # fmt: skip
    return topic(device.site, device.device, "health"), encode(health)


def expected_row(payload: bytes) -> str:
    """Return the line that the store must hold for a payload; computed from the JSON, without the collector's code."""
    fields = json.loads(payload)
    fields["degraded"], fields["privacy"] = "|".join(fields["degraded"]), fields["privacy"]["k"]
    models, visits = fields.pop("model"), fields.pop("visits")
    doubtful = [fields.pop(name, 0) for name in ("doubtful_low", "doubtful_high")]
    doubtful = doubtful if any(doubtful) else []
    cells = [*fields.values(), models["detector"], models["expression"], *doubtful, *visits.values()]
    return ",".join(map(str, cells)) + "\n"
