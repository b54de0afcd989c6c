"""A store with two weeks of two shops, and the moment after them."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.devices.registry import DeviceRegistry
from contract.message import Status
from contract.topics import Address
from tests.support.device_models import model
from tests.support.store import SEVEN, put, window

MONDAY = datetime(2026, 3, 30, 6, 10, tzinfo=timezone.utc)
"""The week that has ended is 2026-W13, in which clocks go forward."""
BERLIN = ZoneInfo("Europe/Berlin")
MIX = dict.fromkeys(SEVEN, 0) | {"happiness": 3, "neutral": 9, "sadness": 2, "unknown": 3}
OPEN = range(10, 15)


def two_weeks(root: Path, sites: tuple[str, ...] = ("shop-1", "shop-2")) -> Path:
    """Store hourly windows from 10:00 to 15:00 UTC; the first site has half as many visits again in the second week.

    The device of the second site is offline.
    """
    windows = []
    for site in sites:
        for day in range(1, 15):
            for hour in OPEN:
                start = MONDAY.replace(hour=hour, minute=0) - timedelta(days=day)
                factor = 1.5 if site == sites[0] and day <= 7 else 1.0
                visits = {name: round(factor * (4 + (hour + day) % 3) * number) for name, number in MIX.items()}
                windows.append(window(100 * day + hour, visits, start, site=site, end=start + timedelta(hours=1)))
    put(root, *windows)
    devices = DeviceRegistry(root)
    for site, state in zip(sites, ("online", "offline"), strict=False):
        status = Status(schema=1, state=state, boot="0" * 16)  # type: ignore[arg-type]
        devices.record(Address(site, "door", "status"), status, False, MONDAY)
        devices.record(Address(site, "door", "model"), model(), False, MONDAY)
    devices.save()
    return root
