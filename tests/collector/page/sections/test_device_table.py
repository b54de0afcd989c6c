"""The table of devices shows state, last message, health and shared names."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from collector.devices.registry import Device, DeviceRegistry
from collector.devices.state import shown_state
from contract.health import Health
from contract.topics import Address
from tests.support.pages import BOOT, CONTROLS, NOW, text_of, two_shops, view
from tests.support.store import put, window


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return two_shops(tmp_path)


def test_devices_are_listed_with_state_and_last_message(store: Path) -> None:
    """All devices are listed, or those of a site; a device without messages for long is silent."""
    assert text_of(view(store).device_table(CONTROLS)).count("● online") == 2
    later = text_of(view(store, NOW + timedelta(minutes=9)).device_table(CONTROLS | {"sites": ["shop-2"]}))
    assert "shop-2 door ● silent 9 min ago" in later
    assert "shop-1" not in later


@pytest.mark.parametrize(
    ("state", "minutes", "shown"),
    [("online", 1, "online"), ("online", 6, "silent"), ("offline", 1, "offline"), ("stopping", 99, "stopping")],
)
def test_an_online_device_without_messages_is_silent(state: str, minutes: int, shown: str) -> None:
    device = Device(site="a", device="b", state=state, seen=NOW - timedelta(minutes=minutes))  # type: ignore[arg-type]
    assert shown_state(device, NOW) == shown


def test_health_of_a_device_is_in_its_row(store: Path) -> None:
    devices = DeviceRegistry(store)
    health = Health(
        schema=1, boot=BOOT, time=NOW, uptime_s=1, frames_per_s=14.26, latency_ms={}, frames_dropped=0, spool_depth=12,
        spool_dropped=0, oldest_unsent=None, memory_mb=90, temperature_c=61.4, throttled=False, clock="synced",
        versions={},
    )  # fmt: skip
    devices.record(Address("shop-1", "door", "health"), health, False, NOW)
    devices.save()
    assert "14.3 61 12 10" in text_of(view(store).device_table(CONTROLS | {"sites": ["shop-1"]}))


def test_two_devices_with_one_name_are_reported(store: Path) -> None:
    """The table shows how many windows are missing, or that two devices use the name."""
    assert re.search(r"shop-2 door .* 10 $", text_of(view(store).device_table(CONTROLS | {"sites": ["shop-2"]})))
    put(store, *(window(100 + n, start=window(n).start, site="shop-2", boot="f" * 16) for n in range(1, 20)))
    assert "two devices use this name" in text_of(view(store).device_table(CONTROLS | {"sites": ["shop-2"]}))
