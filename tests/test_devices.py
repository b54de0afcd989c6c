"""What devices say of themselves, and which of it holds."""

from pathlib import Path

import pytest
from brokers import free_port, mosquitto, needs_mosquitto, publish, wait_until
from msgspec.structs import replace
from test_receive import BOOT, NEXT_BOOT, START, counts_messages, receiving, rows, settings_for, window

from collector.correct import confusions
from collector.devices import MOST_BUNDLES, Device, Devices, heard, read_bundles, read_devices
from contract.message import Bundle, Health, Model, Status, encode
from contract.topics import Address, topic


@needs_mosquitto
def test_devices_json_holds_what_devices_say_of_themselves(tmp_path: Path) -> None:
    """Retained status reaches a collector that came later; the late will of an older boot does not make it offline."""
    port, root = free_port(), tmp_path / "store"
    at = topic("shop-1", "door", "status")

    def state() -> list[tuple[str, str | None]]:
        return [(device.state, device.boot) for device in read_devices(root)] if root.is_dir() else []

    with mosquitto(tmp_path, port):
        publish(port, [(at, encode(Status(schema=1, state="online", boot=BOOT)))], retain=True)
        with receiving(settings_for(root, port)):
            wait_until(lambda: state() == [("online", BOOT)], "the retained status is known")
            publish(port, [(at, encode(Status(schema=1, state="online", boot=NEXT_BOOT)))], retain=True)
            publish(port, [(at, encode(Status(schema=1, state="offline", boot=BOOT)))], retain=True)
            publish(port, counts_messages(range(1), boot=NEXT_BOOT))
            wait_until(lambda: rows(root) == 1, "all has been received")
    assert state() == [("online", NEXT_BOOT)]


def test_the_figures_of_former_bundles_are_kept(tmp_path: Path) -> None:
    """A model update, by all devices and in a new process: what was counted before can still be corrected; of bundles
    without end the last are kept.
    """
    at = Address("shop-1", "door", "model")
    for number in range(MOST_BUNDLES + 2):
        devices = Devices(tmp_path)
        bundle = Bundle(name="e", sha256=f"{number:012x}".ljust(64, "0"), labels=("a", "b"), confusion=((9, 1), (2, 8)))
        devices.note(at, Model(schema=1, detector=Bundle(name="f", sha256="0" * 64), expression=bundle), False, START)
        devices.save()
        if number == 1:
            assert list(confusions(read_bundles(tmp_path))) == ["e@000000000000", "e@000000000001"]
    kept = [bundle.sha256 for bundle in read_bundles(tmp_path)]
    assert kept == [f"{number:012x}".ljust(64, "0") for number in range(2, MOST_BUNDLES + 2)]


def test_a_clock_that_was_never_set_says_nothing_of_the_last_window() -> None:
    """A window stamped in 2150 would be the last for ever."""
    device = heard(Device(site="shop-1", device="door"), window(1), False, START)
    assert heard(device, replace(window(2), end=START.replace(year=2150), clock="unsynced"), False, START).counted == (
        device.counted
    )


def told(*words: tuple[str, str, bool]) -> Device:
    """A device after hearing (state, boot, retained) in this order; state ``counts`` is the next window of the boot."""
    device = Device(site="shop-1", device="door")
    for number, (state, boot, retained) in enumerate(words):
        message = (
            window(number, boot=boot) if state == "counts" else Status(schema=1, state=state, boot=boot)  # type: ignore[arg-type]
        )
        device = heard(device, message, retained, START)
    return device


@pytest.mark.parametrize(
    ("words", "state", "boot"),
    [
        ([("online", BOOT, False)], "online", BOOT),
        ([("online", BOOT, False), ("offline", BOOT, False)], "offline", BOOT),
        ([("online", BOOT, False), ("online", NEXT_BOOT, False), ("offline", BOOT, False)], "online", NEXT_BOOT),
        ([("online", NEXT_BOOT, False), ("offline", BOOT, False)], "online", NEXT_BOOT),
        ([("counts", NEXT_BOOT, False), ("offline", BOOT, False)], "unknown", NEXT_BOOT),
        ([("offline", BOOT, True)], "offline", BOOT),
        ([("offline", BOOT, True), ("counts", NEXT_BOOT, False)], "online", NEXT_BOOT),
        ([("online", BOOT, False), ("offline", NEXT_BOOT, True)], "offline", NEXT_BOOT),
        ([("online", BOOT, False), ("online", NEXT_BOOT, False), ("counts", BOOT, False)], "online", NEXT_BOOT),
        ([("online", NEXT_BOOT, True), ("counts", BOOT, False), ("offline", NEXT_BOOT, False)], "offline", NEXT_BOOT),
    ],
    ids=[
        "online", "ended", "late will of a former boot", "late will of a boot never heard of", "counts tell the boot",
        "retained end", "counts after a will that came last", "ended while nobody listened",
        "spooled counts of a former boot", "spooled counts of an unknown boot",
    ],
)  # fmt: skip
def test_the_state_is_that_of_the_newest_boot(words: list[tuple[str, str, bool]], state: str, boot: str) -> None:
    """Each story of status and counts ends in the state of the boot that began last."""
    device = told(*words)
    assert (device.state, device.boot) == (state, boot)


def test_retained_messages_are_no_sign_of_life() -> None:
    """``seen`` is the time of the last message that the broker had not kept."""
    health = Health(
        schema=1, boot=BOOT, time=START, uptime_s=1, frames_per_s=9, latency_ms={}, frames_dropped=0, spool_depth=0,
        spool_dropped=0, oldest_unsent=None, memory_mb=1, temperature_c=None, throttled=None, clock="synced",
        versions={},
    )  # fmt: skip
    device = Device(site="shop-1", device="door")
    kept = heard(device, health, True, START)
    assert (kept.seen, kept.health) == (None, health)
    assert heard(device, health, False, START).seen == START
