"""The device registry follows the messages of the devices, in memory and on disk."""

import random
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from collector.analysis.correction import conflicts, confusions
from collector.devices.device import MAX_FORMER_BUNDLES, MAX_SHADOWS, Device, apply_message
from collector.devices.registry import DeviceRegistry, KnownDevices, read_devices
from collector.devices.registry_file import damages
from contract.health import Health
from contract.message import BundleIdentity, Model, Shadow, Status, encode
from contract.topics import Address, topic
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, publish, wait_until
from tests.support.device_models import bundle
from tests.support.messages import MESSAGES
from tests.support.permissions import unreadable
from tests.support.receiver import BOOT, NEXT_BOOT, START, counts_messages, receiving, rows, settings_for, window


@needs_mosquitto
def test_devices_json_holds_the_state_of_devices(tmp_path: Path) -> None:
    """A retained status reaches a later collector, and the late last will of a former boot does not apply."""
    port, root = free_port(), tmp_path / "store"
    status_topic = topic("shop-1", "door", "status")

    def state() -> list[tuple[str, str | None]]:
        return [(device.state, device.boot) for device in read_devices(root)] if root.is_dir() else []

    with mosquitto(tmp_path, port):
        publish(port, [(status_topic, encode(Status(schema=1, state="online", boot=BOOT)))], retain=True)
        with receiving(settings_for(root, port)):
            wait_until(lambda: state() == [("online", BOOT)], "the retained status is saved")
            publish(port, [(status_topic, encode(Status(schema=1, state="online", boot=NEXT_BOOT)))], retain=True)
            publish(port, [(status_topic, encode(Status(schema=1, state="offline", boot=BOOT)))], retain=True)
            publish(port, counts_messages(range(1), boot=NEXT_BOOT))
            wait_until(lambda: rows(root) == 1, "all messages are received")
    assert state() == [("online", NEXT_BOOT)]


def report_model(devices: DeviceRegistry, device: str, expression: BundleIdentity) -> None:
    """Record the model message of a device of shop-1 that runs this classifier."""
    message = Model(schema=1, detector=BundleIdentity(name="f", sha256="0" * 64), expression=expression)
    devices.record(Address("shop-1", device, "model"), message, False, START)


def test_former_classifiers_are_kept(tmp_path: Path) -> None:
    """The last classifiers of a device are kept over restarts, so that their counts can be corrected.

    However many a device reports, those of other devices stay.
    """
    devices = DeviceRegistry(tmp_path)
    report_model(devices, "other", bundle(1000))
    report_model(devices, "other", bundle(1001))
    devices.save()
    for number in range(100):
        devices = DeviceRegistry(tmp_path)
        report_model(devices, "door", bundle(number))
        devices.save()
        if number == 1:
            assert [name for _, device, name in confusions(read_devices(tmp_path)) if device == "door"] == [
                "e@000000000000", "e@000000000001",
            ]  # fmt: skip
    reported = list(confusions(read_devices(tmp_path)))
    assert [name for _, device, name in reported if device == "other"] == ["e@0000000003e8", "e@0000000003e9"]
    kept = [int(name[2:], 16) for _, device, name in reported if device == "door"]
    assert kept == list(range(99 - MAX_FORMER_BUNDLES, 100))


def test_the_size_of_former_classifiers_is_bounded(tmp_path: Path) -> None:
    """Of a device that reports classifiers of the largest size, 32 kB are kept."""
    devices = DeviceRegistry(tmp_path)
    for number in range(20):
        large = tuple((10**15,) * 32 for _ in range(32))
        names = tuple(f"label_{at}" for at in range(32))
        report_model(devices, "door", replace(bundle(number), labels=names, confusion=large))
    devices.save()
    assert len((tmp_path / "devices.json").read_bytes()) < 60_000


def test_another_matrix_of_the_same_classifier_is_a_conflict(tmp_path: Path) -> None:
    """A device whose confusion matrix of a classifier differs from the majority's is named; if all differ, all are."""
    devices = DeviceRegistry(tmp_path)
    for device, right in (("door", 9), ("till", 9), ("liar", 2)):
        report_model(devices, device, bundle(1, right))
    devices.save()
    assert conflicts(confusions(read_devices(tmp_path))) == {("shop-1", "liar", "e@000000000001")}
    report_model(devices, "till", bundle(1, 7))
    devices.save()
    reported = conflicts(confusions(read_devices(tmp_path)))
    assert {device for _, device, _ in reported} == {"door", "till", "liar"}


def test_a_file_of_version_1_is_read(tmp_path: Path) -> None:
    """Each device gets the one list of classifiers of a file of version 1."""
    device = Device(site="shop-1", device="door")
    first = {"schema": 1, "devices": [device], "bundles": [bundle(1), bundle(2)]}
    (tmp_path / "devices.json").write_bytes(msgspec.json.encode(first))
    DeviceRegistry(tmp_path)
    (read,) = read_devices(tmp_path)
    assert read.bundles == (bundle(1), bundle(2))
    devices = DeviceRegistry(tmp_path)
    report_model(devices, "door", bundle(3))
    devices.save()
    assert [name for _, _, name in confusions(read_devices(tmp_path))] == [f"e@{number:012x}" for number in (1, 2, 3)]


