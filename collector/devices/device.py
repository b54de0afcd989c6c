"""One device as it was last heard of, and what each of its messages changes."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from contract.message import BundleIdentity, Health, Message, Model, Status

FORMER = 16
"""Boots before the present one that are remembered."""
MOST_BUNDLES = 8
"""Former classifiers of one device that are remembered, the last ones."""
MOST_BYTES = 32_768
"""Of their JSON together: a classifier of seven labels has some 600."""


class Used(Struct, frozen=True, kw_only=True):
    """A classifier with its labels, and the day of its last window, by the collector's clock."""

    sha256: str
    last: date


class Device(Struct, frozen=True, kw_only=True):
    """One device as it was last heard of. Times are UTC; None where nothing has been heard."""

    site: str
    device: str
    state: Literal["unknown", "online", "stopping", "offline"] = "unknown"
    boot: str | None = None
    former: tuple[str, ...] = ()
    seen: datetime | None = None
    """When the last message came that the broker had not kept from earlier."""
    counted: datetime | None = None
    """The latest ``end`` of its windows, as far as their clock can be believed."""
    model: Model | None = None
    health: Health | None = None
    bundles: tuple[BundleIdentity, ...] = ()
    """Classifiers that it ran before the present one, the last at the end: what they counted stays in the store, and
    can be corrected by their matrices only."""
    used: tuple[Used, ...] = ()
    """Classifiers with their labels that it has counted with."""
    stray: tuple[date, ...] = ()
    """Dates outside the bounds that its windows have, see `collector.receive.admission`."""
    refused: dict[str, int] = {}
    """Messages set aside, by reason: a `collector.errors.Limit`, or ``malformed``."""


def heard(device: Device, message: Message, retained: bool, now: datetime) -> Device:
    """A device and a message of it -> the device afterwards. ``retained``: the broker had kept it from earlier."""
    if not retained and device.seen != now:
        device = replace(device, seen=now)
    if isinstance(message, Status):
        return _told(device, message, retained)
    if isinstance(message, Model):
        return _runs(device, message)
    if isinstance(message, Health):
        if message.boot in device.former:
            return device
        return _alive(replace(device, health=message), message.boot, retained)
    if message.clock != "unsynced":
        if device.counted and message.end <= device.counted:
            return device
        device = replace(device, counted=message.end)
    return _alive(device, message.boot, retained)


def _runs(device: Device, model: Model) -> Device:
    """The device with the model it has told of; the classifier before it is remembered, for its counts are stored."""
    if device.model is None or device.model.expression == model.expression:
        return replace(device, model=model)
    former = replace(device.model.expression, figures={})
    kept = [bundle for bundle in device.bundles if bundle.sha256 not in (former.sha256, model.expression.sha256)]
    if former.sha256 != model.expression.sha256:
        kept.append(former)
    return replace(device, model=model, bundles=bounded(kept))


def bounded(bundles: Iterable[BundleIdentity]) -> tuple[BundleIdentity, ...]:
    """The last of some classifiers, as many as one device may have: `MOST_BUNDLES`, and `MOST_BYTES` of JSON."""
    kept: list[BundleIdentity] = []
    size = 0
    for bundle in reversed(tuple(bundles)):
        size += len(msgspec.json.encode(bundle))
        if len(kept) == MOST_BUNDLES or size > MOST_BYTES:
            break
        kept.append(bundle)
    return tuple(reversed(kept))


def _told(device: Device, status: Status, retained: bool) -> Device:
    """``online`` always counts. An end counts for the present boot only, or it is the late will of a former one.

    A boot never heard of may end only in a retained message, sent while nobody listened here: live, its ``online``
    would have come first.
    """
    if status.state == "online" or device.boot in (None, status.boot):
        return replace(_booted(device, status.boot), state=status.state)
    if retained and status.boot not in device.former:
        return replace(_booted(device, status.boot), state=status.state)
    return device


def _alive(device: Device, boot: str, retained: bool) -> Device:
    """Counts or health of a boot not heard of before, while the status speaks of an end: a will came after ``online``.

    Counts that waited in a device's spool may be of a former boot, so nothing is concluded while a boot is online.
    """
    if device.boot is None:
        return _booted(device, boot)
    if retained or device.state in ("online", "unknown") or boot == device.boot or boot in device.former:
        return device
    return replace(_booted(device, boot), state="online")


def _booted(device: Device, boot: str) -> Device:
    if device.boot in (None, boot):
        return replace(device, boot=boot)
    former = tuple(old for old in (*device.former, device.boot) if old not in (None, boot))
    return replace(device, boot=boot, former=former[-FORMER:])
