"""The last known state of a device, and how each of its messages changes it."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from collector.devices.stored_totals import StoredTotals
from contract.fields import Reason
from contract.health import Health
from contract.message import BundleIdentity, Counts, Message, Model, Shadow, Status

MAX_FORMER_BOOTS = 16
MAX_SHADOWS = 4
"""Agreement tables of a device, one for each pair of bundles; a table of seven labels has some 500 bytes."""
MAX_FORMER_BUNDLES = 8
MAX_FORMER_BUNDLE_BYTES = 32_768
"""JSON of all former classifiers of a device together. A classifier of seven labels has some 600 bytes."""


class ClassifierUse(Struct, frozen=True, kw_only=True):
    """The last use of a classifier with one label set."""

    digest: str = field(name="sha256")
    """Hash of the classifier's name and its labels, see `collector.receive.admission`."""
    last_used: date = field(name="last")
    """Day of its last window, by the collector's clock."""


class Device(Struct, frozen=True, kw_only=True):
    """The last known state of a device. Times are UTC; None where nothing has been received."""

    site: str
    device: str
    state: Literal["unknown", "online", "stopping", "offline"] = "unknown"
    boot: str | None = None
    former_boots: tuple[str, ...] = field(default=(), name="former")
    """Earlier boots, the latest last."""
    seen: datetime | None = None
    """Time of the last message that was not retained."""
    counted: datetime | None = None
    """Latest ``end`` of its windows, except those of a clock that was never set."""
    degraded: tuple[Reason, ...] = ()
    """Why it saw less in that window."""
    stored: StoredTotals = StoredTotals()
    """Sums of its windows."""
    model: Model | None = None
    health: Health | None = None
    bundles: tuple[BundleIdentity, ...] = ()
    """Former classifiers, the latest last. Their confusion matrices are needed to correct what they have counted."""
    classifier_uses: tuple[ClassifierUse, ...] = field(default=(), name="used")
    """Classifiers and label sets that the device has counted with."""
    out_of_range_dates: tuple[date, ...] = field(default=(), name="stray")
    """Dates of windows outside the limits, see `collector.receive.admission`."""
    shadows: tuple[Shadow, ...] = ()
    """Its agreement tables, the latest last. They are never part of the counts."""
    refused: dict[str, int] = {}
    """Number of dead letters by reason: a `collector.errors.Limit`, or ``malformed``."""


def apply_message(device: Device, message: Message, retained: bool, now: datetime) -> Device:
    """Return the device after a message. ``retained``: the broker had kept the message from earlier."""
    if not retained and device.seen != now:
        device = replace(device, seen=now)
    if isinstance(message, Counts):
        return _apply_counts(device, message, retained)
    if isinstance(message, Status):
        return _apply_status(device, message, retained)
    if isinstance(message, Model | Shadow):
        return _apply_bundles(device, message)
    if message.boot in device.former_boots:
        return device
    return _apply_sign_of_life(replace(device, health=message), message.boot, retained)


def latest_bundles(bundles: Iterable[BundleIdentity]) -> tuple[BundleIdentity, ...]:
    """Return the last of some classifiers, up to `MAX_FORMER_BUNDLES` and `MAX_FORMER_BUNDLE_BYTES` of JSON."""
    kept: list[BundleIdentity] = []
    size = 0
    for bundle in reversed(tuple(bundles)):
        size += len(msgspec.json.encode(bundle))
        if len(kept) == MAX_FORMER_BUNDLES or size > MAX_FORMER_BUNDLE_BYTES:
            break
        kept.append(bundle)
    return tuple(reversed(kept))


def latest_shadows(shadows: Iterable[Shadow]) -> tuple[Shadow, ...]:
    """Return the last `MAX_SHADOWS` of some agreement tables, of each table that which has grown most often."""
    kept: dict[str, Shadow] = {}
    for shadow in shadows:
        before = kept.pop(shadow.boot, None)
        kept[shadow.boot] = shadow if before is None or before.seq <= shadow.seq else before
    return tuple(kept.values())[-MAX_SHADOWS:]


def _apply_counts(device: Device, counts: Counts, retained: bool) -> Device:
    """Apply a window: the latest one says why the device sees less."""
    if counts.clock != "unsynced":
        if device.counted and counts.end <= device.counted:
            return device
        device = replace(device, counted=counts.end, degraded=counts.degraded)
    return _apply_sign_of_life(device, counts.boot, retained)


def _apply_bundles(device: Device, model: Model | Shadow) -> Device:
    """Set the device's model, and keep the classifier before it, because its counts are stored; or add a table."""
    if isinstance(model, Shadow):
        return replace(device, shadows=latest_shadows((*device.shadows, model)))
    if device.model is None or device.model.expression == model.expression:
        return replace(device, model=model)
    former = replace(device.model.expression, figures={})
    kept = [bundle for bundle in device.bundles if bundle.sha256 not in (former.sha256, model.expression.sha256)]
    if former.sha256 != model.expression.sha256:
        kept.append(former)
    return replace(device, model=model, bundles=latest_bundles(kept))


def _apply_status(device: Device, status: Status, retained: bool) -> Device:
    """Apply a status of the present boot or of a new one; ignore the late last will of a former boot.

    ``online`` always applies. An end of an unknown boot applies only if it is retained: it was sent while this
    collector was away. Live, its ``online`` would have come first.
    """
    if status.state == "online" or device.boot in (None, status.boot):
        return replace(_with_boot(device, status.boot), state=status.state)
    if retained and status.boot not in device.former_boots:
        return replace(_with_boot(device, status.boot), state=status.state)
    return device


def _apply_sign_of_life(device: Device, boot: str, retained: bool) -> Device:
    """Apply counts or health: a device that is not online is online again if they are of an unknown boot.

    The last will of the former boot then came after the ``online`` of the new one. While a boot is online nothing
    changes, because counts from a spool may be of a former boot.
    """
    if device.boot is None:
        return _with_boot(device, boot)
    if retained or device.state in ("online", "unknown") or boot == device.boot or boot in device.former_boots:
        return device
    return replace(_with_boot(device, boot), state="online")


def _with_boot(device: Device, boot: str) -> Device:
    """Set the present boot, and keep the one before it among the former boots."""
    if device.boot in (None, boot):
        return replace(device, boot=boot)
    former = tuple(old for old in (*device.former_boots, device.boot) if old not in (None, boot))
    return replace(device, boot=boot, former_boots=former[-MAX_FORMER_BOOTS:])
