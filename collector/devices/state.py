"""A device and the time -> the state that is shown of it."""

from datetime import datetime, timedelta
from typing import Literal

from collector.devices.device import Device

SILENT_AFTER = timedelta(minutes=5)
"""A device says something each minute; one that is online and has said nothing for so long is called silent."""
State = Literal["unknown", "online", "stopping", "offline", "silent"]


def shown_state(device: Device, now: datetime) -> State:
    """What the device said, unless it says nothing any more."""
    if device.state == "online" and device.seen and now - device.seen > SILENT_AFTER:
        return "silent"
    return device.state
