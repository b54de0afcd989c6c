"""Devices that report their state, at a time that a test sets."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from collector.devices.registry import DeviceRegistry
from contract.message import Status
from contract.topics import Address
from tests.support.messages import BOOT

NOW = datetime(2026, 3, 28, 12, 30, tzinfo=timezone.utc)


class Clock:
    """A clock that a test sets."""

    now = NOW


def report(root: Path, state: Any, site: str = "shop-1", device: str = "door") -> None:
    """Let a device report a state."""
    devices = DeviceRegistry(root)
    devices.record(Address(site, device, "status"), Status(schema=1, state=state, boot=BOOT), False, Clock.now)
    devices.save()
