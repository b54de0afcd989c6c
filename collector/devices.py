"""Status, model, health and the times of counts -> what is known of each device, kept in ``devices.json``."""

import logging
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from collector.errors import StoreFailed
from collector.store import sync_folder
from contract.logs import line
from contract.message import Bundle, Health, Message, Model, Status
from contract.topics import Address

MAX_DEVICES = 10_000
"""More are not kept, so that nobody can fill the memory with invented names."""
FORMER = 16
"""Boots before the present one that are remembered."""
MOST_BUNDLES = 64
"""Bundles that are remembered, the last heard of: what an older one counted can then be corrected no more."""

_log = logging.getLogger(__name__)


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


class DevicesFile(Struct, frozen=True, kw_only=True):
    """``<root>/devices.json``, or ``devices-WRITER.json`` of a writer that is not alone."""

    schema: Literal[1] = 1
    devices: tuple[Device, ...] = ()
    bundles: tuple[Bundle, ...] = ()
    """The classifiers that any device has told of, the last heard of last: what a former one counted stays in the
    store, and can be corrected by its figures only."""


def heard(device: Device, message: Message, retained: bool, now: datetime) -> Device:
    """A device and a message of it -> the device afterwards. ``retained``: the broker had kept it from earlier."""
    if not retained and device.seen != now:
        device = replace(device, seen=now)
    if isinstance(message, Status):
        return _told(device, message, retained)
    if isinstance(message, Model):
        return replace(device, model=message)
    if isinstance(message, Health):
        if message.boot in device.former:
            return device
        return _alive(replace(device, health=message), message.boot, retained)
    if message.clock != "unsynced":
        if device.counted and message.end <= device.counted:
            return device
        device = replace(device, counted=message.end)
    return _alive(device, message.boot, retained)


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


class Devices:
    """The devices heard of, in memory and in ``<root>/devices.json``.

    The file may be some seconds behind: all it holds comes again, retained by the broker, at the next connection.
    """

    def __init__(self, root: Path, suffix: str = "") -> None:
        self._path = root / f"devices{suffix}.json"
        kept = _read(self._path)
        self._known = {(device.site, device.device): device for device in kept.devices}
        self._bundles = {bundle.sha256: bundle for bundle in kept.bundles}
        self._changed = False

    def note(self, address: Address, message: Message, retained: bool, now: datetime) -> None:
        """Take in one message."""
        key = (address.site, address.device)
        if key not in self._known and len(self._known) >= MAX_DEVICES:
            _log.warning(line("too_many_devices", most=MAX_DEVICES, site=address.site, device=address.device))
            return
        before = self._known.get(key) or Device(site=address.site, device=address.device)
        after = heard(before, message, retained, now)
        if isinstance(message, Status) and after.state != before.state:
            _log.info(line("device", site=after.site, device=after.device, state=after.state, boot=after.boot))
        self._known[key] = after
        if isinstance(message, Model):
            self._remember(message.expression)
        self._changed = True

    def _remember(self, bundle: Bundle) -> None:
        self._bundles.pop(bundle.sha256, None)
        self._bundles[bundle.sha256] = bundle
        while len(self._bundles) > MOST_BUNDLES:
            del self._bundles[next(iter(self._bundles))]

    def save(self) -> None:
        """Replace the file if something has changed; StoreFailed if that cannot be done."""
        if not self._changed:
            return
        kept = DevicesFile(devices=tuple(_in_order(self._known.values())), bundles=tuple(self._bundles.values()))
        text = msgspec.json.encode(kept)
        draft = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with draft.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise StoreFailed(f"{self._path}: {error.strerror}") from error
        self._changed = False


def read_devices(root: Path) -> tuple[Device, ...]:
    """The devices in the ``devices*.json`` of a store, each as the writer says that has heard of it last."""
    latest: dict[tuple[str, str], Device] = {}
    for path in sorted(root.glob("devices*.json")):
        for device in _read(path).devices:
            known = latest.setdefault((device.site, device.device), device)
            newer, older = (device, known) if _heard(device) > _heard(known) else (known, device)
            counted = max(filter(None, (newer.counted, older.counted)), default=None)
            latest[device.site, device.device] = replace(newer, counted=counted)
    return tuple(_in_order(latest.values()))


def read_bundles(root: Path) -> tuple[Bundle, ...]:
    """The classifiers in the ``devices*.json`` of a store, those that no device runs any more, too."""
    files = [_read(path) for path in sorted(root.glob("devices*.json"))]
    models = [device.model.expression for file in files for device in file.devices if device.model]
    bundles = [*(bundle for file in files for bundle in file.bundles), *models]
    return tuple({bundle.sha256: bundle for bundle in bundles}.values())


def _heard(device: Device) -> tuple[bool, str]:
    """Orders what writers know of one device: who has heard it live, and when."""
    return device.seen is not None, device.seen.isoformat() if device.seen else ""


def _read(path: Path) -> DevicesFile:
    """One file; one of nothing if there is no such file or it cannot be understood."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=DevicesFile)
    except FileNotFoundError:
        return DevicesFile()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.warning(line("devices_unreadable", file=path, reason=error))
        return DevicesFile()


def _in_order(devices: Iterable[Device]) -> list[Device]:
    return sorted(devices, key=lambda device: (device.site, device.device))
