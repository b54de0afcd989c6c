"""What devices say of themselves, and which of it holds."""

import random
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from collector.analysis.correction import conflicts, confusions
from collector.devices.device import MOST_BUNDLES, Device, heard
from collector.devices.registry import Devices, read_devices
from collector.devices.registry_file import damages
from contract.message import Bundle, Health, Model, Status, encode
from contract.topics import Address, topic
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, publish, wait_until
from tests.support.device_models import bundle
from tests.support.receiver import BOOT, NEXT_BOOT, START, counts_messages, receiving, rows, settings_for, window


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


def tell(devices: Devices, device: str, expression: Bundle) -> None:
    """A device of shop-1 says that it runs this classifier."""
    message = Model(schema=1, detector=Bundle(name="f", sha256="0" * 64), expression=expression)
    devices.note(Address("shop-1", device, "model"), message, False, START)


def test_the_matrices_of_former_classifiers_are_kept(tmp_path: Path) -> None:
    """Model updates, each in a new process: what was counted before can still be corrected. Of many, the last are kept,
    and those of another device stay, however many models this one tells of.
    """
    devices = Devices(tmp_path)
    tell(devices, "other", bundle(1000))
    tell(devices, "other", bundle(1001))
    devices.save()
    for number in range(100):
        devices = Devices(tmp_path)
        tell(devices, "door", bundle(number))
        devices.save()
        if number == 1:
            assert [name for _, device, name in confusions(read_devices(tmp_path)) if device == "door"] == [
                "e@000000000000", "e@000000000001",
            ]  # fmt: skip
    told = list(confusions(read_devices(tmp_path)))
    assert [name for _, device, name in told if device == "other"] == ["e@0000000003e8", "e@0000000003e9"]
    kept = [int(name[2:], 16) for _, device, name in told if device == "door"]
    assert kept == list(range(99 - MOST_BUNDLES, 100))


def test_large_models_of_one_device_are_bounded(tmp_path: Path) -> None:
    """A device that tells of classifiers as large as a message may be keeps 32 kB of them."""
    devices = Devices(tmp_path)
    for number in range(20):
        large = tuple((10**15,) * 32 for _ in range(32))
        names = tuple(f"label_{at}" for at in range(32))
        tell(devices, "door", replace(bundle(number), labels=names, confusion=large))
    devices.save()
    assert len((tmp_path / "devices.json").read_bytes()) < 60_000


def test_another_matrix_of_the_same_classifier_is_a_conflict(tmp_path: Path) -> None:
    """Two devices tell the same of a file, one tells something else: that one is named; where all differ, all are."""
    devices = Devices(tmp_path)
    for device, right in (("door", 9), ("till", 9), ("liar", 2)):
        tell(devices, device, bundle(1, right))
    devices.save()
    assert conflicts(confusions(read_devices(tmp_path))) == {("shop-1", "liar", "e@000000000001")}
    tell(devices, "till", bundle(1, 7))
    devices.save()
    told = conflicts(confusions(read_devices(tmp_path)))
    assert {device for _, device, _ in told} == {"door", "till", "liar"}


def test_a_file_of_version_1_is_read(tmp_path: Path) -> None:
    """Its one list of classifiers is each device's own from now on."""
    device = Device(site="shop-1", device="door")
    first = {"schema": 1, "devices": [device], "bundles": [bundle(1), bundle(2)]}
    (tmp_path / "devices.json").write_bytes(msgspec.json.encode(first))
    Devices(tmp_path)
    (read,) = read_devices(tmp_path)
    assert read.bundles == (bundle(1), bundle(2))
    devices = Devices(tmp_path)
    tell(devices, "door", bundle(3))
    devices.save()
    assert [name for _, _, name in confusions(read_devices(tmp_path))] == [f"e@{number:012x}" for number in (1, 2, 3)]


def test_a_damaged_file_is_kept_and_the_one_before_it_is_read(tmp_path: Path) -> None:
    """A truncated ``devices.json`` loses no former matrices, is put aside at the next start, and is reported."""
    devices = Devices(tmp_path)
    for number in range(3):
        tell(devices, "door", bundle(number))
        devices.save()
    path = tmp_path / "devices.json"
    path.write_bytes(path.read_bytes()[:-100])
    told = list(confusions(read_devices(tmp_path)))
    assert told == [("shop-1", "door", f"e@{number:012x}") for number in range(2)]
    (damage,) = damages(tmp_path)
    assert damage.file == "devices.json" and "devices.json.before is read" in damage.reason
    devices = Devices(tmp_path)
    tell(devices, "door", bundle(2))
    devices.save()
    assert len(confusions(read_devices(tmp_path))) == 3
    assert [damage.file for damage in damages(tmp_path)] == ["devices.json.damaged"]


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


def test_a_flipped_bit_is_never_a_silent_difference(tmp_path: Path) -> None:
    """60 bits anywhere in ``devices.json``: the same devices and models, or a notice."""
    devices = Devices(tmp_path)
    for number in range(3):
        tell(devices, "door", bundle(number))
        devices.save()
    path, expected = tmp_path / "devices.json", read_devices(tmp_path)
    whole, rng = path.read_bytes(), random.Random(2)
    for _ in range(60):
        bit, data = rng.randrange(len(whole) * 8), bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        assert read_devices(tmp_path) == expected or damages(tmp_path)
        assert len(confusions(read_devices(tmp_path))) >= 2, "those of the file before"
