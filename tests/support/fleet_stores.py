"""Stores of several sites whose sums are compared with their cells.

A reader that may see each site reads the cells of the devices, so it is what the sums are compared with.
"""

import os
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from collector.devices.registry import DeviceRegistry
from collector.reading.reader import Reader
from contract.message import BundleIdentity, Counts, Model, Models
from contract.topics import Address
from tests.support.page_contents import assert_same, page_contents
from tests.support.store import SEVEN, window

FIRST = datetime(2026, 2, 20, tzinfo=timezone.utc)
DAYS = 45
"""Of these, 29 March begins daylight saving time in Europe, 8 March in America, and 5 April ends it in Australia."""
USED = (0, 1, 15, 16, 23, 36, 37, 38, 43, 44)
"""Days that have windows."""
AGES = ("young", "old", "unknown")
SITES = ("north", "south", "west")
YEAR = {"days": "365", "zone": "Europe/Berlin", "by": "day"}
MONTH = YEAR | {"days": "30"}
NOW = FIRST + timedelta(days=60)


def classifier(number: int, labels: tuple[str, ...], right: int) -> BundleIdentity:
    """Return a classifier with a matrix, of which ``right`` of a hundred predictions are correct."""
    wrong = (100 - right) // (len(labels) - 1)
    matrix = tuple(tuple(right if row == at else wrong for at in range(len(labels))) for row in range(len(labels)))
    return BundleIdentity(name="model", sha256=f"{number:012x}".ljust(64, "0"), labels=labels, confusion=matrix)


def register(root: Path, rng: random.Random) -> None:
    """Let some devices report a matrix; those of one classifier are not all equal."""
    registry, detector = DeviceRegistry(root), BundleIdentity(name="faces", sha256="0" * 64)
    for site in SITES:
        for device in ("door", "till"):
            for number, labels in ((1, SEVEN[:7]), (2, SEVEN[:7]), (3, AGES[:2])):
                if rng.random() < 0.7:
                    model = classifier(number, labels, rng.choice([70, 90]))
                    address, message = (
                        Address(site, device, "model"),
                        Model(schema=1, detector=detector, expression=model),
                    )
                    registry.record(address, message, False, FIRST)
    registry.save()


def windows(rng: random.Random, number: int, first: datetime, days: float) -> list[Counts]:
    """Return windows of seconds to hours, of several classifiers, two label sets and all kinds of clocks."""
    found = []
    for _ in range(number):
        start = first + timedelta(days=rng.choice(USED) if days > 1 else 0, seconds=rng.randrange(86_400))
        model = rng.choice([1, 1, 2, 3])
        labels = AGES if model == 3 else SEVEN
        found.append(
            window(
                rng.randrange(10**9), {name: rng.randrange(9) for name in labels}, start,
                site=rng.choice(SITES), device=rng.choice(["door", "till"]),
                end=start + timedelta(seconds=rng.choice([1, 60, 60, 60, 900, 3600, 20_000])),
                clock=rng.choice(["synced", "synced", "restamped", "unsynced"]), coverage=rng.random(),
                degraded=rng.choice([(), ("dark",)]),
                model=Models(detector="faces@0123456789ab", expression=f"model@{model:012x}"),
            )
        )  # fmt: skip
    return found


def age_files(root: Path, since: datetime) -> None:
    """Set the times of all files as if they had been written long before."""
    for path in root.glob("date=*/site=*/*.*"):
        os.utime(path, (since.timestamp(), since.timestamp()))


def compare(root: Path, reader: Reader, now: datetime, controls: dict[str, Any]) -> None:
    """Assert that a reader shows what the cells give."""
    fresh = Reader(root, lambda: now)
    expected = page_contents(fresh.only(frozenset(fresh.sites())), now, controls)
    assert_same(page_contents(reader, now, controls), expected)