def test_a_damaged_file_is_kept_and_the_one_before_it_is_read(tmp_path: Path) -> None:
    """A truncated ``devices.json`` loses no former classifiers, is renamed at the next start, and is reported."""
    devices = DeviceRegistry(tmp_path)
    for number in range(3):
        report_model(devices, "door", bundle(number))
        devices.save()
    path = tmp_path / "devices.json"
    path.write_bytes(path.read_bytes()[:-100])
    reported = list(confusions(read_devices(tmp_path)))
    assert reported == [("shop-1", "door", f"e@{number:012x}") for number in range(2)]
    (damage,) = damages(tmp_path)
    assert damage.file == "devices.json" and "devices.json.before is read" in damage.reason
    devices = DeviceRegistry(tmp_path)
    report_model(devices, "door", bundle(2))
    devices.save()
    assert len(confusions(read_devices(tmp_path))) == 3
    assert [damage.file for damage in damages(tmp_path)] == ["devices.json.damaged"]


def test_known_devices_follow_the_files(tmp_path: Path) -> None:
    """They are read again after each change: also of permissions, and of the file before a damaged one."""
    known, devices, path = KnownDevices(tmp_path), DeviceRegistry(tmp_path), tmp_path / "devices.json"
    previous, kept = tmp_path / "devices.json.before", tmp_path / "kept"

    def check(number_of_damages: int) -> None:
        for _ in range(2):
            assert known.all() == read_devices(tmp_path)
            assert known.damages() == damages(tmp_path)
            assert len(known.damages()) == number_of_damages

    check(0)
    for number in range(2):
        report_model(devices, "door", bundle(number))
        devices.save()
        check(0)
    assert known.all() is known.all()
    with unreadable(path):
        check(1)
    check(0)
    path.rename(kept)
    path.write_bytes(b"{}")
    check(1)
    previous.unlink()
    check(1)
    kept.replace(path)
    check(0)
    other = DeviceRegistry(tmp_path, "-other")
    report_model(other, "till", bundle(5))
    other.save()
    check(0)
    assert len(known.all()) == 2
    path.rename(tmp_path / "devices.json.damaged")
    check(1)


def test_a_clock_that_was_never_set_does_not_change_the_last_window() -> None:
    """A window with an unsynchronised time in 2150 does not become the latest one."""
    device = apply_message(Device(site="shop-1", device="door"), window(1), False, START)
    assert apply_message(
        device, replace(window(2), end=START.replace(year=2150), clock="unsynced"), False, START
    ).counted == (device.counted)


def after(*messages: tuple[str, str, bool]) -> Device:
    """Return a device after messages (state, boot, retained); state ``counts`` is the next window of the boot."""
    device = Device(site="shop-1", device="door")
    for number, (state, boot, retained) in enumerate(messages):
        message = (
            window(number, boot=boot) if state == "counts" else Status(schema=1, state=state, boot=boot)  # type: ignore[arg-type]
        )
        device = apply_message(device, message, retained, START)
    return device


@pytest.mark.parametrize(
    ("messages", "state", "boot"),
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
        "online", "ended", "late will of a former boot", "late will of an unknown boot", "counts set the boot",
        "retained end", "counts after a will that came last", "ended while the collector was away",
        "spooled counts of a former boot", "spooled counts of an unknown boot",
    ],
)  # fmt: skip
def test_the_state_is_that_of_the_newest_boot(messages: list[tuple[str, str, bool]], state: str, boot: str) -> None:
    """After each sequence of status and counts messages the state is that of the boot that began last."""
    device = after(*messages)
    assert (device.state, device.boot) == (state, boot)


def test_retained_messages_are_no_sign_of_life() -> None:
    """``seen`` is the time of the last message that was not retained."""
    health = Health(
        schema=1, boot=BOOT, time=START, uptime_s=1, frames_per_s=9, latency_ms={}, frames_dropped=0, spool_depth=0,
        spool_dropped=0, oldest_unsent=None, memory_mb=1, temperature_c=None, throttled=None, clock="synced",
        versions={},
    )  # fmt: skip
    device = Device(site="shop-1", device="door")
    after_retained = apply_message(device, health, True, START)
    assert (after_retained.seen, after_retained.health) == (None, health)
    assert apply_message(device, health, False, START).seen == START


def test_a_flipped_bit_is_never_a_silent_difference(tmp_path: Path) -> None:
    """After a flip of any bit of ``devices.json`` the devices are equal or the damage is reported."""
    devices = DeviceRegistry(tmp_path)
    for number in range(3):
        report_model(devices, "door", bundle(number))
        devices.save()
    path, expected = tmp_path / "devices.json", read_devices(tmp_path)
    whole, rng = path.read_bytes(), random.Random(2)
    for _ in range(60):
        bit, data = rng.randrange(len(whole) * 8), bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        assert read_devices(tmp_path) == expected or damages(tmp_path)
        assert len(confusions(read_devices(tmp_path))) >= 2, "the file before is read"


def report_shadow(devices: DeviceRegistry, shadow: Shadow) -> None:
    """Record an agreement table of shop-1/door."""
    devices.record(Address("shop-1", "door", "shadow"), shadow, False, START)


def test_agreement_tables_are_kept_once_each(tmp_path: Path) -> None:
    """A repeat or a late earlier message of a table changes nothing, also if another writer had it; few are kept."""
    table: Shadow = MESSAGES["shadow-1"]
    grown = replace(table, seq=3, table=((60, 3, 0), (2, 50, 1), (0, 1, 3)))
    one, other = DeviceRegistry(tmp_path), DeviceRegistry(tmp_path, "-two")
    for shadow in (table, grown, grown, table):
        report_shadow(one, shadow)
    report_shadow(other, table)
    one.save()
    other.save()
    assert read_devices(tmp_path)[0].shadows == (grown,)
    for number in range(2 * MAX_SHADOWS):
        report_shadow(one, replace(table, boot=f"{number:016x}"))
    one.save()
    assert len(DeviceRegistry(tmp_path).get("shop-1", "door").shadows) == MAX_SHADOWS  # type: ignore[union-attr]
