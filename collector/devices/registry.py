"""Keep the known devices of a store, in memory and in ``devices.json``.

A message changes only the entry of the device that has sent it.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from base.logs import line
from collector.devices.device import Device, apply_message, latest_shadows
from collector.devices.log_throttle import LogThrottle
from collector.devices.registry_file import RegistryContent, read, read_own, renamed_damages, write
from collector.store.damage import Damage
from contract.message import Message, Status
from contract.topics import Address

MAX_DEVICES = 10_000
"""Bounds the memory that invented device names can fill."""

_log = logging.getLogger(__name__)


class DeviceRegistry:
    """The known devices, in memory and in ``<root>/devices.json``.

    The file may be some seconds old. The broker sends retained messages again at the next connection.
    """

    def __init__(self, root: Path, suffix: str = "") -> None:
        self._path = root / f"devices{suffix}.json"
        content = read_own(self._path)
        self._devices = {(device.site, device.device): device for device in content.devices}
        self._site_sizes = Counter(device.site for device in content.devices)
        self._refused = Counter(content.refused)
        self._throttle = LogThrottle()
        self._has_changed = False

    def __len__(self) -> int:
        return len(self._devices)

    def all(self) -> tuple[Device, ...]:
        """Return all devices."""
        return tuple(self._devices.values())

    def get(self, site: str, device: str) -> Device | None:
        """Return a device, or None if it is unknown."""
        return self._devices.get((site, device))

    def site_size(self, site: str) -> int:
        """Return the number of known devices of a site; `MAX_DEVICES` if no further device of any site can be added."""
        return self._site_sizes[site] if len(self._devices) < MAX_DEVICES else MAX_DEVICES

    def add(self, address: Address) -> Device:
        """Add an unknown device."""
        device = Device(site=address.site, device=address.device)
        self._devices[address.site, address.device] = device
        self._site_sizes[address.site] += 1
        return device

    def record(
        self, address: Address, message: Message, retained: bool, now: datetime, admitted: Device | None = None
    ) -> None:
        """Apply a message to its device; ``admitted`` is the device after `collector.receive.admission`, if it was."""
        key = (address.site, address.device)
        before = self._devices.get(key) or self.add(address)
        after = apply_message(admitted or before, message, retained, now)
        if isinstance(message, Status) and after.state != before.state and self._throttle.allows(key, now):
            _log.info(line("device", site=after.site, device=after.device, state=after.state, boot=after.boot))
        self._devices[key] = after
        self._has_changed = True

    def count_refused(self, sender: Address | None, reason: str) -> None:
        """Count a dead letter: for its device, or for all unknown devices together."""
        device = None if sender is None else self.get(sender.site, sender.device)
        if device is None:
            self._refused[reason] += 1
        else:
            refused = {**device.refused, reason: device.refused.get(reason, 0) + 1}
            self._devices[device.site, device.device] = replace(device, refused=refused)
        self._has_changed = True

    def save(self) -> None:
        """Replace the file if something has changed; StoreFailed if that is not possible."""
        if not self._has_changed:
            return
        devices = tuple(sorted(self._devices.values(), key=lambda device: (device.site, device.device)))
        write(self._path, RegistryContent(devices=devices, refused=dict(self._refused)))
        self._has_changed = False


def read_devices(root: Path) -> tuple[Device, ...]:
    """Read the devices of all writers of a store; the state of a device comes from the writer that has seen it last."""
    return _read_devices(sorted(root.glob("devices*.json")))[0]


def _read_devices(paths: Iterable[Path]) -> tuple[tuple[Device, ...], tuple[Damage, ...]]:
    """Return the devices of some files, and what is wrong with these."""
    devices: dict[tuple[str, str], Device] = {}
    damages = []
    for path in paths:
        content, damage = read(path)
        damages += [] if damage is None else [damage]
        for device in content.devices:
            key = (device.site, device.device)
            devices[key] = _merge(devices[key], device) if key in devices else device
    return tuple(devices[key] for key in sorted(devices)), tuple(damages)


class KnownDevices:
    """The devices of a store, read again when a file of them has changed. Safe for use by several threads.

    While a file is damaged, all are read at each call, because the file before it is read instead and may change, too.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: tuple[object, tuple[Device, ...], tuple[Damage, ...]] = (None, (), ())

    def all(self) -> tuple[Device, ...]:
        """Return the devices as `read_devices` does."""
        return self._content()[0]

    def damages(self) -> tuple[Damage, ...]:
        """Return what is wrong with the files as `collector.devices.registry_file.damages` does."""
        return (*self._content()[1], *renamed_damages(self._root))

    def _content(self) -> tuple[tuple[Device, ...], tuple[Damage, ...]]:
        stats = [(path, path.stat()) for path in sorted(self._root.glob("devices*.json"))]
        stamp = [(path, each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for path, each in stats]
        known, devices, damages = self._read
        if known == stamp and not damages:
            return devices, damages
        devices, damages = _read_devices(path for path, _ in stats)
        self._read = stamp, devices, damages
        return devices, damages


def read_refused(root: Path) -> dict[str, int]:
    """Count the dead letters of unknown devices, by reason, over all writers of a store."""
    total: Counter[str] = Counter()
    for path in root.glob("devices*.json"):
        total.update(read(path)[0].refused)
    return dict(total)


def _merge(one: Device, other: Device) -> Device:
    """Merge what two writers know about a device."""
    newer, older = (other, one) if _seen_order(other) > _seen_order(one) else (one, other)
    bundles = {bundle.sha256: bundle for bundle in (*older.bundles, *newer.bundles)}
    last = max(newer, older, key=lambda each: (each.counted is not None, each.counted))
    return replace(
        newer,
        counted=last.counted,
        degraded=last.degraded,
        stored=older.stored.merged(newer.stored),
        bundles=tuple(bundles.values()),
        shadows=latest_shadows((*older.shadows, *newer.shadows)),
        refused=dict(Counter(newer.refused) + Counter(older.refused)),
    )


def _seen_order(device: Device) -> tuple[bool, str]:
    """Return a sort key: devices that were never seen come first, then by the time they were last seen."""
    return device.seen is not None, device.seen.isoformat() if device.seen else ""
