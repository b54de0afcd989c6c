"""What needs a person: devices that are away, see badly, or lose counts, from their last messages and windows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from collector.devices.device import Device
from collector.devices.state import shown_state

Kind = Literal[
    "offline", "silent", "unknown", "blind", "moved", "hot", "disk", "unsent", "clock", "twins", "model", "update",
    "certificate",
]  # fmt: skip
TITLES: dict[Kind, str] = {
    "offline": "Offline",
    "silent": "Silent: connected, but nothing arrives",
    "unknown": "Never connected since the collector started",
    "blind": "Camera sees nothing or not clearly",
    "moved": "Camera was moved: aim it again and draw the staff zones again",
    "hot": "Too hot: the device counts less",
    "disk": "Disk full: counts were lost",
    "unsent": "Counts wait on the device",
    "clock": "Clock not set: counts have no time",
    "twins": "Two devices use one name",
    "model": "Error rates differ from those of other devices with this model",
    "update": "Update failed",
    "certificate": "Certificate ends soon",
}
"""What each kind is called on the page, the most urgent first."""
REASONS: Mapping[str, Kind] = {
    "no_camera": "blind", "frozen": "blind", "black": "blind", "covered": "blind", "blurred": "blind", "moved": "moved",
    "hot": "hot",
}  # fmt: skip
"""Reason of a degraded window: kind."""
HOT_C = 80.0
"""Temperature at which a Raspberry Pi begins to slow down, degrees Celsius."""
UNSENT_AFTER = timedelta(hours=1)
CERTIFICATE_BEFORE = timedelta(days=30)
RECENT = timedelta(hours=2)
"""A reason is current if the device's last window has it and ended this recently."""


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that needs a person, at one device."""

    kind: Kind
    site: str
    device: str
    detail: str
    """What is known of it, such as ``no message for 3 h``; may be empty."""


@dataclass(frozen=True, slots=True)
class LastWindow:
    """End and reasons of a device's last window."""

    end: datetime
    degraded: tuple[str, ...]


def concerns(
    devices: Iterable[Device],
    last_windows: Mapping[tuple[str, str], LastWindow],
    now: datetime,
    *,
    twins: Collection[tuple[str, str]] = (),
    conflicting: Collection[tuple[str, str]] = (),
) -> list[Concern]:
    """Return what needs a person, by kind in the order of `TITLES`, then by site and device.

    ``twins`` are site and name of devices that share a name, ``conflicting`` of those whose confusion matrix differs
    from that of others with the same model.
    """
    found = []
    for device in devices:
        key = (device.site, device.device)
        pairs = [*_of_state(device, now), *_of_health(device, now), *_of_window(last_windows.get(key), now)]
        pairs += [("twins", "")] * (key in twins or bool(device.health and device.health.shared_with))
        pairs += [("model", "")] * (key in conflicting)
        found += [Concern(kind, *key, detail) for kind, detail in dict(reversed(pairs)).items()]
    order = list(TITLES)
    return sorted(found, key=lambda each: (order.index(each.kind), each.site, each.device))


def reported_windows(devices: Iterable[Device]) -> dict[tuple[str, str], LastWindow]:
    """Return the last window of each device, as the collector has noted it on arrival."""
    return {
        (device.site, device.device): LastWindow(device.counted, device.degraded)
        for device in devices
        if device.counted
    }


def duration(length: timedelta) -> str:
    """Say how long something lasts: ``3 h``."""
    seconds = max(int(length.total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and unit == "min"):
            return f"{seconds // size} {unit}"
    return "1 min"


Pairs = Sequence[tuple[Kind, str]]


def _of_state(device: Device, now: datetime) -> Pairs:
    state = shown_state(device, now)
    if state in ("offline", "silent"):
        kind: Kind = "offline" if state == "offline" else "silent"
        return [(kind, f"no message for {duration(now - device.seen)}" if device.seen else "")]
    return [("unknown", "")] if state == "unknown" else []


def _of_health(device: Device, now: datetime) -> Pairs:
    """Return what the last health message says."""
    health = device.health
    if health is None:
        return []
    found: list[tuple[Kind, str]] = []
    if health.temperature_c is not None and health.temperature_c >= HOT_C:
        found.append(("hot", f"{health.temperature_c:.0f} °C"))
    if health.spool_dropped:
        found.append(("disk", f"{health.spool_dropped:,} windows"))
    if health.oldest_unsent is not None and health.time - health.oldest_unsent > UNSENT_AFTER:
        found.append(("unsent", f"{health.spool_depth:,} windows, for {duration(health.time - health.oldest_unsent)}"))
    if health.clock == "unsynced":
        found.append(("clock", ""))
    if health.update_failed:
        found.append(("update", health.update_failed))
    if health.certificate_ends is not None and health.certificate_ends - now < CERTIFICATE_BEFORE:
        found.append(("certificate", f"{health.certificate_ends:%-d %B %Y}"))
    return found


def _of_window(last: LastWindow | None, now: datetime) -> Pairs:
    """Return why the device's last window saw less, if that is recent."""
    if last is None or now - last.end > RECENT:
        return []
    return [(REASONS[reason], reason.replace("_", " ")) for reason in last.degraded if reason in REASONS]
