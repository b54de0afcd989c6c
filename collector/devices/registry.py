"""The devices heard of, in memory and in ``devices.json``.

All that is kept of a device is its own: what one says changes nothing that is known of another.
"""

import logging
from collections import Counter
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from base.logs import line
from collector.devices.device import Device, heard
from collector.devices.registry_file import Kept, open_own, read, write
from collector.receive.log_throttle import Throttle
from contract.message import Message, Status
from contract.topics import Address

MAX_DEVICES = 10_000
"""More are not kept, so that nobody can fill the memory with invented names."""

_log = logging.getLogger(__name__)


class DeviceRegistry:
    """The devices heard of, in memory and in ``<root>/devices.json``.

    The file may be some seconds behind: all it holds comes again, retained by the broker, at the next connection.
    """

    def __init__(self, root: Path, suffix: str = "") -> None:
        self._path = root / f"devices{suffix}.json"
        kept = open_own(self._path)
        self._known = {(device.site, device.device): device for device in kept.devices}
        self._sites = Counter(device.site for device in kept.devices)
        self._refused = Counter(kept.refused)
        self._said = Throttle()
        self._changed = False

    def __len__(self) -> int:
        return len(self._known)

    def known(self, site: str, device: str) -> Device | None:
        """A device as it was last heard of, None if it never was."""
        return self._known.get((site, device))

    def of_site(self, site: str) -> int:
        """How many devices of a site are known; as many as are kept of any if there is no room for more."""
        return self._sites[site] if len(self._known) < MAX_DEVICES else MAX_DEVICES

    def meet(self, address: Address) -> Device:
        """A device that was never heard of -> what is known of it from now on."""
        device = Device(site=address.site, device=address.device)
        self._known[address.site, address.device] = device
        self._sites[address.site] += 1
        return device

    def note(
        self, address: Address, message: Message, retained: bool, now: datetime, admitted: Device | None = None
    ) -> None:
        """Take in one message of a device; ``admitted`` is the device with what the message uses of its bounds."""
        key = (address.site, address.device)
        before = self._known.get(key) or self.meet(address)
        after = heard(admitted or before, message, retained, now)
        if isinstance(message, Status) and after.state != before.state and self._said.may(key, now):
            _log.info(line("device", site=after.site, device=after.device, state=after.state, boot=after.boot))
        self._known[key] = after
        self._changed = True

    def refuse(self, sender: Address | None, why: str) -> None:
        """Count a message that was set aside: with its device, or with all others if the device is not known."""
        known = None if sender is None else self._known.get((sender.site, sender.device))
        if known is None:
            self._refused[why] += 1
        else:
            refused = {**known.refused, why: known.refused.get(why, 0) + 1}
            self._known[known.site, known.device] = replace(known, refused=refused)
        self._changed = True

    def save(self) -> None:
        """Replace the file if something has changed; StoreFailed if that cannot be done."""
        if not self._changed:
            return
        devices = tuple(sorted(self._known.values(), key=lambda device: (device.site, device.device)))
        write(self._path, Kept(devices=devices, refused=dict(self._refused)))
        self._changed = False


def read_devices(root: Path) -> tuple[Device, ...]:
    """The devices in the ``devices*.json`` of a store, each as the writer says that has heard of it last."""
    latest: dict[tuple[str, str], Device] = {}
    for path in sorted(root.glob("devices*.json")):
        for device in read(path)[0].devices:
            known = latest.setdefault((device.site, device.device), device)
            newer, older = (device, known) if _heard(device) > _heard(known) else (known, device)
            counted = max(filter(None, (newer.counted, older.counted)), default=None)
            bundles = {bundle.sha256: bundle for bundle in (*older.bundles, *newer.bundles)}
            refused = newer.refused if newer is older else dict(Counter(newer.refused) + Counter(older.refused))
            latest[device.site, device.device] = replace(
                newer, counted=counted, bundles=tuple(bundles.values()), refused=refused
            )
    return tuple(latest[key] for key in sorted(latest))


def read_refused(root: Path) -> dict[str, int]:
    """Messages that were set aside and are of no known device, by reason, over all writers of a store."""
    total: Counter[str] = Counter()
    for path in root.glob("devices*.json"):
        total.update(read(path)[0].refused)
    return dict(total)


def _heard(device: Device) -> tuple[bool, str]:
    """Orders what writers know of one device: who has heard it live, and when."""
    return device.seen is not None, device.seen.isoformat() if device.seen else ""
