"""Decide which state of a device the page and the HTTP API show."""

from datetime import datetime, timedelta
from typing import Literal

from collector.devices.device import Device

SILENT_AFTER = timedelta(minutes=5)
"""An online device that has sent nothing for so long is shown as silent. Devices send something every minute."""
State = Literal["unknown", "online", "stopping", "offline", "silent"]


def shown_state(device: Device, now: datetime) -> State:
    """Return the state that the device has reported, or ``silent``."""
    if device.state == "online" and device.seen and now - device.seen > SILENT_AFTER:
        return "silent"
    return device.state
